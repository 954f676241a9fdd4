# Predicted over measured time, a point a rung, a marker a lab. On the line the two are equal.
# A script's titles are made of: labs, rungs, error (percent; below 0: of another device), measured_on.
count = words(labs)
stats 'prediction.dat' using 1 nooutput
if (!exists('STATS_records') || STATS_records < 1) {
    print 'needs a rung that can be predicted: ./lab predict says what is missing'
    exit status 77
}
least = STATS_min
most = STATS_max
stats 'prediction.dat' using 2 nooutput
low = 10.0 ** floor(log10(smaller(least, STATS_min)))
high = 10.0 ** ceil(log10(larger(most, STATS_max) * 1.001))

height = 500
load theme
says = error >= 0 ? sprintf('The models miss by %.0f%%, the median of %d rungs', error, rungs) : 'What this device would take'
about = error >= 0 ? 'from a calibration' : 'measured on ' . measured_on . '; predicted for'
note = 'line: predicted as measured; dots: twice and half'
eval titles
set key maxrows 3 maxcols 3
set logscale xy
set xrange [low : high]
set yrange [low : high]
eval 'set xtics (' . ticks_between(low, high) . ')'
eval 'set ytics (' . ticks_between(low, high) . ')'
set xlabel 'measured (µs/token)'
set ylabel 'predicted (µs/token)'
set grid xtics ytics
# More labs than line types: a marker for each.
markers = '5 7 9 13 11 4 6 8 12'

plot x with lines linetype 1 linewidth 0.6 notitle, \
     2 * x with lines linecolor rgb '#909090' dashtype 3 linewidth 0.6 notitle, \
     x / 2 with lines linecolor rgb '#909090' dashtype 3 linewidth 0.6 notitle, \
     for [i = 1:count] 'prediction.dat' index (i - 1) using 1:2 with points linetype ((i - 1) % 6 + 1) \
         pointtype real(word(markers, (i - 1) % words(markers) + 1)) title word(labs, i) noenhanced
