# What figures of a sweep share: which rows a figure shows, and how variants look. A script sets before it loads this
#   chosen(c)     1 for a row of points.dat that the figure shows
#   candidates    variants, in the order of the key
#   sweep         the sweep that the rows come from, for the message
#   all_variants  of the lab: each has its line and marker in all figures
# and gets `shown`: those of the candidates that have two such rows or more; all but those whose line would lie on an
# earlier one and could not be seen, which `note` names.
set datafile missing NaN
shown = ''
do for [v in candidates] {
    STATS_sum = 0
    if (word_index(v, drawn)) { stats 'points.dat' index block_of(v) using (chosen(0) ? 1 : 0) nooutput }
    if (STATS_sum > 1) { shown = shown . v . ' ' }
}
if (shown eq '') {
    # The sweep may have run, and no variant have a time in it.
    why = ''
    do for [v in candidates] {
        if (word_index(v, variants)) {
            stats 'untimed.dat' index block_of(v) using (chosen(0) ? (why = v . ' ' . strcol(column_reason), 1) : 0) nooutput
        }
    }
    print strlen(why) ? sprintf('the sweep "%s" has no times: %s', sweep, why) : sweep_is_needed(sweep)
    exit status 77
}

# Told apart by marker and dash, and by grey value where that helps.
set linetype 11 linecolor rgb '#000000' linewidth 1 pointtype 5 pointsize 0.7 * marker dashtype 1
set linetype 12 linecolor rgb '#707070' linewidth 1 pointtype 4 pointsize 0.8 * marker dashtype (1,2)
set linetype 13 linecolor rgb '#c2571a' linewidth 1 pointtype 9 pointsize 1.0 * marker dashtype (2,3)
set linetype 14 linecolor rgb '#3c9b6e' linewidth 1 pointtype 13 pointsize 1.1 * marker dashtype (8,3,2,3)
set linetype 15 linecolor rgb '#8b6fb3' linewidth 1 pointtype 3 pointsize 0.8 * marker dashtype (12,3)
set linetype 16 linecolor rgb '#8a6d00' linewidth 1 pointtype 2 pointsize 0.8 * marker dashtype (4,2)
set linetype 17 linecolor rgb '#1f5fa8' linewidth 1 pointtype 7 pointsize 0.8 * marker dashtype (8,4)
set linetype 18 linecolor rgb '#a3284f' linewidth 1.3 pointtype 10 pointsize 1.0 * marker dashtype 1
set linetype 19 linecolor rgb '#909090' linewidth 0.8 pointtype 0 dashtype 1
style(v) = 10 + word_index(v, all_variants)

# The times of each, in the order of the rows.
times_low = 1e30
times_high = 0
do for [i = 1:words(shown)] {
    times = ''
    stats 'points.dat' index block_of(word(shown, i)) using (chosen(0) ? (times = times . sprintf('%g ', $1), $1) : NaN) nooutput
    eval sprintf('times_%d = times', i)
    times_low = smaller(times_low, STATS_min)
    times_high = larger(times_high, STATS_max)
}
times_of(v) = value(sprintf('times_%d', word_index(v, timed)))
timed = shown
# A fiftieth of a logarithmic axis is the width of a line and its marker.
unseen = larger(0.03, log(times_high / times_low) / 50)
apart(a, b) = sum [k = 1:words(a)] (abs(log(real(word(a, k)) / real(word(b, k)))) > unseen)
covers(a, b) = (words(a) == words(b) && apart(a, b) == 0)
covered = ''
seen = ''
do for [v in timed] {
    over = ''
    do for [w in seen] { if (covers(times_of(w), times_of(v))) { over = w } }
    if (over eq '') { seen = seen . v . ' ' } else { covered = covered . (strlen(covered) ? '; ' : '') . v . ' = ' . over }
}
shown = seen
note = strlen(covered) ? sprintf('within %d%%: %s', 100 * (exp(unseen) - 1) + 0.5, covered) : ''

# The largest ratio of the first one's time to another's, for `says`: best_ratio, best_variant, best_row (from 1).
best_ratio = 0
best_row = 0
best_variant = ''
first = times_of(word(timed, 1))
do for [v in timed] {
    times = times_of(v)
    do for [k = 1:words(times)] {
        ratio = words(times) == words(first) ? real(word(first, k)) / real(word(times, k)) : 0
        if (ratio > best_ratio) { best_ratio = ratio; best_row = k; best_variant = v }
    }
}
best_says(what) = best_variant eq word(timed, 1) ? sprintf('%s: nothing is faster', best_variant) \
                  : sprintf('%s: %.3g× as fast as %s, %s', best_variant, best_ratio, word(timed, 1), what)
# The value of a column in that row.
best_at = "rows = 0; found = NaN; stats 'points.dat' index block_of(word(timed, 1)) " \
        . "using (chosen(0) ? (rows = rows + 1, rows == best_row ? (found = column(best_column), 1) : 1) : 0) nooutput"
