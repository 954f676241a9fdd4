# What the figures of lab 02 share.
all_variants = 'launch-sync launch-loop batched ping-pong slices counter queue requests'
load plots . 'sweep.gp'

# A latency of zero, of two steps that the host saw in one look, has no place on a logarithmic axis. `percentile` is
# column_p50 or column_p99.
latency(percentile) = (chosen(0) && column(percentile) > 0 ? column(percentile) : NaN)
lower_latency(c) = (column(column_p50) > 0 ? column(column_p50) : column(column_p99) > 0 ? column(column_p99) : 1)
