# Lab 03: what a barrier of the grid costs, against the number of blocks: the slope over further barriers a step.
chosen(c) = column(column_blocks) > 0 && (column(column_extra_barriers) == 0 || column(column_extra_barriers) == further)
candidates = 'grid-sync hand-barrier'
sweep = 'barrier'
further = words(values_extra_barriers) ? word(values_extra_barriers, words(values_extra_barriers)) + 0 : 0
load plots . 'lab03.gp'
if (further == 0) {
    print sweep_is_needed(sweep)
    exit status 77
}

# Rows are ordered by their knobs, the further barriers last: a number of blocks has its row without them and then the
# one with them.
without = NaN
slope(c) = (chosen(0) ? (column(column_extra_barriers) == 0 ? (without = $1, NaN) : ($1 - without) / further) : NaN)

set key maxrows 1
set tmargin at screen top_below_two_rows + 0.055
stats 'points.dat' using (chosen(0) ? column(column_threads) : NaN) nooutput
about = sprintf('%d threads a block', STATS_max)
lowest_slope = 1e30
do for [v in shown] {
    stats 'points.dat' index block_of(v) using (slope(0)) nooutput
    if (STATS_max < lowest_slope) { lowest_slope = STATS_max; says = sprintf('A barrier of the grid: %.2g µs by %s', STATS_max, v) }
}
note = 'slope of a step over its further barriers'
eval titles
set xlabel 'blocks'
set ylabel 'a barrier (µs)'
set logscale x
stats 'points.dat' using (chosen(0) ? column(column_blocks) : NaN) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.2]
set xtics (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
set yrange [0 : *]
eval mark_processors

plot for [v in shown] 'points.dat' index block_of(v) using (slope(0) == slope(0) ? column(column_blocks) : NaN):(slope(0)) \
         with linespoints linetype style(v) title v noenhanced
