# Lab 06: the largest error of a result against how large x is drawn, by exact and by fast forms.
load plots . 'lab06.gp'
of_math(math) = column(column_work) == 0 && column(column_rows) > 1 && column(column_layers) == 1 && column(column_math) == math && column(column_columns) == headline_columns && \
                column(column_type) == headline_type && column(column_act) == headline_act
v = 'vector'
count = 0
if (word_index(v, drawn)) { stats 'points.dat' index block_of(v) using (of_math(1) ? 1 : 0) nooutput; count = STATS_sum }
if (count < 2) {
    print sweep_is_needed('error')
    exit status 77
}
stats 'points.dat' index block_of(v) using (of_math(0) ? column(column_error) : NaN) nooutput
exact_low = STATS_min
exact_high = STATS_max
stats 'points.dat' index block_of(v) using (of_math(1) ? column(column_error) : NaN) nooutput
fast_low = STATS_min
fast_high = STATS_max
stats 'points.dat' index block_of(v) using (of_math(1) ? column(column_span) : NaN) nooutput
low = smaller(exact_low, fast_low)
high = larger(exact_high, fast_high)
says = sprintf('fast: off by up to %.2g; exact: by %.2g', fast_high, exact_high)
about = sprintf('%s, %s', name_of(names_act, headline_act), name_of(names_type, headline_type))
note = 'absolute, against double; the residual is up to 4'
eval titles
set key maxrows 1
set tmargin at screen top_below_two_rows
set xlabel 'x is drawn from -span to span: span'
set ylabel 'largest error'
set logscale x 2
set logscale y 10
set xrange [STATS_min / 1.3 : STATS_max * 1.3]
set xtics (1, 2, 4, 8, 16, 32, 64, 128)
set yrange [low / 3 : high * 3]
eval 'set ytics (' . decades_apart . ')'
plot 'points.dat' index block_of(v) using (of_math(0) ? column(column_span) : NaN):(column(column_error)) \
         with linespoints linetype 1 title 'exact', \
     'points.dat' index block_of(v) using (of_math(1) ? column(column_span) : NaN):(column(column_error)) \
         with linespoints linetype 3 title 'fast'
