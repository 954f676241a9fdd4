# Lab 03: bandwidth against the stages of the ring, a curve a tile size.
load theme[1:strlen(theme) - strlen('theme.gp')] . 'lab03_tiles.gp'

set xlabel 'stages'
stats 'points.dat' using (chosen(0) ? column(column_stages) : NaN) nooutput
set xrange [STATS_min - 0.3 : STATS_max + 0.3]
set xtics 1
set yrange [0 : top * 1.05]
if (read_is_near) { set label 1 'B_{read}' at graph 0.98, first read_tb_per_s right offset 0, -0.6 }

sizes = ''
do for [k in values_block_k] {
    stats 'points.dat' using (chosen(0) && column(column_block_k) == k + 0 ? 1 : 0) nooutput
    if (STATS_sum > 0) { sizes = sizes . k . ' ' }
}
of(k) = (chosen(0) && column(column_block_k) == k ? column(column_stages) : NaN)
plot for [i = 1:words(sizes)] 'points.dat' index block_of('warp-roles') using (of(word(sizes, i) + 0)):(tb_per_s(0)) \
         with linespoints linetype i dashtype 1 pointtype filled(i) notitle, \
     for [i = 1:words(sizes)] 'points.dat' index block_of('async-tiles') using (of(word(sizes, i) + 0)):(tb_per_s(0)) \
         with linespoints linetype i dashtype (4,3) pointtype filled(i) - 1 notitle, \
     for [i = 1:words(sizes)] keyentry with linespoints linetype i dashtype 1 pointtype filled(i) title word(sizes, i) . ' keys', \
     keyentry with points pointtype 7 pointsize 0.8 * marker linecolor rgb '#707070' title 'warp-roles', \
     keyentry with points pointtype 6 pointsize 0.8 * marker linecolor rgb '#707070' title 'async-tiles'
