# What the figures of lab 02 share.
all_variants = 'launch-sync launch-loop batched ping-pong slices counter queue requests'
load plots . 'sweep.gp'

# A latency of zero, of two steps that the host saw in one look, has no place on a logarithmic axis: it stands at
# `one_look`, and the note says so. `percentile` is column_p50 or column_p99.
one_look = 0.1
latency(percentile) = (chosen(0) ? (column(percentile) > 0 ? column(percentile) : one_look) : NaN)
lower_latency(c) = (column(column_p50) > 0 ? column(column_p50) : one_look)
# For a figure of latencies: `eval find_one_look` before any range is set; then one_look_note is what its note adds.
find_one_look = "stats 'points.dat' using (chosen(0) ? (column(column_p50) == 0) + 1 : NaN) nooutput; " . \
    "one_look_note = (STATS_max > 1 ? sprintf('; %.1f: in one look', one_look) : '')"
