# Lab 02: steps a second against the number of blocks, a curve a block size, many more requests than blocks.
chosen(c) = column(column_blocks) > 0
candidates = 'requests'
sweep = 'blocks'
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab02.gp'

of_size(t) = (chosen(0) && column(column_threads) == t)
sizes = ''
do for [t in values_threads] {
    stats 'points.dat' index block_of('requests') using (of_size(t + 0) ? 1 : 0) nooutput
    if (STATS_sum > 1) { sizes = sizes . t . ' ' }
}
stats 'points.dat' index block_of('requests') using (chosen(0) ? column(column_n) : NaN) nooutput
set label 1003 sprintf('Throughput of requests, n = %d', STATS_max) at screen 0.53, name_at center
set xlabel 'blocks'
set ylabel 'million steps a second'
set logscale xy
stats 'points.dat' index block_of('requests') using (chosen(0) ? column(column_blocks) : NaN) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.2]
set xtics (1, '' 2 1, 4, '' 8 1, 16, '' 32 1, 64, '' 128 1, 256, '' 512 1, 1024)
stats 'points.dat' index block_of('requests') using (chosen(0) ? 1 / $1 : NaN) nooutput
low = STATS_min / 1.3
high = STATS_max * 1.3
set yrange [low : high]
eval 'set ytics (' . ticks_between(low, high) . ')'
# One block a processor.
set arrow 1 from processors, graph 0 to processors, graph 1 nohead linetype 12 back
set label 1 sprintf('%d processors', processors) at processors, graph 0.06 right offset -0.5, 0

plot for [t in sizes] 'points.dat' index block_of('requests') \
         using (of_size(t + 0) ? column(column_blocks) : NaN):(1 / $1) \
         with linespoints linetype word_index(t, sizes) title t . ' threads'
