# Lab 03: bandwidth against the size of a tile, a curve a number of stages.
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab03_tiles.gp'

set xlabel 'keys of a tile'
set logscale x 2
stats 'points.dat' using (chosen(0) ? column(column_block_k) : NaN) nooutput
set xrange [STATS_min / 1.15 : STATS_max * 1.15]
set xtics (8, 16, 32, 64, 128, 256)
set yrange [0 : top * 1.05]
if (read_is_near) { set label 1 'B_{read}' at graph 0.02, first read_tb_per_s offset 0, -0.6 }

numbers = ''
do for [n in values_stages] { if (n + 0 > 0) { numbers = numbers . n . ' ' } }
of(n) = (chosen(0) && column(column_stages) == n ? column(column_block_k) : NaN)
plot for [i = 1:words(numbers)] 'points.dat' index block_of('warp-roles') using (of(word(numbers, i) + 0)):(tb_per_s(0)) \
         with linespoints linetype i dashtype 1 pointtype filled(i) notitle, \
     for [i = 1:words(numbers)] 'points.dat' index block_of('async-tiles') using (of(word(numbers, i) + 0)):(tb_per_s(0)) \
         with linespoints linetype i dashtype (4,3) pointtype filled(i) - 1 notitle, \
     for [i = 1:words(numbers)] keyentry with linespoints linetype i dashtype 1 pointtype filled(i) title word(numbers, i) . ' stages', \
     keyentry with points pointtype 7 pointsize 0.8 * marker linecolor rgb '#707070' title 'warp-roles', \
     keyentry with points pointtype 6 pointsize 0.8 * marker linecolor rgb '#707070' title 'async-tiles'
