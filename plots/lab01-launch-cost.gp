# Lab 01: the time of a token against its number of kernels K: measured, and as the model has it.
if (along_k_count < 3) {
    print 'needs three values of k or more: ./lab run 01 --sweep'
    exit status 77
}
column_k = 5 + word_index('k', knobs)

set label 1003 sprintf('Time of a token, n = %d', along_k_n) at screen 0.53, name_at center
set xlabel 'kernels a token, K'
set ylabel 'time of a token (µs)'
set logscale xy
eval 'set xtics (' . decades . ')'
eval 'set ytics (' . decades . ')'
stats 'along_k.dat' using column_k nooutput
set xrange [STATS_min / 1.4 : STATS_max * 1.4]
stats 'along_k.dat' using 1 nooutput
set yrange [STATS_min / 1.8 : STATS_max * 1.8]

# The lines are the model's, the points the median of what was measured, their bars its 10th to 90th percentile.
plot for [v in shown] 'along_k.dat' index block_of(v) using column_k:4 with lines linetype style_of(v) notitle, \
     for [v in shown] 'along_k.dat' index block_of(v) using column_k:2:(0):($3 - $2) \
         with vectors nohead linetype style_of(v) dashtype 1 notitle, \
     for [v in shown] 'along_k.dat' index block_of(v) using column_k:1 with points linetype style_of(v) notitle, \
     for [v in shown] keyentry with linespoints linetype style_of(v) title v, \
     keyentry with lines linetype nodraw title 'lines: model'
