# Lab 03: bandwidth against the stages of the ring, a curve a tile size.
load plots . 'lab03_tiles.gp'

# Before there is a range, which stats would keep to.
curves = ''
do for [k in values_block_k] {
    stats 'points.dat' using (chosen(0) && column(column_block_k) == k + 0 ? 1 : 0) nooutput
    if (STATS_sum > 0) { curves = curves . k . ' ' }
}

set xlabel 'stages'
stats 'points.dat' using (chosen(0) ? column(column_stages) : NaN) nooutput
set xrange [STATS_min - 0.3 : STATS_max + 0.3]
set xtics 1
set yrange [0 : top * 1.05]
if (read_is_near) { set label 1 'B_{read}' at graph 0.98, first read_rate right offset 0, 0.6 }

of(k) = (chosen(0) && column(column_block_k) == k ? column(column_stages) : NaN)
load plots . 'lab03_apart.gp'
plot for [i = 1:filled_curves] 'points.dat' index block_of('warp-roles') using (of(word(curves, i) + 0)):(rate(0)) \
         with linespoints linetype i dashtype 1 pointtype filled(i) notitle, \
     for [i in seen] 'points.dat' index block_of('async-tiles') using (of(word(curves, int(i)) + 0)):(rate(0)) \
         with linespoints linetype int(i) dashtype (4,3) pointtype filled(int(i)) - 1 notitle, \
     for [i = 1:filled_curves] keyentry with linespoints linetype i dashtype 1 pointtype filled(i) title word(curves, i) . ' keys', \
     for [i = 1:open_curves] keyentry with linespoints linetype i dashtype (4,3) pointtype filled(i) - 1 title word(curves, i) . ' keys'
