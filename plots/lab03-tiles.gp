# Lab 03: bandwidth against the size of a tile, a curve a number of stages: filled markers for warp-roles, open ones for
# async-tiles.
chosen(c) = column(column_stages) > 0 && column(column_ragged) == 0 && column(column_seq_len) == swept_length && \
            column(column_batch) == swept_batch
candidates = 'async-tiles warp-roles'
sweep = 'tiles'
if (words(values_stages) < 2) {
    print 'needs the sweep "' . sweep . '": ./lab run 03 --sweep'
    exit status 77
}
# The sweep has rows whose stages are not the headline's: its length and batch are theirs.
swept(c) = column(column_stages) > 0 && column(column_stages) != headline_stages
stats 'points.dat' using (swept(0) ? column(column_seq_len) : NaN) nooutput
swept_length = STATS_max
stats 'points.dat' using (swept(0) ? column(column_batch) : NaN) nooutput
swept_batch = STATS_max
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab03.gp'

set label 1003 sprintf('K and V read, B = %d, L = %d', swept_batch, swept_length) at screen 0.53, name_at center
set key maxrows 3
set xlabel 'keys of a tile'
set ylabel 'TB/s'
set logscale x 2
stats 'points.dat' using (chosen(0) ? column(column_block_k) : NaN) nooutput
set xrange [STATS_min / 1.15 : STATS_max * 1.15]
set xtics (8, 16, 32, 64, 128, 256)
stats 'points.dat' using (chosen(0) ? tb_per_s(0) : NaN) nooutput
top = STATS_max
if (read_tb_per_s < 10 * top) { # else the curves would lie on the axis
    top = read_tb_per_s > top ? read_tb_per_s : top
    set arrow 1 from graph 0, first read_tb_per_s to graph 1, first read_tb_per_s nohead linetype 18 back
    set label 1 'B_{read}' at graph 0.02, first read_tb_per_s offset 0, -0.6
}
set yrange [0 : top * 1.05]

numbers = ''
do for [n in values_stages] { if (n + 0 > 0) { numbers = numbers . n . ' ' } }
of(n) = (chosen(0) && column(column_stages) == n ? column(column_block_k) : NaN)
filled(i) = int(word('5 7 9 13 11 15', i))
plot for [i = 1:words(numbers)] 'points.dat' index block_of('warp-roles') using (of(word(numbers, i) + 0)):(tb_per_s(0)) \
         with linespoints linetype i dashtype 1 pointtype filled(i) notitle, \
     for [i = 1:words(numbers)] 'points.dat' index block_of('async-tiles') using (of(word(numbers, i) + 0)):(tb_per_s(0)) \
         with linespoints linetype i dashtype (4,3) pointtype filled(i) - 1 notitle, \
     for [i = 1:words(numbers)] keyentry with linespoints linetype i dashtype 1 pointtype filled(i) title word(numbers, i) . ' stages', \
     keyentry with points pointtype 7 pointsize 0.8 * marker linecolor rgb '#707070' title 'warp-roles', \
     keyentry with points pointtype 6 pointsize 0.8 * marker linecolor rgb '#707070' title 'async-tiles'
