# Lab 01: how many times faster than the baseline each variant is, with the 95% interval of the paired ratios.
in_drawn(v) = (word_index(v, drawn) > 0)
if (words(drawn) - in_drawn('launch-sync') - in_drawn('work-only') < 1) {
    print 'needs a variant beside the baseline: ./lab run 01 or ./lab run 01 --solution'
    exit status 77
}
stats 'speedup.dat' using 1 nooutput
rows = STATS_records
larger(a, b) = (a > b ? a : b)
measured(value, coordinate) = (value == value ? coordinate : NaN)
lowest = (speedup_low < 1 ? speedup_low : 1)
highest = larger(2, speedup_high)

# To the right of the longest bar its value needs room.
left_end = lowest / (highest / lowest) ** 0.03
right_end = highest * (highest / lowest) ** 0.35
half = 0.3

set tmargin at screen top_without_key
set key off
set label 1003 sprintf('Speed-up, n = %d, K = %d', headline_n, headline_k) at screen 0.53, name_at center
set xlabel 'times as fast as ' . baseline noenhanced
set logscale x
eval 'set xtics (' . ticks_between(left_end, right_end) . ')'
set xrange [left_end : right_end]
set yrange [rows + 0.6 : 0.4]
set ytics scale 0 noenhanced
set grid noytics
set arrow 1 from 1, graph 0 to 1, graph 1 nohead linetype 6 dashtype 1 back

plot 'speedup.dat' using (1):(measured($3, $1)):(1):3:($1 - half):($1 + half) \
         with boxxyerror linetype 2 dashtype 1 linewidth 0.6 fillcolor rgb '#b8cde4' fillstyle solid 1 border, \
     'speedup.dat' using 3:1:4:5 with xerrorbars linetype 1 pointsize 0.5 * marker, \
     'speedup.dat' using (larger(1, larger($3, $5))):(measured($3, $1)):(sprintf('%.3g×', $3)) \
         with labels left offset 1, 0 noenhanced, \
     'speedup.dat' using (left_end):1:6:ytic(2) with labels left offset 1, 0.4 noenhanced
