# Lab 02: the latency of a step against the load, with requests that come as a Poisson process.
chosen(c) = column(column_arrival) == 1
candidates = 'batched queue requests'
sweep = 'load'
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab02.gp'

set label 1003 'Latency of a step, Poisson arrivals' at screen 0.53, name_at center
set xlabel 'load (% of what the variant can do)'
set ylabel 'latency of a step (µs)' offset 0, 0
set logscale y
set xrange [25:100]
set xtics (30, 50, 65, 80, '' 90, 95)
stats 'points.dat' using (chosen(0) ? lower_latency(0) : NaN) nooutput
low = STATS_min / 1.5
stats 'points.dat' using (chosen(0) ? column(column_p99) : NaN) nooutput
high = STATS_max * 1.5
set yrange [low : high]
eval 'set ytics (' . (high < 200 * low ? ticks_1_2_5 : decades) . ')'

plot for [v in shown] 'points.dat' index block_of(v) using (column(column_load)):(latency(column_p50)) \
         with linespoints linetype style(v) dashtype 1 notitle, \
     for [v in shown] 'points.dat' index block_of(v) using (column(column_load)):(latency(column_p99)) \
         with linespoints linetype style(v) dashtype (4,3) pointtype filled(v) - 1 notitle, \
     for [v in shown] keyentry with linespoints linetype style(v) dashtype 1 title v noenhanced, \
     keyentry with points pointtype 7 pointsize 0.8 * marker linecolor rgb '#707070' title 'filled: p50', \
     keyentry with points pointtype 6 pointsize 0.8 * marker linecolor rgb '#707070' title 'open: p99'
