# The look of every figure: readable in grey and at half a page's width (3.3 inches).
# Expects format, output, device, is_cpu and the rest that harness/cli/plot_tables.c describes.

set encoding utf8

# 9 pt letters on 3.3 inches are 18 units on a canvas of 480. The PNG has two pixels a unit, the PDF has those inches. A
# script that needs more room sets `height` and loads the theme again.
if (!exists('height')) { height = 440 }
if (format eq 'svg') {
    set terminal svg size 480,height font 'Helvetica,18' linewidth 1.5 enhanced background '#ffffff'
    marker = 0.6 # these markers are as large as the other terminal's
    row = 0.85
}
if (format eq 'pdf') {
    set terminal pdfcairo size 3.3in,3.3*height/480.0 in font 'Sans,18' fontscale 0.375 linewidth 1.5 pointscale 0.5 enhanced background '#ffffff'
    marker = 1.0
    row = 1.05
}
if (format eq 'png') {
    set terminal pngcairo size 960,2*height font 'Sans,18' fontscale 1.5 linewidth 3 pointscale 2 enhanced background '#ffffff'
    marker = 1.0
    row = 1.05
}
set output output

# Lines differ by dash and marker as well as by grey value.
set linetype 1 linecolor rgb '#000000' linewidth 1 pointtype 5 pointsize 0.7 * marker dashtype 1
set linetype 2 linecolor rgb '#1f5fa8' linewidth 1 pointtype 7 pointsize 0.8 * marker dashtype (8,4)
set linetype 3 linecolor rgb '#c2571a' linewidth 1 pointtype 9 pointsize 1.0 * marker dashtype (2,3)
set linetype 4 linecolor rgb '#3c9b6e' linewidth 1 pointtype 13 pointsize 1.1 * marker dashtype (8,3,2,3)
set linetype 5 linecolor rgb '#8b6fb3' linewidth 1 pointtype 11 pointsize 1.0 * marker dashtype (12,3)
set linetype 6 linecolor rgb '#707070' linewidth 1 pointtype 4 pointsize 0.8 * marker dashtype (1,2)

set border 3 linewidth 0.7
set tics nomirror out scale 0.6
set errorbars 0.5
set grid linecolor rgb '#d4d4d4' linewidth 0.4 dashtype 1

# From the top: what the figure shows, under which conditions and on which device, the key (two columns), the plot, and
# below it a line that explains its marks. Nothing floats over the data.
name_at = 0.962
device_at = 0.908
key_at = 0.868
note_at = 0.032
top_without_key = 0.85
top_below_two_rows = 0.74
top_below_three_rows = 0.69
set key at screen 0.53, key_at center top maxcols 2 maxrows 3 Left reverse samplen 2.2 spacing row
set tmargin at screen top_below_three_rows
set bmargin at screen 0.23
set rmargin at screen 0.94
set lmargin at screen 0.2
set ylabel offset 0.7, 0
set xlabel offset 0, 0.4

# What a CPU device measured must never pass for a GPU's figures, not even cut out of its page.
if (is_cpu) {
    set label 1001 'CPU device' at graph 0.5, graph 0.5 center rotate by 22 font ',44' textcolor rgb '#e4e4e4' back
}
# A script says the result in `says` (44 letters), its conditions in `about`, and what marks mean in `note`; then
# eval titles. No letter of them is markup: names are labs', the device's is its maker's. A line that the figure is too
# narrow for, for a device of a long name mostly, stands in its middle, in smaller letters.
fitting(text, letters, points) = sprintf(',%.1f', points * (strlen(text) > letters ? real(letters) / strlen(text) : 1.0))
middle(text, letters) = (strlen(text) > 0.94 * letters ? 0.5 : 0.53)
says = ''
about = ''
note = ''
titles = "where = about . (strlen(about) ? ', ' : '') . device;" \
       . "set label 1003 says at screen middle(says, 52), name_at center font fitting(says, 52, 17) noenhanced;" \
       . "set label 1002 where at screen middle(where, 60), device_at center font fitting(where, 60, 15) noenhanced;" \
       . "set label 1005 note at screen middle(note, 60), note_at center font fitting(note, 60, 15) noenhanced"
eval titles
plots = theme[1:strlen(theme) - strlen('theme.gp')]

# word_index(w, list): which word of the list it is; 0 when it is none.
word_index(w, list) = sum [i = 1:words(list)] (word(list, i) eq w ? i : 0)
slope_of(variant) = (word_index(variant, variants) ? real(word(slopes, word_index(variant, variants))) : NaN)

# What figures show: the variants but for work-only, which is what the others are held against. A variant keeps its
# line and marker when another one could not run.
ordered = ''
do for [v in variants] {
    if (v ne 'work-only') { ordered = ordered . v . ' ' }
}
shown = ''
do for [v in ordered] {
    if (word_index(v, drawn)) { shown = shown . v . ' ' }
}
style_of(v) = word_index(v, ordered)
block_of(v) = word_index(v, variants) - 1

# The ticks of a logarithmic axis, for eval 'set xtics (' . decades . ')'. They are listed because versions of gnuplot
# differ in what they make of an axis of few decades. A short axis, which a power of ten or two would not measure out,
# takes the other list.
decades = ''
ticks_1_2_5 = ''
do for [e = -4:8] {
    decades = decades . sprintf('"10^{%d}" 1e%d 0, ', e, e)
    do for [m = 2:9] { decades = decades . sprintf('"" %de%d 1, ', m, e) }
    do for [m in '1 2 5'] { ticks_1_2_5 = ticks_1_2_5 . sprintf('"%g" %se%d 0, ', real(m) * 10.0 ** e, m, e) }
}
decades = decades . '"10^{9}" 1e9 0'
ticks_1_2_5 = ticks_1_2_5 . '"1e+09" 1e9 0'
ticks_between(low, high) = (high < 60 * low ? ticks_1_2_5 : high < 1e6 * low ? decades : decades_apart)

# 2^10 for 1024, for eval 'set xtics (' . powers_of_two . ')'
powers_of_two = ''
do for [e = 4:24] { powers_of_two = powers_of_two . sprintf('"%s" 2**%d %d, ', e % 2 ? '' : sprintf('2^{%d}', e), e, e % 2) }
powers_of_two = powers_of_two . '"2^{26}" 2**26 0'

# For an axis of more decades than have room: every second one is named.
decades_apart = ''
do for [e = -10:12:2] { decades_apart = decades_apart . sprintf('"10^{%d}" 1e%d 0, "" 1e%d 1, ', e, e, e + 1) }
decades_apart = decades_apart . '"10^{14}" 1e14 0'

# A time for a title, with three digits and no power of ten.
time_text(us) = us < 995 ? sprintf('%.3g µs', us) : us < 995e3 ? sprintf('%.3g ms', us / 1e3) : sprintf('%.3g s', us / 1e6)

larger(a, b) = (a > b ? a : b)
smaller(a, b) = (a < b ? a : b)
sweep_is_needed(sweep) = sprintf('needs the sweep "%s": ./lab run %s --sweep', sweep, lab[4:])

# One block a processor, on an axis of blocks: eval mark_processors
mark_processors = "set arrow 1 from processors, graph 0 to processors, graph 1 nohead linetype 12 back;" \
                . "set label 1 sprintf('%d processors', processors) at processors, graph 0.06 right offset -0.5, 0"
