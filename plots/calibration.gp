# What a device takes: the median of each figure with p10 to p90. Times above, rates below, both on logarithmic axes.
if (times + rates < 1) {
    print 'needs a figure that was measured: ./lab calibrate'
    exit status 77
}
# A row of 27 units each, and what stands above and below: numbers, the axis's name and the note.
foot = 109.0
height = 75 + foot + 27 * (times + rates) + (rates ? 60 : 0)
load theme
unset key
set tics scale 0.4
set grid noytics xtics
set ytics noenhanced

named(file, name) = system(sprintf("awk '$2 == \"%s\" {print $3}' %s", name, file))
launch = times ? named('times.dat', 'launch') : ''
node = times ? named('times.dat', 'graph_node') : ''
says = strlen(launch) && strlen(node) ? sprintf('A launch is %s, a graph''s further node %s', time_text(real(launch)), time_text(real(node))) \
     : strlen(launch) ? sprintf('A launch is %s', time_text(real(launch))) : 'What this device takes'
about = is_quick ? 'quick run' : 'median of each figure'
note = 'whiskers: p10 to p90'
name_at = 1 - 17.0 / height
device_at = 1 - 41.0 / height
note_at = 15.0 / height
eval titles

# A whisker that begins at or below 0 has no place on a logarithmic axis: it begins at the edge.
positive(v, edge) = (v > 0 ? v : edge)
edge_of(v) = 10.0 ** floor(log10(v))

# Before any range is set, which would leave points out.
if (times) { stats 'times.dat' using 3 nooutput; times_low = edge_of(STATS_min) }
if (times) { stats 'times.dat' using 5 nooutput; times_high = 10.0 * edge_of(STATS_max) }
if (rates) { stats 'rates.dat' using 3 nooutput; rates_low = edge_of(STATS_min) }
if (rates) { stats 'rates.dat' using 5 nooutput; rates_high = 10.0 * edge_of(STATS_max) }

set multiplot
top = 1 - 58.0 / height
split = (rates ? top - 27.0 * times / height : 0)
set lmargin at screen 0.41
set rmargin at screen 0.94
set logscale x

if (times) {
    set tmargin at screen top
    set bmargin at screen (rates ? split : foot / height)
    set xrange [times_low : times_high]
    set yrange [times - 0.4 : -0.6]
    eval 'set xtics (' . ticks_between(times_low, times_high) . ')'
    set xlabel 'µs'
    plot 'times.dat' using 3:1:(positive($4, times_low)):5:ytic(stringcolumn(2)) with xerrorbars linetype 1
}
unset label 1002
unset label 1003
unset label 1005
if (rates) {
    set tmargin at screen split - 68.0 / height
    set bmargin at screen foot / height
    set xrange [rates_low : rates_high]
    set yrange [rates - 0.4 : -0.6]
    eval 'set xtics (' . ticks_between(rates_low, rates_high) . ')'
    set xlabel 'GB/s'
    plot 'rates.dat' using 3:1:(positive($4, rates_low)):5:ytic(stringcolumn(2)) with xerrorbars linetype 1
}
unset multiplot
