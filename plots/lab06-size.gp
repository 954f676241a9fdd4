# Lab 06: the time of a layer against the bytes that one kernel must move for it, with the line of memory: those bytes at
# B_read. What lies above it by the same ratio everywhere moves so many times as many bytes; what turns flat at the left
# is launches.
load plots . 'lab06.gp'
chosen(c) = column(column_work) == 0 && column(column_layers) == 2 && column(column_rows) > 1 && column(column_columns) == headline_columns && \
            column(column_type) == headline_type && column(column_act) == headline_act && column(column_math) == headline_math && \
            column(column_span) == headline_span
candidates = 'pointwise operators fused vector persistent'
sweep = 'size'
height = 500
load theme
load plots . 'sweep.gp'

set key maxrows 4
set tmargin at screen top_below_three_rows - 0.04
set bmargin at screen 0.23 * 440 / height
numbers = headline_act == 0 ? 3 : 4
mb(c) = numbers * column(column_rows) * column(column_columns) * (headline_type == 0 ? 4 : 2) * 1e-6
best_column = column_rows
eval best_at
says = best_says(sprintf('T = %d', found))
about = sprintf('%s, %s, H = %d', name_of(names_type, headline_type), name_of(names_act, headline_act), headline_columns)
note = strlen(note) ? note : sprintf('a layer of one kernel: x, residual and out, %d numbers an element', numbers)
eval titles
set xlabel 'bytes of a layer, by one kernel (MB)'
set ylabel 'time of a layer (µs)'
set logscale x 10
set logscale y 10
low = 1e30
high = 0
do for [v in shown] {
    stats 'points.dat' index block_of(v) using (chosen(0) ? $1 : NaN) nooutput
    low = smaller(low, STATS_min)
    high = larger(high, STATS_max)
}
stats 'points.dat' index block_of(word(shown, 1)) using (chosen(0) ? mb(0) : NaN) nooutput
first_mb = STATS_min
last_mb = STATS_max
at_read(x) = read_gb_per_s == read_gb_per_s ? x * 1e3 / read_gb_per_s : NaN
low = smaller(low, at_read(first_mb) == at_read(first_mb) ? at_read(first_mb) : low)
set xrange [first_mb / 1.5 : last_mb * 1.5]
set yrange [low / 2 : high * 1.6]
eval 'set xtics (' . ticks_between(first_mb, last_mb) . ')'
eval 'set ytics (' . ticks_between(low, high) . ')'
plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? mb(0) : NaN):1 \
         with linespoints linetype style(v) title v noenhanced, \
     at_read(x) with lines linetype 19 title 'at B_{read}'
