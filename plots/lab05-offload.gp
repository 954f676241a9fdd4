# Lab 05, part three, over the bus: bandwidth against the bytes under way in the whole device, for bulk copies of few
# processors, with what the copy engine and ordinary loads reach.
if (is_cpu) {
    print "the CPU device has no bus: the host's memory is its own"
    exit status 77
}
of_offload(c) = (column(column_work) == word_index('offload', names_work) - 1)
chosen(c) = (of_offload(0) && column(column_max_in_flight) > 0)
candidates = 'offload-bulk'
sweep = 'offload'
load plots . 'lab05.gp'

kib(c) = column(column_max_in_flight) * column(column_chunk_k) * page_bytes(0) / 1024
gb_per_s(c) = 1000 * tb_per_s(0)
best = 0
stats 'points.dat' index block_of('offload-bulk') using (chosen(0) ? (best = larger(best, gb_per_s(0)), 1) : 0) nooutput
# The knee, and what it says of the round trip: bytes under way over bandwidth where there are few.
knee = 0
few_kib = 0
few = 0
low = 1e30
high = 0
stats 'points.dat' index block_of('offload-bulk') using (chosen(0) ? (low = smaller(low, kib(0)), high = larger(high, kib(0)), 1) : 0) nooutput
stats 'points.dat' index block_of('offload-bulk') using (chosen(0) && gb_per_s(0) >= 0.97 * best && (knee == 0 || kib(0) < knee) \
      ? (knee = kib(0), 1) : 0) nooutput
stats 'points.dat' index block_of('offload-bulk') using (chosen(0) && kib(0) == low ? (few_kib = kib(0), few = gb_per_s(0), 1) : 0) nooutput
round_trip_us = few_kib * 1024 / few / 1000
little(x) = x * 1024 / round_trip_us / 1000

# The others do not depend on it: their median over the sweep.
median_of(v) = sprintf("stats 'points.dat' index block_of('%s') using (of_offload(0) && column(column_max_in_flight) > 0 ? gb_per_s(0) : NaN) nooutput", v)
engine = 0
loads = 0
if (word_index('offload-engine', drawn)) { eval median_of('offload-engine'); engine = STATS_median }
if (word_index('offload-loads', drawn)) { eval median_of('offload-loads'); loads = STATS_median }

says = sprintf('97%% of the best with %d KiB under way in all', knee)
about = sprintf('pages of %d keys of %d', headline_rows, headline_dim)
note = sprintf("line: Little's law at %s, from the first point", time_text(round_trip_us))
eval titles
set xlabel 'under way at most, in the whole device (KiB)'
set ylabel 'GB/s'
set logscale x 2
set xrange [low / 1.2 : high * 1.2]
set xtics (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, '1 Mi' 1024, '2 Mi' 2048, '4 Mi' 4096)
top = larger(best, larger(engine, loads))
set yrange [0 : top * 1.15]
set samples 400
plot 'points.dat' index block_of('offload-bulk') using (chosen(0) ? kib(0) : NaN):(gb_per_s(0)) \
         with linespoints linetype 11 title 'bulk copies', \
     (engine > 0 ? engine : NaN) with lines linetype 13 title 'copy engine', \
     (loads > 0 ? loads : NaN) with lines linetype 14 title 'ordinary loads', \
     (little(x) <= top ? little(x) : NaN) with lines linetype 12 title "Little's law"
