# Lab 07: what the host submits and what the device runs, kernel by kernel and as one kernel a token.
from_variants = 'stream graph'
to_variants = 'ring-many ring-spread ring-flag ring-ahead kernel graph-pdl'
load plots . 'timeline.gp'
