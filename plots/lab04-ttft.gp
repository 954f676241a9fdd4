# Lab 04: time to the first token against the prompt's length: on a bucket's edge, and one beyond, where the rows that
# the next bucket adds are padding.
chosen(c) = column(column_exact) == 1 && column(column_work) == 2
candidates = 'prefill-launch prefill-pool prefill-exact'
all_variants = candidates
sweep = 'prefill'
load plots . 'sweep.gp'

best_column = column_prompt
eval best_at
says = best_says(sprintf('P = %d', found))
about = 'one length'
note = strlen(note) ? note : 'steps: a token more is a bucket more'
eval titles
set xlabel 'tokens of the prompt, P'
set ylabel 'time to the first token (µs)'
set logscale x 2
set logscale y
set xtics ('16' 16, '32' 32, '64' 64, '128' 128, '' 256, '512' 512, '1024' 1024, '' 2048, '4096' 4096)
eval 'set ytics (' . ticks_between(times_low / 2, times_high * 1.6) . ')'
stats 'points.dat' using (chosen(0) ? column(column_prompt) : NaN) nooutput
set xrange [STATS_min / 1.3 : STATS_max * 1.3]
set yrange [times_low / 1.6 : times_high * 1.6]
plot for [v in shown] 'points.dat' index block_of(v) using (chosen(0) ? column(column_prompt) : NaN):1 \
         with linespoints linetype style(v) title v noenhanced
