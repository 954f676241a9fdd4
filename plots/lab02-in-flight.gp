# Lab 02: latency of a step, and steps a second, against the requests in flight.
chosen(c) = column(column_in_flight) > 0 && column(column_arrival) == 0
candidates = 'launch-sync ping-pong queue requests'
sweep = 'in flight'
height = 540
load theme
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab02.gp'

stats 'points.dat' using (chosen(0) ? column(column_n) : NaN) nooutput
set label 1003 sprintf('Requests in flight, n = %d', STATS_max) at screen 0.53, name_at center
set logscale x 2
stats 'points.dat' using (chosen(0) ? column(column_in_flight) : NaN) nooutput
set xrange [STATS_min / 1.15 : STATS_max * 1.15]
set xtics (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
set logscale y
stats 'points.dat' using (chosen(0) ? lower_latency(0) : NaN) nooutput
low = STATS_min / 1.5
stats 'points.dat' using (chosen(0) ? column(column_p99) : NaN) nooutput
set yrange [low : STATS_max * 1.5]
eval 'set ytics (' . decades . ')'

set multiplot
set tmargin at screen 0.73
set bmargin at screen 0.46
set format x ''
set ylabel 'latency (µs)' offset 0, 0
plot for [v in shown] 'points.dat' index block_of(v) using (column(column_in_flight)):(latency(column_p50)) \
         with linespoints linetype style(v) dashtype 1 notitle, \
     for [v in shown] 'points.dat' index block_of(v) using (column(column_in_flight)):(latency(column_p99)) \
         with linespoints linetype style(v) dashtype (4,3) pointtype filled(v) - 1 notitle, \
     for [v in shown] keyentry with linespoints linetype style(v) dashtype 1 title v noenhanced, \
     keyentry with points pointtype 7 pointsize 0.8 * marker linecolor rgb '#707070' title 'filled: p50', \
     keyentry with points pointtype 6 pointsize 0.8 * marker linecolor rgb '#707070' title 'open: p99'

unset label 1002
unset label 1003
set key off
set tmargin at screen 0.42
set bmargin at screen 0.15
set format x '%g'
set xlabel 'requests in flight'
set ylabel 'million steps/s'
set yrange [* : *]
plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_in_flight) : NaN):(1 / $1) \
         with linespoints linetype style(v) dashtype 1
unset multiplot
