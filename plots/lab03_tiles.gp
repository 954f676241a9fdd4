# What the two figures of lab 03's sweep over tiles share: bandwidth, a curve for each tile size or number of stages, with
# filled markers for warp-roles and open ones for async-tiles. A script loads this, sets its axes, and plots.
chosen(c) = column(column_stages) > 0 && column(column_ragged) == 0 && column(column_seq_len) == swept_length && \
            column(column_batch) == swept_batch
candidates = 'async-tiles warp-roles'
sweep = 'tiles'
# The sweep has rows whose stages are not the headline's: its length and batch are theirs.
swept(c) = column(column_stages) > 0 && column(column_stages) != headline_stages
swept_length = 0
swept_batch = 0
do for [table in 'untimed.dat points.dat'] {
    stats table using (swept(0) ? (swept_length = column(column_seq_len), swept_batch = column(column_batch), 1) : 0) nooutput
}
load plots . 'lab03.gp'
shown = timed

set key maxrows 3
stats 'points.dat' using (chosen(0) ? tb_per_s(0) : NaN) nooutput
# A GPU's are TB/s; a small size on the CPU device is not shown as powers of ten.
unit = 'TB/s'
of_unit = 1.0
if (STATS_max < 0.1) { unit = 'GB/s'; of_unit = 1e3 }
if (STATS_max < 1e-4) { unit = 'MB/s'; of_unit = 1e6 }
set ylabel unit
rate(c) = tb_per_s(c) * of_unit
read_rate = read_tb_per_s * of_unit
top = STATS_max * of_unit
read_is_near = (read_rate < 10 * top) # else the curves would lie on the axis
if (read_is_near) {
    top = read_rate > top ? read_rate : top
    set arrow 1 from graph 0, first read_rate to graph 1, first read_rate nohead linetype 19 back
}
filled(i) = int(word('5 7 9 13 11 15', i))

best_stages = 0
best_keys = 0
best_name = ''
best = 0
do for [v in shown] {
    stats 'points.dat' index block_of(v) using (chosen(0) && rate(0) > best ? \
        (best = rate(0), best_stages = column(column_stages), best_keys = column(column_block_k), best_name = v, 1) : 0) nooutput
}
says = sprintf('%s: %.3g %s, %d keys, %d stages', best_name, best, unit, best_keys, best_stages)
about = sprintf('K and V, B = %d, L = %d', swept_batch, swept_length)
