# Lab 01: the time of a token against its number of kernels K: measured, and as the model has it.
if (along_k_count < 3) {
    print 'needs a sweep, with three values of k or more: ./lab run 01 --sweep'
    exit status 77
}

stats 'along_k.dat' using column_k nooutput
last_k = STATS_max
fastest = 1e30
baseline_us = NaN
do for [v in shown] {
    at_last = NaN
    stats 'along_k.dat' index block_of(v) using (column(column_k) == last_k ? (at_last = $1, 1) : 0) nooutput
    if (v eq baseline) { baseline_us = at_last }
    if (at_last < fastest) { fastest = at_last; fastest_variant = v }
}
about = sprintf('time of a token, n = %d', along_k_n)
set xlabel 'kernels a token, K'
set ylabel 'time of a token (µs)'
set logscale xy
eval 'set xtics (' . decades . ')'
eval 'set ytics (' . decades . ')'
stats 'along_k.dat' using column_k nooutput
set xrange [STATS_min / 1.4 : STATS_max * 1.4]
# From the lowest end of a bar to the highest: none is cut off.
stats 'along_k.dat' using 2 nooutput
lowest = STATS_min
stats 'along_k.dat' using 3 nooutput
set yrange [lowest / 1.5 : STATS_max * 1.5]

# The lines are the model's, for the variants that it has; the points are the medians of what was measured.
modelled = ''
measured_only = ''
do for [v in shown] {
    if (word_index(v, along_k_modelled)) { modelled = modelled . v . ' ' } else { measured_only = measured_only . v . ' ' }
}
if (baseline_us == baseline_us) { says = sprintf('%s: %.3g× as fast as %s, K = %d', fastest_variant, baseline_us / fastest, baseline, last_k) }
note = 'whiskers: p10 to p90' . (words(modelled) ? '; lines: the model' : '')
eval titles
plot for [v in modelled] 'along_k.dat' index block_of(v) using column_k:4 with lines linetype style_of(v) notitle, \
     for [v in shown] 'along_k.dat' index block_of(v) using column_k:2:(0):($3 - $2) \
         with vectors nohead linetype style_of(v) dashtype 1 notitle, \
     for [v in shown] 'along_k.dat' index block_of(v) using column_k:1 with points linetype style_of(v) notitle, \
     for [v in modelled] keyentry with linespoints linetype style_of(v) title v noenhanced, \
     for [v in measured_only] keyentry with points linetype style_of(v) title v noenhanced
