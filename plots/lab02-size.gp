# Lab 02: the time of a step against n, elementwise form, many requests.
chosen(c) = column(column_form) == 0 && column(column_arrival) == 0 && column(column_blocks) == headline_blocks && \
            column(column_requests) == headline_requests && column(column_in_flight) == headline_in_flight
candidates = 'launch-sync launch-loop batched slices counter queue requests'
sweep = 'n'
load plots . 'lab02.gp'

set key maxrows 4
set tmargin at screen top_below_three_rows - 0.055
best_column = column_n
eval best_at
says = best_says(sprintf('n = %d', found))
about = sprintf('time of a step, axpy, %d requests', headline_requests)
eval titles
set xlabel 'floats of a state, n'
set ylabel 'time of a step (µs)'
set logscale x 2
set logscale y
eval 'set xtics (' . powers_of_two . ')'
eval 'set ytics (' . decades . ')'
stats 'points.dat' using (chosen(0) ? column(column_n) : NaN) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.2]

plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_n) : NaN):1 \
         with linespoints linetype style(v) title v noenhanced
