# Lab 04: tokens a second by rung: at the default point, and for each model and form that a sweep has.
load plots . 'lab04.gp'
load plots . 'groups.gp'
if ((sum [i = 1:words(variants)] (word_index(word(variants, i), drawn) && word(variants, i) ne baseline)) < 1) {
    print sprintf('needs a variant beside the baseline: ./lab run %s or ./lab run %s --solution', lab[4:], lab[4:])
    exit status 77
}
if (headline_work != 1) {
    print sprintf('needs decode, of which a rung has tokens a second: ./lab run %s --solution', lab[4:])
    exit status 77
}

# A group: the points of one model and form, with the default point's prompt and tokens.
in_group(model, form) = (strcol(1) ne 'NaN' && column(column_work) == 1 && column(column_model) == model \
    && column(column_form) == form && column(column_prompt) == headline_prompt && column(column_tokens) == headline_tokens)
# "skipped" of "skipped: why", which ./lab report tells.
word_before(text, mark) = text[1:strstrt(text, mark) - 1]
looks_of(v) = (word_index(v, peers) ? 3 : word_index(v, baselines) ? 2 : 1)
text_of(us, speedup) = sprintf('%.0f', 1e6 / us) . (speedup > 0 ? sprintf('  %.2f×', speedup) : '')

# The default point's group first, then those of the sweeps.
groups = sprintf('%d/%d ', headline_model, headline_form)
do for [m in values_model] {
    do for [f in values_form] {
        if (!word_index(m . '/' . f, groups)) { groups = groups . m . '/' . f . ' ' }
    }
}
# Whiskers go from the p90 of the time to its p10. A group without results has no heading.
best = 0
set print $groups
do for [g in groups] {
    model = int(g[1:strstrt(g, '/') - 1])
    form = int(g[strstrt(g, '/') + 1:*])
    name = name_of(names_model, model) . ', ' . name_of(names_form, form)
    table = (g eq word(groups, 1) ? 'default.dat' : 'points.dat')
    headed = 0
    do for [v in variants] {
        line = ''
        if (table eq 'default.dat') {
            stats 'headline.dat' using (strcol(2) eq v && strcol(3) eq 'NaN' ? (line = no_bar(v, word_before(strcol(6), ':')), 1) : 0) nooutput
        }
        speedup = NaN
        kernels = ''
        if (word_index(v, drawn)) {
            stats table index block_of(v) using (in_group(model, form) ? (us = column(1), speedup = column(column_speedup), \
                kernels = sprintf(', %d kernels', column(column_launches)), \
                line = bar(looks_of(v), v, 1e6 / us, 1e6 / column(3), 1e6 / column(2), text_of(us, speedup)), 1) : 0) nooutput
        }
        if (speedup > best) {
            best = speedup
            best_says = sprintf('%s: %.2f× as fast as %s', v, best, baseline)
        }
        if (strlen(line) && !headed) { print heading(name . (v eq baseline ? kernels : '')) }
        if (strlen(line)) {
            headed = 1
            print line
        }
    }
}
set print

says = best > 0 ? best_says : 'Tokens a second by rung'
about = sprintf('P = %d, T = %d', headline_prompt, headline_tokens)
note = 'whiskers: p10 to p90; ×: over ' . baseline
axis_label = 'tokens a second'
eval draw_groups
