# Lab 03: what a barrier of the grid costs, against the number of blocks: the slope over further barriers a step.
chosen(c) = column(column_blocks) > 0 && (column(column_extra_barriers) == 0 || column(column_extra_barriers) == further)
candidates = 'grid-sync hand-barrier'
sweep = 'barrier'
further = words(values_extra_barriers) ? word(values_extra_barriers, words(values_extra_barriers)) + 0 : 0
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab03.gp'
if (further == 0) {
    print 'needs the sweep "' . sweep . '": ./lab run 03 --sweep'
    exit status 77
}

# Rows are ordered by their knobs, the further barriers last: a number of blocks has its row without them and then the
# one with them.
without = NaN
slope(c) = (chosen(0) ? (column(column_extra_barriers) == 0 ? (without = $1, NaN) : ($1 - without) / further) : NaN)

set key maxrows 1
set tmargin at screen top_below_two_rows + 0.055
stats 'points.dat' using (chosen(0) ? column(column_threads) : NaN) nooutput
set label 1003 sprintf('Cost of a grid barrier, %d threads a block', STATS_max) at screen 0.53, name_at center
set xlabel 'blocks'
set ylabel 'a barrier (µs)'
set logscale x
stats 'points.dat' using (chosen(0) ? column(column_blocks) : NaN) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.2]
set xtics (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
set yrange [0 : *]
# One block a processor.
set arrow 1 from processors, graph 0 to processors, graph 1 nohead linetype 12 back
set label 1 sprintf('%d processors', processors) at processors, graph 0.06 right offset -0.5, 0

plot for [v in shown] 'points.dat' index block_of(v) using (slope(0) == slope(0) ? column(column_blocks) : NaN):(slope(0)) \
         with linespoints linetype style(v) title v noenhanced
