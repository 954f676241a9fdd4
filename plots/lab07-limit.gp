# Lab 07: the time of a token over what its bytes take at B_read: lab 04's best graph, which reads bf16, and the fastest
# rung, at each model and context that was measured, and with weights in blocks; and the fastest of each other program.
# Shapes so small that their bytes decide nothing are left out.
if (is_cpu) {
    print 'the CPU device has no memory of its own: its time over that of its bytes means nothing'
    exit status 77
}
load plots . 'lab07.gp'
load plots . 'groups.gp'
# A place: model, position, tokens, weights. Those of the sweeps behind the default point's; other weights at its context.
in_place(model, position, tokens, weights) = (strcol(1) ne 'NaN' && usual_of_any(0) && column(column_model) == model && \
    column(column_position) == position && column(column_tokens) == tokens && column(column_weights) == weights)
places = sprintf('%d/%d/%d/%d ', headline_model, headline_position, headline_tokens, headline_weights)
tables = 'default.dat points.dat'
do for [m in values_model] { do for [p in values_position] { do for [t in values_tokens] {
    place = sprintf('%s/%s/%s/%d', m, p, t, headline_weights)
    if (!word_index(place, places)) { places = places . place . ' ' }
} } }
do for [w in values_weights] { do for [m in sprintf('%d %s', headline_model, values_model)] {
    place = sprintf('%s/%d/%d/%s', m, headline_position, headline_tokens, w)
    if (!word_index(place, places)) { places = places . place . ' ' }
} }
part(place, k) = int(system_word(place, k))
system_word(place, k) = word(slashes_to_blanks(place), k)
slashes_to_blanks(s) = (strstrt(s, '/') ? s[1:strstrt(s, '/') - 1] . ' ' . slashes_to_blanks(s[strstrt(s, '/') + 1:*]) : s)

# Who has a bar at a place: lab 04's best graph, the fastest rung, and of each other program the fastest variant.
program_of(v) = (strstrt(v, '-') ? v[1:strstrt(v, '-') - 1] : v)
kind_of(v) = (word_index(v, peers) ? program_of(v) : v eq 'graph-pdl' ? v : word_index(v, baselines) ? '' : 'rung')
kinds = 'graph-pdl rung '
do for [v in peers] { if (!word_index(program_of(v), kinds)) { kinds = kinds . program_of(v) . ' ' } }
looks_of(kind) = (kind eq 'graph-pdl' ? 2 : kind eq 'rung' ? 1 : 3)

best = 0
SMALL = 10 # times its bytes
set print $groups
do for [place in places] {
    model = part(place, 1)
    position = part(place, 2)
    tokens = part(place, 3)
    weights = part(place, 4)
    lines = ''
    rung = 0
    do for [kind in kinds] {
        least = 0
        do for [v in ordered] {
            if (word_index(v, drawn) && kind_of(v) eq kind) {
                do for [table in tables] {
                    stats table index block_of(v) using (in_place(model, position, tokens, weights) && \
                        (least == 0 || column(1) < least) ? (least = column(1), limit = limit_us(0), low = column(2), \
                        high = column(3), line = bar(looks_of(kind), v, least / limit, low / limit, high / limit, \
                        sprintf('%.2f  %s', least / limit, time_text(least))), 1) : 0) nooutput
                }
            }
        }
        if (least > 0) { lines = lines . (strlen(lines) ? "\n" : '') . line }
        if (least > 0 && kind eq 'rung') { rung = least / limit }
    }
    if (rung > 0 && (rung < SMALL || best == 0)) {
        print heading(sprintf('%s%s, position %d%s', name_of(names_model, model), \
            weights == headline_weights ? '' : ' ' . name_of(names_weights, weights), position, \
            tokens == headline_tokens ? '' : sprintf(' to %d', position + tokens - 1)))
        print lines
        if (best == 0) { best = rung }
    }
}
set print
if (best == 0) {
    print sprintf('needs a kernel that decodes: ./lab run %s or ./lab run %s --solution', lab[4:], lab[4:])
    exit status 77
}
says = sprintf('%s: %.2f times its bytes at B_read', name_of(names_model, headline_model), best)
about = 'fastest rung, lab 04''s best graph'
note = 'whiskers: p10 to p90; 1: weights, keys and values read at B_read' . (strlen(peers) ? '; hatched: another program' : '')
axis_label = 'time over that of its bytes'
eval draw_groups
