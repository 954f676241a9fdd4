# Bars: how many times faster than the baseline each variant is: for the ladder with the 95% interval of the paired
# ratios; for the other baselines, and for another program's variants, which are not paired with the first one, the ratio
# of the medians. A variant of another program that did not run has no row. A script sets before it loads this
#   what     the title's first line
if (words(drawn) < 2) {
    number = lab[4:]
    print 'needs a variant beside the baseline: ./lab run ' . number . ' or ./lab run ' . number . ' --solution'
    exit status 77
}
stats 'headline.dat' using (strcol(2) eq baseline ? $3 : NaN) nooutput
baseline_us = STATS_min
# Baselines come first, and the first of them has no bar; peers come last.
stats 'headline.dat' using 1 nooutput
listed = STATS_max
stats 'headline.dat' using (word_index(strcol(2), peers) ? 1 : 0) nooutput
own = listed - STATS_sum
# The place of each row of headline.dat: rows without a bar are left out, places close up.
has_row(c) = (!word_index(strcol(2), peers) || $3 == $3)
places = ''
rows = 0
do for [i = 1:listed] {
    stats 'headline.dat' using ($1 == i && has_row(0) ? 1 : 0) nooutput
    rows = rows + STATS_sum
    places = places . sprintf('%d ', rows)
}
place(c) = (has_row(0) ? word(places, int($1)) - 1 : NaN)
stats 'headline.dat' using (has_row(0) ? strlen(strcol(2)) : NaN) nooutput
longest = STATS_max
STATS_records = 0
stats 'speedup.dat' using 1 nooutput
ladder = STATS_records
row_of(row) = row + own - ladder - 1
is_rival(row, name) = (row <= own - ladder && name ne baseline)
is_peer(row) = (row > own)

larger(a, b) = (a > b ? a : b)
measured(value, coordinate) = (value == value ? coordinate : NaN)
stats 'headline.dat' using (baseline_us / $3) nooutput
lowest = 1
do for [value in sprintf('%g %g', STATS_min, speedup_low)] { lowest = (value + 0 < lowest ? value + 0 : lowest) }
highest = larger(2, larger(STATS_max, speedup_high))

# To the right of the longest bar its value needs room.
left_end = lowest / (highest / lowest) ** 0.03
right_end = highest * (highest / lowest) ** 0.35
half = 0.3

# What stands above and below the bars takes as much room in a high figure.
top_at = own < rows ? 0.81 : top_without_key
if (rows > 8) {
    height = 420 + 36 * (rows - 8)
    load theme
}
share = 420.0 / height
from_top(at) = 1 - (1 - at) * share
set bmargin at screen 0.19 * share
set tmargin at screen from_top(top_at)
set key off
set label 1003 what at screen 0.53, from_top(name_at) center
set label 1002 device at screen 0.53, from_top(device_at) center noenhanced
if (own < rows) { set label 1004 'hatched: another program, in its own run' at screen 0.53, from_top(device_at - 0.052) center }
set xlabel 'times as fast as ' . baseline noenhanced
set logscale x
eval 'set xtics (' . ticks_between(left_end, right_end) . ')'
set xrange [left_end : right_end]
set yrange [rows - 0.4 : 0.4]
set ytics scale 0 noenhanced
set grid noytics
set lmargin at screen larger(0.26, 0.05 + 0.0215 * longest)
set arrow 1 from 1, graph 0 to 1, graph 1 nohead linetype 6 dashtype 1 back

plot 'headline.dat' using (1):(is_rival($1, strcol(2)) ? measured($3, place(0)) : NaN):(1):(baseline_us / $3):(place(0) - half):(place(0) + half) \
         with boxxyerror linetype 6 dashtype 1 linewidth 0.6 fillcolor rgb '#e2e2e2' fillstyle solid 1 border, \
     'headline.dat' using (1):(is_peer($1) ? measured($3, place(0)) : NaN):(1):(baseline_us / $3):(place(0) - half):(place(0) + half) \
         with boxxyerror linetype 6 dashtype 1 linewidth 0.6 fillcolor rgb '#707070' fillstyle pattern 4 border, \
     'speedup.dat' using (1):(measured($3, row_of($1))):(1):3:(row_of($1) - half):(row_of($1) + half) \
         with boxxyerror linetype 2 dashtype 1 linewidth 0.6 fillcolor rgb '#b8cde4' fillstyle solid 1 border, \
     'speedup.dat' using 3:(row_of($1)):4:5 with xerrorbars linetype 1 pointsize 0.5 * marker, \
     'headline.dat' using (larger(1, baseline_us / $3)):(is_rival($1, strcol(2)) || is_peer($1) ? measured($3, place(0)) : NaN):(sprintf('%.3g×', baseline_us / $3)) \
         with labels left offset 1, 0 noenhanced, \
     'speedup.dat' using (larger(1, larger($3, $5))):(measured($3, row_of($1))):(sprintf('%.3g×', $3)) \
         with labels left offset 1, 0 noenhanced, \
     'headline.dat' every ::1 using (left_end):(place(0)):6:ytic(has_row(0) ? strcol(2) : '') with labels left offset 1, 0.4 noenhanced
