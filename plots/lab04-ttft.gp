# Lab 04: time to the first token by the prompt's length and its bucket: launched, from the pool's graph of that bucket,
# and by a graph of that length alone; and which share of the bucket's rows is padding.
chosen(c) = column(column_exact) == 1 && column(column_work) == 2
candidates = 'prefill-launch prefill-pool prefill-exact'
all_variants = candidates
sweep = 'prefill'
load plots . 'sweep.gp'
load plots . 'groups.gp'

# A bucket's rows, as the lab has them: 1, 16, 32, 64, ...
bucket(tokens) = (tokens <= 1 ? 1 : larger(16, 2 ** int(ceil(log(tokens) / log(2) - 1e-9))))
heading_of(tokens) = sprintf('%d in %d row%s: %s', tokens, bucket(tokens), bucket(tokens) == 1 ? '' : 's', \
    bucket(tokens) > tokens ? sprintf('%.0f%% padding', 100.0 * (bucket(tokens) - tokens) / bucket(tokens)) : 'no padding')
lengths = ''
stats 'points.dat' using (chosen(0) && !word_index(sprintf('%d', column(column_prompt)), lengths) \
    ? (lengths = lengths . sprintf('%d ', column(column_prompt)), 1) : 0) nooutput

# The dearest token: what one more than fills a bucket adds.
worst = 0
pool_before = NaN
tokens_before = 0
set print $groups
do for [i = 1:words(lengths)] {
    least = 0
    do for [w in lengths] { if (real(w) > tokens_before && (least == 0 || real(w) < least)) { least = real(w) } }
    print heading(heading_of(least))
    do for [v in timed] {
        line = ''
        stats 'points.dat' index block_of(v) using (chosen(0) && column(column_prompt) == least ? (us = column(1), \
            line = bar(word_index(v, baselines) ? 2 : 1, v, us / 1000, column(2) / 1000, column(3) / 1000, sprintf('%.3g', us / 1000)), 1) : 0) nooutput
        if (strlen(line)) { print line }
        if (strlen(line) && v eq 'prefill-pool') {
            if (least == tokens_before + 1 && us / pool_before > worst) {
                worst = us / pool_before
                worst_at = tokens_before
            }
            pool_before = us
        }
    }
    tokens_before = least
}
set print

says = worst > 0 ? sprintf('A token beyond %d rows: %.2g× the time', worst_at, worst) : 'Time to the first token by bucket'
about = sprintf('%s, %s', word(names_model, headline_model + 1), word(names_form, headline_form + 1))
note = 'tokens in rows of their bucket; whiskers: p10 to p90'
axis_label = 'time to the first token (ms)'
eval draw_groups
