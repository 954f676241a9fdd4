# Lab 06: a kernel for each pointwise operation, and one graph.
to_variants = 'graph persistent vector fused'
load plots . 'timeline.gp'
