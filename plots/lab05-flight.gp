# Lab 05: bandwidth against the bytes that a processor has under way, with the line of Little's law: what one byte more
# under way adds, by the latency of a load in the same run, until memory gives no more.
if (is_cpu) {
    print 'the CPU device has no memory of its own: what is under way there decides nothing'
    exit status 77
}
chosen(c) = column(column_stages) > 0 && column(column_pages) == headline_pages && column(column_rows) == headline_rows
candidates = 'roles'
sweep = 'flight'
load plots . 'lab05.gp'

kib(c) = column(column_stages) * page_bytes(0) / 1024
best = 0
best_kib = 0
stats 'points.dat' index block_of('roles') using (chosen(0) ? (tb_per_s(0) > best ? (best = tb_per_s(0)) : 0, 1) : 0) nooutput
# The knee: the fewest bytes with which all but 3% of the best is reached.
knee = 0
stats 'points.dat' index block_of('roles') using \
      (chosen(0) && tb_per_s(0) >= 0.97 * best && (knee == 0 || kib(0) < knee) ? (knee = kib(0), 1) : 0) nooutput
latency_us = 0
if (word_index('chase', drawn)) { stats 'points.dat' index block_of('chase') using 1 nooutput; latency_us = STATS_min }
little(x) = latency_us > 0 ? x * 1024 * processors / latency_us * 1e-6 : NaN

says = sprintf('97%% of the best with %d KiB under way a processor', knee)
about = sprintf('%d pages of %d keys of %d', headline_pages, headline_rows, headline_dim)
note = latency_us > 0 ? sprintf("line: Little's law at %.0f ns, the latency of a load in this run", 1000 * latency_us) : ''
eval titles
set xlabel 'under way at most, a processor (KiB)'
set ylabel 'TB/s'
set logscale x 2
stats 'points.dat' index block_of('roles') using (chosen(0) ? kib(0) : NaN) nooutput
set xrange [STATS_min / 1.2 : STATS_max * 1.2]
set xtics (4, 8, 16, 32, 64, 128, 256)
top = larger(best, read_tb_per_s)
set yrange [0 : top * 1.12]
set samples 400
set arrow 1 from graph 0, first read_tb_per_s to graph 1, first read_tb_per_s nohead linetype 19 back
set label 1 'B_{read}' at graph 0.02, first read_tb_per_s offset 0, 0.6
plot 'points.dat' index block_of('roles') using (chosen(0) ? kib(0) : NaN):(tb_per_s(0)) \
         with linespoints linetype style('roles') title 'roles' noenhanced, \
     (little(x) <= top ? little(x) : NaN) with lines linetype 12 title "Little's law"
