# Lab 07: bandwidth of a token against the bytes that a block may have under way, with the knee: the fewest with which all
# but 1% of the best is reached.
if (is_cpu) {
    print 'the CPU device has no memory of its own: what is under way there decides nothing'
    exit status 77
}
load plots . 'lab07.gp'
chosen(c) = column(column_model) == headline_model && column(column_position) == headline_position && \
            column(column_tokens) == headline_tokens && column(column_chunk) == headline_chunk && \
            column(column_ring) == headline_ring && column(column_blocks) == headline_blocks && \
            column(column_consumers) == headline_consumers && column(column_weights) == headline_weights && \
            column(column_share_keys) == headline_share_keys && column(column_in_flight) > 0
candidates = 'ring-ahead ring-flag ring-spread ring-many'
sweep = 'in-flight'
load plots . 'sweep.gp'
shown = timed # lines that lie close together too: a few percent are what this figure is about
note = ''

# Where the last rung is fastest, and its knee.
last = word(shown, words(shown))
fastest = 0
fastest_kb = 0
stats 'points.dat' index block_of(last) using \
      (chosen(0) ? (fastest == 0 || $1 < fastest ? (fastest = $1, fastest_kb = column(column_in_flight)) : 0, 1) : NaN) nooutput
knee = 0
stats 'points.dat' index block_of(last) using \
      (chosen(0) && $1 <= 1.01 * fastest && (knee == 0 || column(column_in_flight) < knee) ? (knee = column(column_in_flight), 1) : 0) nooutput
tb_per_s(c) = column(column_bytes) * 1e-6 / $1
says = sprintf('%s: %s a token with %d KB under way', last, time_text(fastest), fastest_kb)
about = sprintf('%s, position %d, copies of %d KB', name_of(names_model, headline_model), headline_position, headline_chunk)
note = sprintf('upright line: the knee, %d KB: 99%% of the best', knee)
eval titles
set xlabel 'under way at most, a block (KB)'
set ylabel 'TB/s'
set logscale x 2
stats 'points.dat' index block_of(last) using (chosen(0) ? column(column_in_flight) : NaN) nooutput
set xrange [STATS_min / 1.15 : STATS_max * 1.15]
set xtics (1, 2, 4, 8, 16, 32, 64, 128)
top = read_gb_per_s / 1000.0
set yrange [0 : top * 1.12]
set arrow 1 from graph 0, first top to graph 1, first top nohead linetype 19 back
set label 1 'B_{read}' at graph 0.02, first top offset 0, 0.6
set arrow 2 from knee, graph 0 to knee, graph 1 nohead linetype 12 back
plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_in_flight) : NaN):(tb_per_s(0)) \
         with linespoints linetype style(v) title v noenhanced
