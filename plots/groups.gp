# Bars in groups, each under its heading. A script loads this, then, from the top of the figure to its bottom,
#   set print $groups
#   print heading(text)
#   print bar(looks, label, value, low, high, text)     looks: 1 the ladder's, 2 a baseline's, 3 another program's
#   print no_bar(label, why)                            what stands in its place
#   set print
# sets says, about, note and axis_label, and draws by `eval draw_groups`.
heading(text) = sprintf('0 "" NaN NaN NaN "%s"', text)
bar(looks, label, value, low, high, text) = sprintf('%d "%s" %.9g %.9g %.9g "%s"', looks, label, value, low, high, text)
no_bar(label, why) = sprintf('9 "%s" NaN NaN NaN "%s"', label, why)

# The titles as the script has them: the theme, which is loaded anew at the figure's height, empties them.
prepare_groups = "said = says; of = about; marks = note; rows = |$groups|; height = 165 + 27 * rows; load theme; " \
    . "says = said; about = of; note = marks; share = 440.0 / height; " \
    . "name_at = from_top(name_at); device_at = from_top(device_at); note_at = note_at * share; eval titles; " \
    . "set bmargin at screen 0.23 * share; set tmargin at screen from_top(top_without_key); set key off; " \
    . "set xlabel axis_label; set yrange [rows + 0.6 : 0.4]; set ytics scale 0 noenhanced ('' 0); set grid noytics; " \
    . "longest = 0; widest = 0; furthest = 0; " \
    . "stats $groups using (longest = larger(longest, strlen(strcol(2))), " \
    . "widest = larger(widest, $1 > 0 && $1 < 9 ? strlen(strcol(6)) : 0), " \
    . "furthest = larger(furthest, $1 > 0 && $1 < 9 ? larger($3, $5) : 0), 0) nooutput; " \
    . "set lmargin at screen larger(0.2, 0.04 + 0.0215 * longest); " \
    . "set xrange [0 : furthest / (1 - 0.034 * (widest + 1))]; " \
    . "set xtics 0, round_step(furthest / (1 - 0.034 * (widest + 1)) / 4.5)"
# The next of 1, 2, 5, 10, ... above x: so few ticks that their numbers have room.
round_step(x) = ten_below(x) * (x / ten_below(x) > 5 ? 10 : x / ten_below(x) > 2 ? 5 : x / ten_below(x) > 1 ? 2 : 1)
ten_below(x) = x > 0 ? 10.0 ** floor(log10(x)) : 1
from_top(at) = 1 - (1 - at) * share
has(looks) = ($1 == looks ? $0 + 1 : rows + 9)
bars_of(looks) = sprintf("$groups using (0):(has(%d)):(0):3:(has(%d) - 0.33):(has(%d) + 0.33) with boxxyerror dashtype 1 linewidth 0.6 ", looks, looks, looks)
draw_groups = prepare_groups . "; plot " \
    . bars_of(1) . "linetype 2 fillcolor rgb '#b8cde4' fillstyle solid 1 border, " \
    . bars_of(2) . "linetype 6 fillcolor rgb '#e2e2e2' fillstyle solid 1 border, " \
    . bars_of(3) . "linetype 6 fillcolor rgb '#707070' fillstyle pattern 4 border, " \
    . "$groups using 3:($1 > 0 && $1 < 9 && $4 < $5 ? $0 + 1 : rows + 9):4:5 with xerrorbars linetype 1 pointsize 0.4 * marker, " \
    . "$groups using (larger($3, $5)):($1 > 0 && $1 < 9 ? $0 + 1 : rows + 9):6 with labels left offset 0.8, 0 noenhanced, " \
    . "$groups using (0):($1 == 0 || $1 == 9 ? $0 + 1 : rows + 9):6 with labels left offset 0.6, 0 noenhanced font ',15', " \
    . "$groups using (0):($0 + 1):(''):ytic(2) with labels"
