# Lab 04: a token, by how the graph is told where it stands: not at all, for the device knows; by a copy before each
# replay; by updates.
ways = 'resident capture update-device update-nodes update-graph'
place_of(v) = word_index(v, ways)
found = 0
most = 0
resident_us = NaN
stats 'headline.dat' using (place_of(strcol(2)) && strcol(3) ne 'NaN' ? (found = found + 1, most = larger(most, column(3)), \
    resident_us = strcol(2) eq 'resident' ? column(3) : resident_us, 1) : 0) nooutput
if (found < 2) {
    print sprintf('needs resident and a variant that updates: ./lab run %s --solution', lab[4:])
    exit status 77
}
worst = 0
worst_name = ''
stats 'headline.dat' using (place_of(strcol(2)) && $3 - resident_us > worst ? (worst = $3 - resident_us, worst_name = strcol(2), 1) : 0) nooutput
says = worst > 0 ? sprintf('%s: %s a token beyond resident', worst_name, time_text(worst)) : 'no update costs time beyond resident'
about = sprintf('P = %d', headline_prompt)
note = 'whiskers: p10 to p90; host: its time inside calls'
# What the host pays, hidden or not.
submits = ''
do for [w in ways] {
    submit = NaN
    if (word_index(w, drawn)) {
        stats 'default.dat' index block_of(w) using (strcol(1) ne 'NaN' ? (submit = column(column_submit), 1) : 0) nooutput
    }
    submits = submits . sprintf('%.3g ', submit)
}
text(us, place) = sprintf(us < 9999.5 ? '%.4g' : '%.0f', us) . (word(submits, place) eq 'nan' ? '' : sprintf('; host: %s', word(submits, place)))
set key off
set tmargin at screen top_without_key
set lmargin at screen 0.38
eval titles
set xlabel 'time of a token (µs)'
stats 'headline.dat' using (place_of(strcol(2)) && strcol(3) ne 'NaN' ? $5 : NaN) nooutput
set xrange [0 : 1.1 * larger(most, STATS_max)]
unit = 10.0 ** floor(log10(STATS_max))
set xtics STATS_max < 2.5 * unit ? unit / 2 : STATS_max < 5 * unit ? unit : 4 * unit
set yrange [5.5 : 0.5]
set ytics scale 0 noenhanced (word(ways, 1) 1)
set grid noytics
do for [i = 1:words(ways)] { set ytics add (word(ways, i) i) }
row(c) = place_of(strcol(2)) ? place_of(strcol(2)) : 99
# The bar, its whisker, and below them what they say: no number lies under a line.
plot 'headline.dat' using (0):(strcol(3) ne 'NaN' ? row(0) : 99):(0):3:(row(0) - 0.38):(row(0) + 0.02) \
         with boxxyerror linetype 2 dashtype 1 linewidth 0.6 fillcolor rgb '#b8cde4' fillstyle solid 1 border, \
     'headline.dat' using 3:(strcol(3) ne 'NaN' ? row(0) - 0.18 : 99):4:5 with xerrorbars linetype 1 pointsize 0.5 * marker, \
     'headline.dat' using (0.02 * most):(strcol(3) ne 'NaN' ? row(0) + 0.24 : 99):(text($3, row(0))) with labels left, \
     'headline.dat' using (0.02 * most):(strcol(3) ne 'NaN' ? 99 : row(0) - 0.2):6 with labels left noenhanced
