# Lab 03: bandwidth against the size of a tile, a curve a number of stages.
load plots . 'lab03_tiles.gp'

set xlabel 'keys of a tile'
set logscale x 2
stats 'points.dat' using (chosen(0) ? column(column_block_k) : NaN) nooutput
set xrange [STATS_min / 1.15 : STATS_max * 1.15]
set xtics (8, 16, 32, 64, 128, 256)
set yrange [0 : top * 1.05]
if (read_is_near) { set label 1 'B_{read}' at graph 0.02, first read_rate offset 0, -0.6 }

curves = ''
do for [n in values_stages] { if (n + 0 > 0) { curves = curves . n . ' ' } }
of(n) = (chosen(0) && column(column_stages) == n ? column(column_block_k) : NaN)
load plots . 'lab03_apart.gp'
plot for [i = 1:filled_curves] 'points.dat' index block_of('warp-roles') using (of(word(curves, i) + 0)):(rate(0)) \
         with linespoints linetype i dashtype 1 pointtype filled(i) notitle, \
     for [i in seen] 'points.dat' index block_of('async-tiles') using (of(word(curves, int(i)) + 0)):(rate(0)) \
         with linespoints linetype int(i) dashtype (4,3) pointtype filled(int(i)) - 1 notitle, \
     for [i = 1:filled_curves] keyentry with linespoints linetype i dashtype 1 pointtype filled(i) title word(curves, i) . ' stages', \
     for [i = 1:open_curves] keyentry with linespoints linetype i dashtype (4,3) pointtype filled(i) - 1 title word(curves, i) . ' stages'
