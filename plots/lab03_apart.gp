# Which curves of async-tiles can be told apart: a script sets `curves`, a list of numbers, and of(k), the x of a row of
# points.dat on curve k, else NaN; it gets `seen`, the places in the list of those that do not lie on an earlier one, and
# `filled_curves` or `open_curves`, how many the key shows by the marker of warp-roles, or else of async-tiles.
at(xs, ys, x) = sum [j = 1:words(xs)] (real(word(xs, j)) == x ? real(word(ys, j)) : 0)
lies_on(xs, ys, over_xs, over_ys) = \
    words(xs) > 0 && (sum [j = 1:words(xs)] (abs(at(over_xs, over_ys, real(word(xs, j))) / real(word(ys, j)) - 1) > 0.05)) == 0
seen = ''
do for [i = 1:words(curves)] {
    xs = ''
    ys = ''
    k = word(curves, i) + 0
    stats 'points.dat' index block_of('async-tiles') \
          using (of(k) == of(k) ? (xs = xs . sprintf('%g ', of(k)), ys = ys . sprintf('%g ', tb_per_s(0)), 1) : 0) nooutput
    eval sprintf('xs_%d = xs; ys_%d = ys', i, i)
    hidden = words(xs) == 0
    do for [j in seen] { if (lies_on(xs, ys, value('xs_' . j), value('ys_' . j))) { hidden = 1 } }
    if (!hidden) { seen = seen . i . ' ' }
}
# warp-roles is skipped on some devices.
filled_curves = word_index('warp-roles', timed) ? words(curves) : 0
open_curves = words(curves) - filled_curves
note = (filled_curves ? 'filled: warp-roles; ' : '') . 'open: async-tiles' . (words(seen) == 1 ? ', all on one line' : '')
eval titles
