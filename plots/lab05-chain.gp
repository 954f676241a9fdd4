# Lab 05, part two: time of a pass, and latency of a load beside the stream, against the bytes that a processor has under
# way, with the model's line: what is queued in front of a load, over the processor's part of B_read.
if (is_cpu) {
    print 'the CPU device has no memory of its own: what is under way there decides nothing'
    exit status 77
}
chosen(c) = column(column_work) == word_index('chain', names_work) - 1 && column(column_in_flight) > 0 \
            && column(column_chunk) > 0
candidates = 'chain-limit chain-flag chain-shares chain-free'
sweep = 'ahead'
height = 560
load theme
all_variants = 'chain-free chain-limit chain-read chain-flag chain-shares'
load plots . 'sweep.gp'
shown = timed # lines that lie close together too: a few percent are what this figure is about

# Where the last rung is fastest.
fastest = 0
fastest_kb = 0
last = word(shown, words(shown))
do for [v in shown] { if (v eq 'chain-shares') { last = v } }
stats 'points.dat' index block_of(last) using \
      (chosen(0) ? (fastest == 0 || $1 < fastest ? (fastest = $1, fastest_kb = column(column_in_flight)) : 0, 1) : NaN) nooutput
stats 'points.dat' index block_of(last) using (chosen(0) ? column(column_in_flight) : NaN) nooutput
most_kb = STATS_max
set xrange [STATS_min / 1.15 : most_kb * 1.15]
set logscale x 2
set xtics (4, 8, 16, 32, 64, 128, 256)
bytes_per_us = read_gb_per_s * 1e3 / processors
queued(kb) = kb * 1024 / bytes_per_us

says = sprintf('%s: %.0f µs a pass with %d KB under way', last, fastest, fastest_kb)
stats 'points.dat' index block_of(last) using (chosen(0) ? column(column_chunk) : NaN) nooutput
about = sprintf('copies of %d KB', STATS_max)
has_read = word_index('chain-read', drawn) > 0
note = has_read ? 'triangle: p50, whisker to the p99; line: under way / (B_read / processors)' : ''
eval titles

set multiplot
set tmargin at screen 0.72
set bmargin at screen 0.46
set format x ''
set ylabel 'pass (µs)' offset 0.6, 0
plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_in_flight) : NaN):1 \
         with linespoints linetype style(v) title v noenhanced

do for [i in '1002 1003 1005'] { eval 'unset label ' . i }
set key off
set tmargin at screen 0.42
set bmargin at screen 0.18
set format x '%g'
set xlabel 'under way at most, a processor (KB)'
set ylabel 'load (µs)' offset 0, 0
set ytics auto
set samples 200
top = queued(most_kb)
if (has_read) {
    stats 'points.dat' index block_of('chain-read') using (chosen(0) ? column(column_p99) : NaN) nooutput
    top = larger(top, STATS_max)
    set yrange [0 : top * 1.1]
    plot queued(x) with lines linetype 19, \
         'points.dat' index block_of('chain-read') using (chosen(0) ? column(column_in_flight) : NaN):(column(column_p50)):(0):(column(column_p99) - column(column_p50)) \
             with vectors nohead linetype style('chain-read') dashtype 1, \
         'points.dat' index block_of('chain-read') using (chosen(0) ? column(column_in_flight) : NaN):(column(column_p50)) \
             with linespoints linetype style('chain-read')
} else {
    set yrange [0 : top * 1.1]
    plot queued(x) with lines linetype 19
}
unset multiplot
