# Lab 06: the time of a layer of one row, as in decode, against the layers of a repetition: launches are all that there is.
load plots . 'lab06.gp'
chosen(c) = column(column_work) == 0 && column(column_rows) == 1 && column(column_columns) == headline_columns && column(column_type) == headline_type && \
            column(column_act) == headline_act && column(column_math) == headline_math
candidates = 'pointwise operators fused vector graph persistent'
sweep = 'decode'
height = 500
load theme
load plots . 'sweep.gp'

set key maxrows 4
set tmargin at screen top_below_three_rows - 0.04
set bmargin at screen 0.23 * 440 / height
best_column = column_layers
eval best_at
says = best_says(sprintf('L = %d', found))
about = sprintf('T = 1, H = %d, %s', headline_columns, name_of(names_type, headline_type))
counts = ''
do for [v in shown] {
    stats 'points.dat' index block_of(v) using (chosen(0) && column(column_layers) == 32 ? column(column_launches) : NaN) nooutput
    counts = counts . (strlen(counts) ? ', ' : 'kernels launched a layer: ') . v . sprintf(' %.3g', STATS_records ? STATS_min : NaN)
}
note = strlen(note) ? note : counts
eval titles
set xlabel 'layers of a repetition, L'
set ylabel 'time of a layer (µs)'
set logscale x 2
set logscale y 10
low = 1e30
high = 0
do for [v in shown] {
    stats 'points.dat' index block_of(v) using (chosen(0) ? $1 : NaN) nooutput
    low = smaller(low, STATS_min)
    high = larger(high, STATS_max)
}
set xrange [0.8 : 40]
set xtics (1, 2, 4, 8, 16, 32)
set yrange [low / 1.6 : high * 1.6]
eval 'set ytics (' . ticks_between(low, high) . ')'
plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_layers) : NaN):1 \
         with linespoints linetype style(v) title v noenhanced
