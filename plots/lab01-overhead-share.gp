# Lab 01: which share f of a token's time is launch overhead, against the time T_comp that its memory work takes.
if (is_cpu) {
    print 'the CPU device has no memory of its own: T_comp means nothing there'
    exit status 77
}
if (along_n_count < 3 || !word_index('work-only', drawn)) {
    print 'needs a sweep, with three values of n or more, and the variant work-only: ./lab run 01 --sweep'
    exit status 77
}
K = along_n_k
known(a, b) = (a == a ? a : b)
t_sync = known(slope_of('launch-sync'), launch_sync_us)
t_stream = known(slope_of('stream'), launch_us)

# Percent. The sum: all launch overhead shows. The larger: issuing goes on while the device runs, gap by gap.
sum_share(T, t_L) = 100 * K * t_L / (T + K * t_L)
larger_share(T, t_L) = 100 * (1 - T / larger(K * t_L, T + K * known(gap_us, 0)))
measured(T_comp, T) = 100 * (1 - T_comp / T)

stats 'along_n.dat' index block_of('work-only') using 1 nooutput
low = STATS_min / 1.5
high = STATS_max * 1.5
stats 'along_n.dat' index block_of(baseline) using (measured($5, $1)) nooutput
says = sprintf('%s: up to %.3g%% of its time is launching', baseline, STATS_max)
about = sprintf('K = %d kernels a token', K)
note = 'markers: measured; lines: the model'
eval titles
set xlabel 'memory work of a token, T_{comp} (µs)'
set ylabel 'overhead share f (%)'
set logscale x
eval 'set xtics (' . ticks_between(low, high) . ')'
set xrange [low : high]
# Noise may put a share below nothing: it is shown.
set yrange [* < 0 : 105]
set ytics 20
set samples 400

launched = ''
do for [v in 'launch-sync stream pdl'] {
    if (word_index(v, drawn)) { launched = launched . v . ' ' }
}
plot for [v in launched] 'along_n.dat' index block_of(v) using 5:(measured($5, $1)) \
         with points linetype style_of(v) title v noenhanced, \
     sum_share(x, t_sync) with lines linetype style_of('launch-sync') title 'sync: sum', \
     sum_share(x, t_stream) with lines linetype style_of('stream') title 'stream: sum', \
     larger_share(x, t_stream) with lines linetype style_of('stream') dashtype 1 title 'stream: max'
