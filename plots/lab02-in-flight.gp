# Lab 02: latency of a step, and steps a second, against the requests in flight.
chosen(c) = column(column_in_flight) > 0 && column(column_arrival) == 0
candidates = 'launch-sync ping-pong queue requests'
sweep = 'in flight'
height = 560
load theme
load plots . 'lab02.gp'
eval find_one_look

fastest = 0
fastest_variant = ''
do for [v in shown] {
    stats 'points.dat' index block_of(v) using (chosen(0) ? 1 / $1 : NaN) nooutput
    if (STATS_max > fastest) { fastest = STATS_max; fastest_variant = v }
}
stats 'points.dat' using (chosen(0) ? column(column_n) : NaN) nooutput
about = sprintf('n = %d', STATS_max)
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

says = sprintf('%s: up to %.3g million steps/s', fastest_variant, fastest)
note = 'marker: p50; the whisker ends at the p99' . one_look_note . (strlen(note) ? '; ' . note : '')
eval titles
# Whiskers of one number of requests stand beside each other.
beside(v) = 1.045 ** (word_index(v, shown) - (words(shown) + 1) / 2.0)

set multiplot
set tmargin at screen 0.75
set bmargin at screen 0.48
set format x ''
set ylabel 'latency (µs)'
plot for [v in shown] 'points.dat' index block_of(v) using (column(column_in_flight) * beside(v)):(latency(column_p50)):(0):(latency(column_p99) - latency(column_p50)) \
         with vectors nohead linetype style(v) dashtype 1 notitle, \
     for [v in shown] 'points.dat' index block_of(v) using (column(column_in_flight) * beside(v)):(latency(column_p50)) \
         with linespoints linetype style(v) title v noenhanced

do for [i in '1002 1003 1005'] { eval 'unset label ' . i }
set key off
set tmargin at screen 0.44
set bmargin at screen 0.18
set format x '%g'
set xlabel 'requests in flight'
set ylabel 'million steps/s'
set yrange [* : *]
plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_in_flight) : NaN):(1 / $1) \
         with linespoints linetype style(v)
unset multiplot
