# Lab 03: how many times faster than the baseline each variant is.
what = sprintf('Speed-up, B = %d, L = %d, %d steps', headline_batch, headline_seq_len, headline_steps)
load theme[1:strlen(theme) - strlen('theme.gp')] . 'speedup.gp'
