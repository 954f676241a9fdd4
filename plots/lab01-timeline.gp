# Lab 01: what the host submits and what the device runs, with a wait for each kernel and in stream order.
to_variants = 'stream'
load plots . 'timeline.gp'
