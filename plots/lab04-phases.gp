# Lab 04: what making, launching and updating a graph takes a node, against the number of its nodes: each phase apart.
load plots . 'lab04.gp'
chosen(c) = column(column_work) == 0 && column(column_n) == 1024 && replays(0) == 1
candidates = 'axpy-graph'
all_variants = candidates
sweep = 'nodes'
load plots . 'sweep.gp'
if (!word_index('capture', phases) || !word_index('instantiate', phases) || !word_index('upload', phases)) {
    print 'the file has no times of capture, instantiation and upload; run the lab again'
    exit status 77
}

# A rung's update is timed apart at the points of decode; a step's nodes are what it launches without a graph.
of_rung = ''
set print $updates
do for [v in 'update-nodes update-graph'] {
    if (word_index(v, drawn) && word_index('update', phases)) {
        eval collect(v, column_phase_update)
        do for [pair in collected] {
            print sprintf('%s %g %g', v, collected_at(launches, key_of(pair)), value_of(pair))
            of_rung = word_index(v, of_rung) ? of_rung : of_rung . v . ' '
        }
    }
}
set print

once(c) = column(column_phase_capture) + column(column_phase_instantiate) + column(column_phase_upload)
first_k = 0
stats 'points.dat' index block_of('axpy-graph') using (chosen(0) ? (first_k = first_k > 0 ? first_k : column(column_k), last_k = column(column_k), 1) : 0) nooutput
stats 'points.dat' index block_of('axpy-graph') using (chosen(0) && column(column_k) == first_k ? (once_first = once(0), replay_first = $1, 1) : 0) nooutput
stats 'points.dat' index block_of('axpy-graph') using (chosen(0) && column(column_k) == last_k ? (once_last = once(0), replay_last = $1, 1) : 0) nooutput

height = 540
load theme
share = 440.0 / height
from_top(at) = 1 - (1 - at) * share
name_at = from_top(name_at)
device_at = from_top(device_at)
note_at = note_at * share
set key at screen 0.53, from_top(key_at) center top maxcols 2 maxrows 4 width -2
set tmargin at screen from_top(0.64)
set bmargin at screen 0.23 * share
two_digits(x) = sprintf(x < 0.995 ? '%.2f' : x < 9.95 ? '%.1f' : '%.0f', x)
# The difference of two times may be less than their noise.
further(us) = us < 0 ? 'too little to tell' : two_digits(us) . ' µs'
says = sprintf('A further node: %s once, %s a replay', further((once_last - once_first) / (last_k - first_k)), \
               further((replay_last - replay_first) / (last_k - first_k)))
about = 'K AXPYs, n = 1024'
note = words(of_rung) ? 'replay: median; updates: of a step of decode' : 'replay: median'
eval titles
set xlabel 'nodes of the graph, K'
set ylabel 'time a node (µs)'
set logscale x
eval 'set xtics (' . decades . ')'
set xrange [first_k / 1.4 : last_k * 1.4]

# In the order of the key, column by column.
drawn_columns = sprintf('%d %d %d %d 1 %d', column_phase_capture, column_phase_instantiate, column_phase_upload, column_first, \
                        column_submit)
looks = '17 13 14 12 11 15'
phase_name(i) = (i == 1 ? 'capture' : i == 2 ? 'instantiate' : i == 3 ? 'upload' : i == 4 ? 'first launch' : i == 5 ? 'replay' : 'replay: its call')
a_node(i) = (chosen(0) ? column(int(word(drawn_columns, i))) / column(column_k) : NaN)
highest = 0
do for [i = 1:6] {
    stats 'points.dat' index block_of('axpy-graph') using (a_node(i)) nooutput
    highest = larger(highest, STATS_max)
}
set yrange [0 : highest * 1.1]
update_name(v) = v eq 'update-nodes' ? 'update: nodes' : 'capture + update'
update_look(v) = v eq 'update-nodes' ? 6 : 10
plot for [i = 1:6] 'points.dat' index block_of('axpy-graph') using (chosen(0) ? column(column_k) : NaN):(a_node(i)) \
         with linespoints linetype int(word(looks, i)) title phase_name(i), \
     for [v in of_rung] $updates using (strcol(1) eq v ? $2 : NaN):($3 / $2) \
         with points linetype 11 pointtype update_look(v) pointsize 1.3 * marker title update_name(v)
