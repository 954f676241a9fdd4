# Lab 02: steps a second against the threads of a block, a curve a number of blocks, many more requests than blocks.
chosen(c) = column(column_blocks) > 0
candidates = 'requests'
sweep = 'blocks'
load plots . 'lab02.gp'

of_blocks(b) = (chosen(0) && column(column_blocks) == b)
numbers = ''
do for [b in sprintf('1 %d %d %d %d %d', processors / 16, processors / 4, processors / 2, processors, 2 * processors)] {
    stats 'points.dat' index block_of('requests') using (of_blocks(b + 0) ? 1 : 0) nooutput
    if (STATS_sum > 1 && !word_index(b, numbers)) { numbers = numbers . b . ' ' }
}
if (numbers eq '') {
    print sweep_is_needed(sweep)
    exit status 77
}
stats 'points.dat' index block_of('requests') using (chosen(0) ? column(column_n) : NaN) nooutput
about = sprintf('requests, n = %d', STATS_max)
set xlabel 'threads of a block'
set ylabel 'million steps a second'
set logscale x 2
set logscale y
stats 'points.dat' index block_of('requests') using (chosen(0) ? column(column_threads) : NaN) nooutput
set xrange [STATS_min / 1.15 : STATS_max * 1.15]
set xtics (32, 64, 128, 256, 512, 1024)
stats 'points.dat' index block_of('requests') using (chosen(0) ? 1 / $1 : NaN) nooutput
best = STATS_max
low = STATS_min / 1.3
best_threads = 0
stats 'points.dat' index block_of('requests') using (chosen(0) && 1 / $1 == best ? (best_threads = column(column_threads), 1) : 0) nooutput
says = sprintf('Most: %.3g million steps/s, of %d threads', best, best_threads)
eval titles
high = best * 1.3
set yrange [low : high]
eval 'set ytics (' . ticks_between(low, high) . ')'

plot for [b in numbers] 'points.dat' index block_of('requests') \
         using (of_blocks(b + 0) ? column(column_threads) : NaN):(1 / $1) \
         with linespoints linetype word_index(b, numbers) title b . (b + 0 == 1 ? ' block' : ' blocks')
