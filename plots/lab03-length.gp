# Lab 03: the time of a step against the context, every variant; the line that reading K and V at B_read would take.
chosen(c) = column(column_batch) == headline_batch && column(column_blocks) == headline_blocks && column(column_stages) == headline_stages && \
            column(column_block_k) == headline_block_k && column(column_extra_barriers) == 0 && \
            column(column_ragged) == headline_ragged
candidates = 'kernels fused grid-sync hand-barrier split-kv async-tiles warp-roles'
sweep = 'length'
height = 500
load theme
load plots . 'lab03.gp'

set key maxrows 4
set tmargin at screen top_below_three_rows - 0.04
set bmargin at screen 0.23 * 440 / height
best_column = column_seq_len
eval best_at
says = best_says(sprintf('L = %d', found))
about = sprintf('time of a step, B = %d', headline_batch)
eval titles
set xlabel 'keys in the cache, L'
set ylabel 'time of a step (µs)'
set logscale x 2
set logscale y
eval 'set xtics (' . powers_of_two . ')'
eval 'set ytics (' . decades . ')'
# Of the variants that are shown: another program's may be far away.
low = 1e30
high = 0
do for [v in shown] {
    stats 'points.dat' index block_of(v) using (chosen(0) ? $1 : NaN) nooutput
    low = STATS_min < low ? STATS_min : low
    high = STATS_max > high ? STATS_max : high
}
stats 'points.dat' index block_of(word(shown, 1)) using (chosen(0) ? column(column_seq_len) : NaN) nooutput
set xrange [STATS_min / 1.3 : STATS_max * 1.3]
set yrange [low / 2 : high * 1.6]
read_us(c) = (chosen(0) && read_gb_per_s == read_gb_per_s ? kv_gb(0) / read_gb_per_s * 1e6 : NaN)

plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_seq_len) : NaN):1 \
         with linespoints linetype style(v) title v noenhanced, \
     'points.dat' index block_of(word(shown, 1)) using (chosen(0) ? column(column_seq_len) : NaN):(read_us(0)) \
         with lines linetype 19 title 'K, V at B_{read}'
