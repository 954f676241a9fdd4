# Lab 05, part three: what shaping costs prefill and what it gives decode, along the chunks under way: decode's p99 over
# its idle p99 against prefill's throughput over that of all at once, a line for each length of a chunk.
if (is_cpu) {
    print 'the CPU device has a few cores for both: what prefill leaves to decode there is no matter of chunks'
    exit status 77
}
if (!word_index('prefill', phases)) {
    print sprintf('needs the sweeps "bursts" and "shaping": ./lab run %s --sweep', lab[4:])
    exit status 77
}
of_bursts(c) = (column(column_work) == word_index('bursts', names_work) - 1 && column(column_pages) == headline_pages && column(column_rows) == headline_rows)
# A point where no step ran beside prefill has no latency.
chosen(c) = (of_bursts(0) && column(column_max_in_flight) > 0 && column(column_p99) > 0)
candidates = 'burst-native burst-shaped'
sweep = 'shaping'
load plots . 'lab05.gp'
subject = word(timed, 1)
plain = subject eq 'burst-native' ? 'burst-bulk' : 'burst-plain'

# Idle, and all at once: of the sweep "bursts", at the defaults.
idle = 0
plain_us = 0
plain_p99 = 0
if (word_index('burst-apart', drawn)) {
    stats 'points.dat' index block_of('burst-apart') using \
          (of_bursts(0) && column(column_max_in_flight) == 0 ? (idle = column(column_p99), 1) : 0) nooutput
}
if (word_index(plain, drawn)) {
    stats 'points.dat' index block_of(plain) using (of_bursts(0) && column(column_max_in_flight) == 0 \
          ? (plain_us = column(column_phase_prefill), plain_p99 = column(column_p99), 1) : 0) nooutput
}
if (!(idle > 0 && plain_us > 0)) {
    print sweep_is_needed('bursts')
    exit status 77
}
percent(c) = 100 * plain_us / column(column_phase_prefill)
over_idle(c) = column(column_p99) / idle

# The most of prefill that keeps the promise to decode.
most = 0
most_in_flight = 0
most_chunk = 0
highest = plain_p99 / idle
lowest = 100
stats 'points.dat' index block_of(subject) using (chosen(0) && over_idle(0) <= 1.25 && percent(0) > most \
      ? (most = percent(0), most_in_flight = column(column_max_in_flight), most_chunk = column(column_chunk_k), 1) : 0) nooutput
stats 'points.dat' index block_of(subject) using (chosen(0) ? (highest = larger(highest, over_idle(0)), \
      lowest = smaller(lowest, percent(0)), 1) : 0) nooutput
stats 'points.dat' index block_of(subject) using (chosen(0) ? column(column_max_in_flight) : NaN) nooutput
fewest = STATS_min
largest = STATS_max
height = 480
load theme
set tmargin at screen top_below_two_rows
says = most > 0 ? sprintf('%.0f%% of prefill at 1.25x idle: %d chunks of %d', most, most_in_flight, most_chunk) \
                : sprintf('%s: p99 is above 1.25x idle', subject)
about = sprintf('%s, idle %s', subject, time_text(idle))
note = sprintf('along a line: %d to %d chunks; dashed: 1.25x, 85%%', fewest, largest)
eval titles
set xlabel sprintf('throughput of prefill (%% of %s)', plain) noenhanced
set ylabel "decode's p99 (x idle)" noenhanced offset 1.8, 0
set logscale y 2
set xrange [0.92 * lowest : 108]
set yrange [0.9 : highest * 1.3]
set ytics (1, 1.25, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
set arrow 1 from graph 0, first 1.25 to graph 1, first 1.25 nohead linetype 19 dashtype 2 back
set arrow 2 from 85, graph 0 to 85, graph 1 nohead linetype 19 dashtype 2 back
chunks = ''
do for [c in values_chunk_k] {
    stats 'points.dat' index block_of(subject) using (chosen(0) && column(column_chunk_k) == real(c) ? 1 : 0) nooutput
    if (STATS_sum > 0) { chunks = chunks . c . ' ' }
}
plot for [i = 1:words(chunks)] 'points.dat' index block_of(subject) using \
         (chosen(0) && column(column_chunk_k) == real(word(chunks, i)) ? percent(0) : NaN):(over_idle(0)) \
         with linespoints linetype 10 + (i <= 3 ? word('1 3 2', i) : i) title word(chunks, i) . ' pages a chunk', \
     '+' using (100.0):(plain_p99 / idle) every ::0::0 with points pointtype 4 pointsize 1.4 * marker linecolor rgb '#000000' title 'all at once' noenhanced
