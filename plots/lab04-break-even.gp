# Lab 04: after how many replays a graph has paid for its making, at each point that times it.
#   replays = (capture + instantiate + upload + what the first launch took beyond a replay, at least 0) / (direct - replay)
# direct: the same kernels launched without a wait between steps, by `stream` or `axpy-loop`. A repetition of decode is
# many replays: its first launch is not timed apart, and counts as any other.
load plots . 'lab04.gp'
load plots . 'groups.gp'
if (!word_index('capture', phases) || !word_index('instantiate', phases) || !word_index('upload', phases)) {
    print 'the file has no times of capture, instantiation and upload; run the lab again'
    exit status 77
}
direct = ''
do for [v in 'stream axpy-loop'] {
    if (word_index(v, drawn)) {
        eval collect(v, 1)
        direct = direct . collected
    }
}
of_axpy(c) = (column(column_work) == 0 && replays(0) == 1)
of_decode(c) = (column(column_work) == 1 && column(column_prompt) == headline_prompt && column(column_tokens) == headline_tokens)
of_point(c) = (strcol(1) ne 'NaN' && strcol(column_phase_capture) ne 'NaN' && (of_axpy(0) || of_decode(0)))
first_excess(c) = (of_axpy(0) && column(column_first) > column(1) ? column(column_first) - column(1) : 0)
making(c) = column(column_phase_capture) + column(column_phase_instantiate) + column(column_phase_upload) + first_excess(0)
saving(c) = collected_at(direct, at(0)) - column(1)

# What is found, "GROUP=RUNG=NODES=REPLAYS" for each point; -1 where a replay saves nothing. Groups in the order in which
# they are met: the default point's first, the AXPYs' last.
found = ''
groups = ''
group_of(c) = (of_axpy(0) ? sprintf('axpy/%d/0', column(column_n)) : sprintf('decode/%d/%d', column(column_model), column(column_form)))
note_group(g) = (groups = word_index(g, groups) ? groups : groups . g . ' ')
do for [v in 'resident pdl while axpy-graph'] {
    if (word_index(v, drawn)) {
        do for [table in 'default.dat points.dat'] {
            stats table index block_of(v) using (of_point(0) && saving(0) == saving(0) ? (note_group(group_of(0)), \
                found = found . sprintf('%s=%s=%d=%.9g ', group_of(0), v, collected_at(launches, at(0)), \
                                        saving(0) > 0 ? making(0) / saving(0) : -1), 1) : 0) nooutput
        }
    }
}
if (!words(found)) {
    print sprintf('needs a graph and its launches one by one at the same point: ./lab run %s --solution --sweep', lab[4:])
    exit status 77
}

part(text, mark, i) = (i == 1 ? before(text, mark) : part(text[strlen(before(text, mark)) + 2:*], mark, i - 1))
before(text, mark) = (strstrt(text, mark) ? text[1:strstrt(text, mark) - 1] : text)
title_of(g) = (part(g, '/', 1) eq 'axpy' ? sprintf('AXPYs, n = %s, by nodes', part(g, '/', 2)) \
    : sprintf('%s, %s, %%s nodes', name_of(names_model, int(part(g, '/', 2))), name_of(names_form, int(part(g, '/', 3)))))
shown_as(x) = sprintf(x < 10 ? '%.2g (%d)' : '%.0f (%d)', x, ceil(x))
says = ''
set print $groups
do for [g in groups] {
    is_axpy = part(g, '/', 1) eq 'axpy'
    headed = 0
    do for [line in found] {
        if (part(line, '=', 1) eq g) {
            replays = real(part(line, '=', 4))
            if (!headed) { print heading(is_axpy ? title_of(g) : sprintf(title_of(g), part(line, '=', 3))) }
            headed = 1
            label = is_axpy ? part(line, '=', 3) : part(line, '=', 2)
            if (replays < 0) { print no_bar(label, 'never: a replay saves nothing') }
            if (replays >= 0) {
                print bar(1, label, replays, replays, replays, shown_as(replays))
                if (says eq '') { says = sprintf('%s has paid after %d replay%s', part(line, '=', 2), ceil(replays), ceil(replays) == 1 ? '' : 's') }
            }
        }
    }
}
set print
says = strlen(says) ? says : 'No graph pays'
about = sprintf('P = %d', headline_prompt)
note = 'over launches without waits; (): rounded up'
axis_label = 'replays until it has paid'
eval draw_groups
