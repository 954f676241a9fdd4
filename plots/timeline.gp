# A timeline of two variants, from what --trace recorded: what the host submits above what the device runs. Above the
# first two tokens, below the first kernels of the first variant, close up. Times are those of recorded repetitions. A
# script may set before it loads this, as lists of which the first that was recorded is taken
#   from_variants    the first variant; else the baseline
#   to_variants      the second; else the one with the fewest launches a token
if (!words(timeline_variants)) {
    print timeline_why
    exit status 77
}
if (!exists('from_variants')) { from_variants = baseline }
if (!exists('to_variants')) { to_variants = '' }
recorded(v) = word_index(v, timeline_variants)
of_variant(list, v) = real(word(list, recorded(v)))

from = ''
do for [v in from_variants . ' ' . timeline_variants] { if (from eq '' && recorded(v)) { from = v } }
to = ''
do for [v in to_variants] { if (to eq '' && v ne from && recorded(v)) { to = v } }
if (to eq '') {
    do for [v in timeline_variants] {
        if (v ne from && v ne 'work-only' \
            && (to eq '' || of_variant(timeline_launches, v) < of_variant(timeline_launches, to))) { to = v }
    }
}
if (to eq '') {
    print sprintf('needs two variants in the timeline: ./lab run %s --solution --trace', lab[4:])
    exit status 77
}

height = 620
load theme
share = 440.0 / height
from_top(at) = 1 - (1 - at) * share
says = sprintf('%s: %.4g launches a token; %s: %.4g', from, of_variant(timeline_launches, from), to, \
               of_variant(timeline_launches, to))
about = 'as recorded'
note = 'dashed: a token is done; recording slows the host'
name_at = from_top(name_at)
device_at = from_top(device_at)
note_at = note_at * share
eval titles
set key at screen 0.53, from_top(key_at) center top maxrows 1 font ',16' samplen 1.6 width 0.5

# Rows from the top: a variant's name, its host, its device. Tracks of the device share its row.
lane_of(v) = (v eq from ? 0 : 3.1)
host_row = 1
device_row = 2
half = 0.36
row_of(v, track) = lane_of(v) + (track == 0 ? host_row : device_row + (track - (of_variant(timeline_tracks, v) + 1) / 2.0) \
                                 / larger(1, of_variant(timeline_tracks, v)) * 2 * half)
half_of(v, track) = (track == 0 ? half : half / larger(1, of_variant(timeline_tracks, v)))

set yrange [5.6 : -0.1]
set ytics ('host' lane_of(from) + host_row, 'device' lane_of(from) + device_row, \
           'host' lane_of(to) + host_row, 'device' lane_of(to) + device_row) scale 0
set grid noytics
set ylabel ''
set border 1
set style fill solid 1 noborder
block_of_timeline(v) = recorded(v) - 1
# A bar that is narrower than the eye can see is drawn as wide as that.
seen(begin, end) = larger(end, begin + window / 900.0)

# kinds: 0 submission, 1 wait, 2 other call, 3 kernel, 4 copy
is_kind(k) = ($4 == k)
begin_of(k) = ($4 == k && $1 < window ? $1 : NaN)
end_of(c) = smaller(window, seen($1, $2))
bars(file, v, k) = sprintf("'%s' index %d using (begin_of(%d)):(0):(begin_of(%d)):(end_of(0)):(row_of('%s', $3) - half_of('%s', $3)):(row_of('%s', $3) + half_of('%s', $3)) with boxxyerror ", \
                           file, block_of_timeline(v), k, k, v, v, v, v)
# Light, dark and middle in grey too.
looks_0 = "fillcolor rgb '#000000' "
looks_1 = "fillcolor rgb '#d0d0d0' "
looks_2 = "fillcolor rgb '#a8a8a8' "
looks_3 = "fillcolor rgb '#4f86c6' "
looks_4 = "fillcolor rgb '#e9a27a' "

all_bars(file) = bars(file, from, 1) . looks_1 . "notitle, " . bars(file, to, 1) . looks_1 . "notitle, " \
               . bars(file, from, 2) . looks_2 . "notitle, " . bars(file, to, 2) . looks_2 . "notitle, " \
               . bars(file, from, 0) . looks_0 . "notitle, " . bars(file, to, 0) . looks_0 . "notitle, " \
               . bars(file, from, 3) . looks_3 . "notitle, " . bars(file, to, 3) . looks_3 . "notitle, " \
               . bars(file, from, 4) . looks_4 . "notitle, " . bars(file, to, 4) . looks_4 . "notitle"
keys = ", keyentry with boxes " . looks_0 . "title 'submission', " \
     . "keyentry with boxes " . looks_1 . "title 'wait', keyentry with boxes " . looks_3 . "title 'kernel'"

# Four or five ticks on an axis of this length.
power(x) = 10.0 ** floor(log10(x))
step(x) = (x / power(x) < 1.2 ? 0.2 : x / power(x) < 2.5 ? 0.5 : x / power(x) < 6 ? 1 : 2) * power(x)


window = larger(of_variant(timeline_window, from), of_variant(timeline_window, to))
mark = "set arrow %d from %g, first %g to %g, first %g nohead linetype 1 dashtype (3,2) linewidth 0.7 front"
do for [v in from . ' ' . to] {
    do for [list in 'timeline_first_token timeline_window'] {
        done = of_variant(value(list), v)
        number = 20 + 2 * (v eq to) + (list eq 'timeline_window')
        if (done == done && (list ne 'timeline_window' || of_variant(timeline_tokens, v) > 1)) { eval sprintf(mark, number, done, lane_of(v) + 0.5, done, lane_of(v) + 2.5) }
    }
}
set multiplot
set label 11 from at graph 0.01, first lane_of(from) + 0.2 left noenhanced font ',15' front
set label 12 to at graph 0.01, first lane_of(to) + 0.2 left noenhanced font ',15' front
set xrange [0 : window]
set xtics step(window)
set tmargin at screen from_top(0.775)
set bmargin at screen 0.545
tokens = smaller(of_variant(timeline_tokens, from), of_variant(timeline_tokens, to))
set xlabel (tokens >= 2 ? 'two tokens (µs)' : tokens >= 1 ? 'a token (µs)' : 'a repetition (µs)')
eval 'plot ' . all_bars('timeline.dat') . keys

unset key
unset label 1003
unset label 1002
unset label 1005
window = smaller(window, of_variant(timeline_close_up, from))
set xrange [0 : window]
set xtics step(window)
do for [number = 20:23] { unset arrow number }
set tmargin at screen 0.43
set bmargin at screen 0.23 * share
set xlabel 'the first kernels, close up (µs)'
eval 'plot ' . all_bars('timeline_close.dat')
unset multiplot
