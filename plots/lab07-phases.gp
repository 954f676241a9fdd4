# Lab 07: where the time of a token goes, by phase, from the blocks' own stamps (--stamps=on): work, and waiting for a
# value; and the block that works longest in each layer, which the others wait for.
load plots . 'lab07.gp'
phase_names = 'qkv attend merge o gate-up down logits choose'
if (!word_index('qkv', phases) || !word_index('qkv-waits', phases)) {
    print sprintf('needs a run with stamps, timed on a GPU: ./lab run %s --stamps=on', lab[4:])
    exit status 77
}
column_of(name) = MEASURED + word_index(name, phases)
MEASURED = column_phase_qkv - word_index('qkv', phases)
last = ''
do for [v in ordered] {
    if (word_index(v, drawn)) {
        stats 'default.dat' index block_of(v) using (strcol(1) ne 'NaN' && strcol(column_of('qkv')) ne 'NaN' ? (last = v, 1) : 0) nooutput
    }
}
if (last eq '') {
    print sprintf('no rung has stamps at the default point: ./lab run %s --stamps=on', lab[4:])
    exit status 77
}
at_rest(name) = sprintf("found = NaN; stats 'default.dat' index %d using (strcol(1) ne 'NaN' ? (found = column(%d), 1) : 0) nooutput", \
                        block_of(last), column_of(name))
set print $phases
all_us = 0
all_waits = 0
most = 0
do for [i = 1:words(phase_names)] {
    name = word(phase_names, i)
    eval at_rest(name)
    us = found
    eval at_rest(name . '-waits')
    waits = found
    eval at_rest(name . '-slowest')
    print sprintf('%d "%s" %.9g %.9g %.9g', i, name, us - waits, waits, found)
    all_us = all_us + us
    all_waits = all_waits + waits
    most = larger(most, larger(us, found))
}
set print
says = sprintf('%s: %.0f%% of a token is waiting', last, 100 * all_waits / all_us)
about = sprintf('%s, position %d', name_of(names_model, headline_model), headline_position)
note = 'mean of the blocks; bar: the block that works longest, summed over layers'
eval titles
set xlabel 'time of a token (µs)'
set yrange [words(phase_names) + 0.6 : 0.4]
set xrange [0 : most * 1.08]
set ytics scale 0 noenhanced ('' 0)
set grid noytics
set key maxrows 1
set tmargin at screen 0.8
set lmargin at screen 0.21
plot $phases using (0):1:(0):3:($1 - 0.33):($1 + 0.33) with boxxyerror linetype 2 dashtype 1 linewidth 0.6 fillcolor rgb '#b8cde4' fillstyle solid 1 border title 'works', \
     $phases using 3:1:3:($3 + $4):($1 - 0.33):($1 + 0.33) with boxxyerror linetype 6 dashtype 1 linewidth 0.6 fillcolor rgb '#707070' fillstyle pattern 4 border title 'waits', \
     $phases using 5:($1 - 0.4):(0):(0.8) with vectors nohead linetype 1 linewidth 2 title 'slowest', \
     $phases using (0):1:(''):ytic(2) with labels notitle
