# Lab 07: the time of a token against the context, every rung; the line that its bytes would take at B_read.
load plots . 'lab07.gp'
chosen(c) = usual(0) && column(column_model) == headline_model && column(column_tokens) == headline_tokens
candidates = 'graph-pdl kernel ring-ahead ring-flag ring-spread ring-many'
sweep = 'position'
height = 500
load theme
load plots . 'sweep.gp'

set key maxrows 4
set tmargin at screen top_below_three_rows - 0.04
set bmargin at screen 0.23 * 440 / height
best_column = column_position
eval best_at
says = best_says(sprintf('position %d', found))
about = sprintf('%s, %d tokens', name_of(names_model, headline_model), headline_tokens)
eval titles
set xlabel 'keys of the first token, its own among them'
set ylabel 'a token (µs)'
set logscale x 2
set logscale y
low = 1e30
high = 0
do for [v in shown] {
    stats 'points.dat' index block_of(v) using (chosen(0) ? $1 : NaN) nooutput
    low = smaller(low, STATS_min)
    high = larger(high, STATS_max)
}
if (!is_cpu) {
    stats 'points.dat' index block_of(word(shown, 1)) using (chosen(0) ? limit_us(0) : NaN) nooutput
    if (STATS_records > 0) { low = smaller(low, STATS_min) }
}
stats 'points.dat' index block_of(word(shown, 1)) using (chosen(0) ? column(column_position) + 1 : NaN) nooutput
set xrange [STATS_min / 1.3 : STATS_max * 1.3]
set yrange [low / 1.4 : high * 1.4]
eval 'set xtics (' . '"1" 1, "8" 8, "64" 64, "512" 512, "4096" 4096, "2^{15}" 32768' . ')'
eval 'set ytics (' . ticks_between(low / 1.4, high * 1.4) . ')'

line(c) = (chosen(0) && !is_cpu ? limit_us(0) : NaN)
plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_position) + 1 : NaN):1 \
         with linespoints linetype style(v) title v noenhanced, \
     'points.dat' index block_of(word(shown, 1)) using (chosen(0) ? column(column_position) + 1 : NaN):(line(0)) \
         with lines linetype 19 title (is_cpu ? '' : 'its bytes at B_{read}')
