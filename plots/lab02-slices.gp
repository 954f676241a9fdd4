# Lab 02: the time of a step against n, one request: blocks that own slices need no launch and no barrier between steps.
chosen(c) = column(column_form) == 0 && column(column_requests) == 1 && column(column_in_flight) == headline_in_flight
candidates = 'launch-sync launch-loop slices'
sweep = 'slices'
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab02.gp'

set key maxrows 2
set tmargin at screen top_below_two_rows
set label 1003 'Time of a step, axpy, one request' at screen 0.53, name_at center
set xlabel 'floats of a state, n'
set ylabel 'time of a step (µs)'
set logscale x 2
set logscale y
eval 'set xtics (' . powers_of_two . ')'
eval 'set ytics (' . decades . ')'
stats 'points.dat' using (chosen(0) ? column(column_n) : NaN) nooutput
set xrange [STATS_min / 1.4 : STATS_max * 1.4]

plot for [v in shown] 'points.dat' index block_of(v) \
         using (chosen(0) ? column(column_n) : NaN):1:(0):($3 - $1) with vectors nohead linetype style(v) dashtype 1 notitle, \
     for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_n) : NaN):1 \
         with linespoints linetype style(v) title v noenhanced
