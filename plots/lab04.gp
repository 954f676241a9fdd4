# What the figures of lab 04 share.
# The name of a knob's value, where it has names.
name_of(names, i) = (words(names) > i ? word(names, i + 1) : sprintf('%d', i))

# Of the AXPYs, in a row: an older file has no such knob.
replays(c) = exists('column_replays') ? column(column_replays) : 1

# Where a row was measured: the knobs that differ between the lab's points.
at(c) = sprintf('%d/%d/%d/%d/%d/%d/%d/%d', column(column_work), column(column_model), column(column_form), \
                column(column_prompt), column(column_tokens), column(column_n), column(column_k), replays(0))

# eval collect(v, c): `collected` is "KEY=VALUE " for each result of v, the default's and the sweeps', by their column c.
collect(v, c) = sprintf("collected = ''; " \
    . "do for [table in 'default.dat points.dat'] { stats table index %d using " \
    . "(strcol(1) ne 'NaN' && strcol(%d) ne 'NaN' ? (collected = collected . sprintf('%%s=%%.9g ', at(0), column(%d)), 1) : 0) nooutput }", \
    block_of(v), c, c)
key_of(pair) = pair[1:strstrt(pair, '=') - 1]
value_of(pair) = real(pair[strstrt(pair, '=') + 1:*])
# What is collected there; NaN where nothing is. (The blank in front: a key may be the end of another.)
collected_at(pairs, key) = (strstrt(' ' . pairs, ' ' . key . '=') \
    ? value_of((' ' . pairs)[strstrt(' ' . pairs, ' ' . key . '=') + 1 : strstrt(' ' . pairs, ' ' . key . '=') + strlen(key) + 20]) : NaN)

# The nodes of a graph: what a step launches without one. Of the AXPYs their number.
launches = ''
if (word_index('launch', drawn)) { eval collect('launch', column_launches); launches = collected }
if (word_index('axpy-loop', drawn)) { eval collect('axpy-loop', column_launches); launches = launches . collected }
