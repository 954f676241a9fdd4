# Lab 02: the time of a step against n, one request: blocks that own slices need no launch and no barrier between steps.
chosen(c) = column(column_form) == 0 && column(column_requests) == 1 && column(column_in_flight) == headline_in_flight
candidates = 'launch-sync launch-loop slices'
sweep = 'slices'
load plots . 'lab02.gp'

set key maxrows 2
set tmargin at screen top_below_two_rows
best_column = column_n
eval best_at
says = best_says(sprintf('n = %d', found))
about = 'time of a step, axpy, one request'
note = 'whiskers: p10 to p90' . (strlen(note) ? '; ' . note : '')
eval titles
set xlabel 'floats of a state, n'
set ylabel 'time of a step (µs)'
set logscale x 2
set logscale y
eval 'set xtics (' . powers_of_two . ')'
eval 'set ytics (' . decades . ')'
stats 'points.dat' using (chosen(0) ? column(column_n) : NaN) nooutput
set xrange [STATS_min / 1.4 : STATS_max * 1.4]

plot for [v in shown] 'points.dat' index block_of(v) \
         using (chosen(0) ? column(column_n) : NaN):2:(0):($3 - $2) with vectors nohead linetype style(v) dashtype 1 notitle, \
     for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_n) : NaN):1 \
         with linespoints linetype style(v) title v noenhanced
