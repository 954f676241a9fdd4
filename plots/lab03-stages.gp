# Lab 03: bandwidth against the stages of the ring, a curve a tile size: filled markers for warp-roles, open ones for
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
sizes = ''
do for [k in values_block_k] {
    stats 'points.dat' using (chosen(0) && column(column_block_k) == k + 0 ? 1 : 0) nooutput
    if (STATS_sum > 0) { sizes = sizes . k . ' ' }
}
set key maxrows 3
set xlabel 'stages'
set ylabel 'TB/s'
stats 'points.dat' using (chosen(0) ? column(column_stages) : NaN) nooutput
set xrange [STATS_min - 0.3 : STATS_max + 0.3]
set xtics 1
stats 'points.dat' using (chosen(0) ? tb_per_s(0) : NaN) nooutput
top = STATS_max
if (read_tb_per_s < 10 * top) { # else the curves would lie on the axis
    top = read_tb_per_s > top ? read_tb_per_s : top
    set arrow 1 from graph 0, first read_tb_per_s to graph 1, first read_tb_per_s nohead linetype 18 back
    set label 1 'B_{read}' at graph 0.98, first read_tb_per_s right offset 0, -0.6
}
set yrange [0 : top * 1.05]

of(k) = (chosen(0) && column(column_block_k) == k ? column(column_stages) : NaN)
filled(i) = int(word('5 7 9 13 11 15', i))
plot for [i = 1:words(sizes)] 'points.dat' index block_of('warp-roles') using (of(word(sizes, i) + 0)):(tb_per_s(0)) \
         with linespoints linetype i dashtype 1 pointtype filled(i) notitle, \
     for [i = 1:words(sizes)] 'points.dat' index block_of('async-tiles') using (of(word(sizes, i) + 0)):(tb_per_s(0)) \
         with linespoints linetype i dashtype (4,3) pointtype filled(i) - 1 notitle, \
     for [i = 1:words(sizes)] keyentry with linespoints linetype i dashtype 1 pointtype filled(i) title word(sizes, i) . ' keys', \
     keyentry with points pointtype 7 pointsize 0.8 * marker linecolor rgb '#707070' title 'warp-roles', \
     keyentry with points pointtype 6 pointsize 0.8 * marker linecolor rgb '#707070' title 'async-tiles'
