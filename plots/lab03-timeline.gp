# Lab 03: four kernels a step, and all steps in one launch.
to_variants = 'warp-roles async-tiles split-kv hand-barrier grid-sync'
load plots . 'timeline.gp'
