# Bars: how many times faster than the baseline each variant is: for the ladder with the 95% interval of the paired
# ratios; for the other baselines, and for another program's variants, which are not paired with the first one, the ratio
# of the medians. A variant of another program that did not run has no row, nor has work-only, which is what the others
# are held against. A script sets before it loads this
#   about    the conditions
is_shown(v) = (word_index(v, drawn) && v ne baseline && v ne 'work-only')
if ((sum [i = 1:words(variants)] is_shown(word(variants, i))) < 1) {
    print sprintf('needs a variant beside the baseline: ./lab run %s or ./lab run %s --solution', lab[4:], lab[4:])
    exit status 77
}
stats 'headline.dat' using (strcol(2) eq baseline && $3 == $3 ? 1 : 0) nooutput
if (STATS_sum < 1) {
    print sprintf('needs a time of %s at the default point: ./lab run %s --solution', baseline, lab[4:])
    exit status 77
}
stats 'headline.dat' using (strcol(2) eq baseline ? $3 : NaN) nooutput
baseline_us = STATS_min
# Baselines come first, and the first of them has no bar; peers come last.
stats 'headline.dat' using 1 nooutput
listed = STATS_max
stats 'headline.dat' using (word_index(strcol(2), peers) ? 1 : 0) nooutput
last_own = listed - STATS_sum
# The place of each row of headline.dat: rows without a bar are left out, places close up.
has_row(c) = (strcol(2) ne 'work-only' && (!word_index(strcol(2), peers) || $3 == $3))
places = ''
rows = 0
own = 0
do for [i = 1:listed] {
    stats 'headline.dat' using ($1 == i && has_row(0) ? 1 : 0) nooutput
    rows = rows + STATS_sum
    own = i <= last_own ? rows : own
    places = places . sprintf('%d ', rows)
}
place(c) = (has_row(0) ? word(places, int($1)) - 1 : NaN)
stats 'headline.dat' using (has_row(0) ? strlen(strcol(2)) : NaN) nooutput
longest = STATS_max
STATS_records = 0
stats 'speedup.dat' using 1 nooutput
ladder = STATS_records
row_of(row) = row + own - ladder - 1
is_rival(row, name) = (row <= last_own - ladder && name ne baseline && name ne 'work-only')
is_peer(row) = (row > last_own)

measured(value, coordinate) = (value == value ? coordinate : NaN)
stats 'headline.dat' using (has_row(0) ? baseline_us / $3 : NaN) nooutput
lowest = smaller(1, smaller(STATS_min, speedup_low))
highest = larger(2, larger(STATS_max, speedup_high))

# Beyond the end of the longest bars their values need room.
span = highest / lowest
left_end = lowest / span ** (lowest < 0.999 ? 0.8 : 0.03)
right_end = highest * span ** 0.35
half = 0.3

best = 0
best_name = ''
if (ladder) { stats 'speedup.dat' using ($3 > best ? (best = $3, best_name = strcol(2), 1) : 0) nooutput }
if (best > 0) { says = sprintf('%s is %.3g× as fast as %s', best_name, best, baseline) }
note = 'whiskers: 95% interval' . (own < rows ? '; hatched: another program, by itself' : '')

# What stands above and below the bars takes as much room in a high figure.
if (rows > 8) {
    height = 440 + 36 * (rows - 8)
    said = says
    of = about
    with_note = note
    load theme
    says = said
    about = of
    note = with_note
}
share = 440.0 / height
from_top(at) = 1 - (1 - at) * share
set bmargin at screen 0.23 * share
set tmargin at screen from_top(top_without_key)
set key off
name_at = from_top(name_at)
device_at = from_top(device_at)
note_at = note_at * share
eval titles
set xlabel 'times as fast as ' . baseline noenhanced
set logscale x
eval 'set xtics (' . ticks_between(left_end, right_end) . ')'
set xrange [left_end : right_end]
set yrange [rows - 0.4 : 0.4]
set ytics scale 0 noenhanced
set grid noytics
set lmargin at screen larger(0.26, 0.05 + 0.0215 * longest)
set arrow 1 from 1, graph 0 to 1, graph 1 nohead linetype 6 dashtype 1 back

# Values stand beyond the bar's end and its whisker: to the right above 1, to the left below. What has none there stands
# out of sight: a column of NaN alone ends some versions of gnuplot.
out_of_sight = rows + 9
ratio(c) = (is_rival($1, strcol(2)) || is_peer($1) ? baseline_us / $3 : NaN)
plot 'headline.dat' using (1):(is_rival($1, strcol(2)) ? measured($3, place(0)) : NaN):(1):(baseline_us / $3):(place(0) - half):(place(0) + half) \
         with boxxyerror linetype 6 dashtype 1 linewidth 0.6 fillcolor rgb '#e2e2e2' fillstyle solid 1 border, \
     'headline.dat' using (1):(is_peer($1) ? measured($3, place(0)) : NaN):(1):(baseline_us / $3):(place(0) - half):(place(0) + half) \
         with boxxyerror linetype 6 dashtype 1 linewidth 0.6 fillcolor rgb '#707070' fillstyle pattern 4 border, \
     'speedup.dat' using (1):(measured($3, row_of($1))):(1):3:(row_of($1) - half):(row_of($1) + half) \
         with boxxyerror linetype 2 dashtype 1 linewidth 0.6 fillcolor rgb '#b8cde4' fillstyle solid 1 border, \
     'speedup.dat' using 3:(row_of($1)):4:5 with xerrorbars linetype 1 pointsize 0.5 * marker, \
     'headline.dat' using (larger(ratio(0), 1)):(ratio(0) >= 1 ? place(0) : out_of_sight):(sprintf('%.3g×', ratio(0))) \
         with labels left offset 1, 0 noenhanced, \
     'headline.dat' using (smaller(ratio(0), 1)):(ratio(0) < 1 ? place(0) : out_of_sight):(sprintf('%.3g×', ratio(0))) \
         with labels right offset -1, 0 noenhanced, \
     'speedup.dat' using (larger(larger($3, $5), 1)):($3 >= 1 ? row_of($1) : out_of_sight):(sprintf('%.3g×', $3)) \
         with labels left offset 1, 0 noenhanced, \
     'speedup.dat' using (smaller(smaller($3, $4), 1)):($3 < 1 ? row_of($1) : out_of_sight):(sprintf('%.3g×', $3)) \
         with labels right offset -1, 0 noenhanced, \
     'headline.dat' every ::1 using (left_end):(has_row(0) ? place(0) : out_of_sight):6:ytic(has_row(0) ? strcol(2) : '') with labels left font ',14' offset 1, 0.4 noenhanced
