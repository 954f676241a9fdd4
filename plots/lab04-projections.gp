# Lab 04: each projection beside a plain read of the same weights: what share of its time the read would take.
chosen(c) = column(column_work) == 3
candidates = 'project-read project-matvec'
all_variants = candidates
sweep = 'projections'
load plots . 'sweep.gp'

parts = 'q k v qkv o gate up gate+up down logits'
models = 'tiny tiny-qwen2 tiny-qwen3 smollm2 qwen2.5 llama-3.2 qwen3-8b'
# Rows of both variants stand in the same order: those of one model are neighbours.
labels = ''
eval "stats 'points.dat' index block_of('project-read') using (chosen(0) ? (labels = labels . word(models, int(column(column_model)) + 1) . '/' . word(parts, int(column(column_part)) + 1) . ' ', 1) : 0) nooutput"
reads = word_index('project-read', timed) ? times_of('project-read') : ''
matvecs = word_index('project-matvec', timed) ? times_of('project-matvec') : ''
rows = words(reads)
if (words(matvecs) != rows) {
    print 'the sweep "projections" has times of one of its two variants alone at some points'
    exit status 77
}
ratio(i) = real(word(reads, i)) / real(word(matvecs, i))
least = 1
do for [i = 1:rows] { if (ratio(i) < ratio(least)) { least = i } }

height = 440 + 36 * larger(0, rows - 8)
load theme
share = 440.0 / height
from_top(at) = 1 - (1 - at) * share
name_at = from_top(name_at)
device_at = from_top(device_at)
note_at = note_at * share
set tmargin at screen from_top(top_without_key)
set bmargin at screen 0.23 * share
set lmargin at screen 0.4
says = sprintf('least: %.2f, %s', ratio(least), word(labels, least))
about = 'all layers'
note = is_cpu ? 'dashed: the target, which is for a GPU' : 'dashed: the target'
eval titles
set key off
set xlabel 'read / projection (time)'
most = 1
do for [i = 1:rows] { most = larger(most, ratio(i)) }
set xrange [0 : 1.05 * most]
set yrange [rows + 0.5 : 0.5]
set ytics scale 0 noenhanced
set grid noytics
set arrow 1 from 0.92, graph 0 to 0.92, graph 1 nohead linetype 6 dashtype 2 back
set for [i = 1:rows] ytics add (word(labels, i) i)
set samples rows
do for [i = 1:rows] { set label i sprintf('%.2f', ratio(i)) at 0.02 * most, i left front }
plot '+' using (ratio(int($0) + 1)):(int($0) + 1):(0):(ratio(int($0) + 1)):(int($0) + 0.7):(int($0) + 1.3) \
         with boxxyerror linetype 2 dashtype 1 linewidth 0.6 fillcolor rgb '#b8cde4' fillstyle solid 1 border
