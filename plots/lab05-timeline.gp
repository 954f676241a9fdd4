# Lab 05: what the host submits and what the device runs, by plain loads and by copies ahead.
to_variants = 'roles bulk async'
load plots . 'timeline.gp'
