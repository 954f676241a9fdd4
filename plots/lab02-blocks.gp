# Lab 02: steps a second against the number of blocks, a curve a block size, many more requests than blocks.
chosen(c) = column(column_blocks) > 0
candidates = 'requests'
sweep = 'blocks'
load plots . 'lab02.gp'

of_size(t) = (chosen(0) && column(column_threads) == t)
sizes = ''
do for [t in values_threads] {
    stats 'points.dat' index block_of('requests') using (of_size(t + 0) ? 1 : 0) nooutput
    if (STATS_sum > 1) { sizes = sizes . t . ' ' }
}
stats 'points.dat' index block_of('requests') using (chosen(0) ? column(column_n) : NaN) nooutput
about = sprintf('requests, n = %d', STATS_max)
set xlabel 'blocks'
set ylabel 'million steps a second'
set logscale xy
stats 'points.dat' index block_of('requests') using (chosen(0) ? column(column_blocks) : NaN) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.2]
set xtics (1, '' 2 1, 4, '' 8 1, 16, '' 32 1, 64, '' 128 1, 256, '' 512 1, 1024)
stats 'points.dat' index block_of('requests') using (chosen(0) ? 1 / $1 : NaN) nooutput
best = STATS_max
low = STATS_min / 1.3
best_blocks = 0
stats 'points.dat' index block_of('requests') using (chosen(0) && 1 / $1 == best ? (best_blocks = column(column_blocks), 1) : 0) nooutput
says = sprintf('Most: %.3g million steps/s, of %d blocks', best, best_blocks)
eval titles
high = best * 1.3
set yrange [low : high]
eval 'set ytics (' . ticks_between(low, high) . ')'
eval mark_processors

plot for [t in sizes] 'points.dat' index block_of('requests') \
         using (of_size(t + 0) ? column(column_blocks) : NaN):(1 / $1) \
         with linespoints linetype word_index(t, sizes) title t . ' threads'
