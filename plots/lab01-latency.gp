# Lab 01: how the latency of a token is distributed: the share of tokens that took at most so long.
if (words(drawn) < 1) {
    print 'needs timings: run the lab without --no-timing'
    exit status 77
}
stats 'latency.dat' using 1 nooutput
low = STATS_min / 1.3
high = STATS_max * 1.3

# Six markers a curve, however many samples it has, so that curves can be told apart in grey.
samples_of(v) = int(word(latency_counts, block_of(v) + 1))
spacing(v) = (samples_of(v) > 6 ? samples_of(v) / 6 : 1)

set key maxrows 2
set tmargin at screen top_below_two_rows
set label 1003 sprintf('Latency, n = %d, K = %d', headline_n, headline_k) at screen 0.53, name_at center
set xlabel 'latency of a token (µs)'
set ylabel 'share of tokens (%)'
set logscale x
eval 'set xtics (' . ticks_between(low, high) . ')'
set xrange [low : high]
set yrange [0:104]
set ytics 0, 25, 100

plot for [v in shown] 'latency.dat' index block_of(v) using 1:(100 * $2) \
         with linespoints linetype style_of(v) pointinterval spacing(v) title v noenhanced
