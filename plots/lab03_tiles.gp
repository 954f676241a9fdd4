# What the two figures of lab 03's sweep over tiles share: bandwidth, a curve for each tile size or number of stages, with
# filled markers for warp-roles and open ones for async-tiles. A script loads this, sets its axes, and plots.
chosen(c) = column(column_stages) > 0 && column(column_ragged) == 0 && column(column_seq_len) == swept_length && \
            column(column_batch) == swept_batch
candidates = 'async-tiles warp-roles'
sweep = 'tiles'
if (words(values_stages) < 2) {
    print 'needs the sweep "' . sweep . '": ./lab run 03 --sweep'
    exit status 77
}
# The sweep has rows whose stages are not the headline's: its length and batch are theirs.
swept(c) = column(column_stages) > 0 && column(column_stages) != headline_stages
stats 'points.dat' using (swept(0) ? column(column_seq_len) : NaN) nooutput
swept_length = STATS_max
stats 'points.dat' using (swept(0) ? column(column_batch) : NaN) nooutput
swept_batch = STATS_max
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab03.gp'

set label 1003 sprintf('K and V read, B = %d, L = %d', swept_batch, swept_length) at screen 0.53, name_at center
set key maxrows 3
set ylabel 'TB/s'
stats 'points.dat' using (chosen(0) ? tb_per_s(0) : NaN) nooutput
top = STATS_max
read_is_near = (read_tb_per_s < 10 * top) # else the curves would lie on the axis
if (read_is_near) {
    top = read_tb_per_s > top ? read_tb_per_s : top
    set arrow 1 from graph 0, first read_tb_per_s to graph 1, first read_tb_per_s nohead linetype 18 back
}
filled(i) = int(word('5 7 9 13 11 15', i))
