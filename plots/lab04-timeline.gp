# Lab 04: what the host submits and what the device runs, kernel by kernel and as a graph.
from_variants = 'launch axpy-loop prefill-launch stream'
to_variants = 'resident axpy-graph prefill-pool capture'
load plots . 'timeline.gp'
