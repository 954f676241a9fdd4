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
fastest = 1e30
do for [v in shown] {
    if (samples_of(v)) {
        stats 'latency.dat' index block_of(v) using 1 nooutput
        if (STATS_median < fastest) { fastest = STATS_median; fastest_variant = v }
    }
}
says = sprintf('%s: half of the tokens within %.3g µs', fastest_variant, fastest)
about = sprintf('n = %d, K = %d', headline_n, headline_k)
eval titles
set xlabel 'latency of a token (µs)'
set ylabel 'share of tokens (%)'
set logscale x
eval 'set xtics (' . ticks_between(low, high) . ')'
set xrange [low : high]
set yrange [0:104]
set ytics 0, 25, 100

plot for [v in shown] 'latency.dat' index block_of(v) using 1:(100 * $2) \
         with linespoints linetype style_of(v) pointinterval spacing(v) title v noenhanced
