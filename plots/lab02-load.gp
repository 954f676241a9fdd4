# Lab 02: the latency of a step against the load, with requests that come as a Poisson process.
chosen(c) = column(column_arrival) == 1
candidates = 'batched queue requests'
sweep = 'load'
load plots . 'lab02.gp'
eval find_one_look

most = 0
stats 'points.dat' index block_of(word(shown, words(shown))) using (chosen(0) ? column(column_load) : NaN) nooutput
most = STATS_max
at_most(percentile) = (chosen(0) && column(column_load) == most ? column(percentile) : NaN)
stats 'points.dat' index block_of(word(shown, words(shown))) using (at_most(column_p50)) nooutput
p50 = STATS_max
stats 'points.dat' index block_of(word(shown, words(shown))) using (at_most(column_p99)) nooutput
p99 = STATS_max
set xlabel 'load (% of what the variant can do)'
set ylabel 'latency of a step (µs)'
set logscale y
set xrange [25:100]
set xtics (30, 50, 65, 80, '' 90, 95)
stats 'points.dat' using (chosen(0) ? lower_latency(0) : NaN) nooutput
low = STATS_min / 1.5
stats 'points.dat' using (chosen(0) ? column(column_p99) : NaN) nooutput
high = STATS_max * 1.5
set yrange [low : high]
eval 'set ytics (' . (high < 200 * low ? ticks_1_2_5 : decades) . ')'

says = sprintf('%s at %d%% load: p50 %s, p99 %s', word(shown, words(shown)), most, \
               p50 > 0 ? time_text(p50) : sprintf('below %.1f µs', one_look), time_text(p99))
about = 'Poisson arrivals'
note = 'marker: p50; the whisker ends at the p99' . one_look_note
eval titles
# Whiskers of one load stand beside each other.
beside(v) = 0.7 * (word_index(v, shown) - (words(shown) + 1) / 2.0)

plot for [v in shown] 'points.dat' index block_of(v) using (column(column_load) + beside(v)):(latency(column_p50)):(0):(latency(column_p99) - latency(column_p50)) \
         with vectors nohead linetype style(v) dashtype 1 notitle, \
     for [v in shown] 'points.dat' index block_of(v) using (column(column_load) + beside(v)):(latency(column_p50)) \
         with linespoints linetype style(v) title v noenhanced
