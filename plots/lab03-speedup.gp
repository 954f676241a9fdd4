# Lab 03: how many times faster than the baseline each variant is.
about = sprintf('B = %d, L = %d, %d steps', headline_batch, headline_seq_len, headline_steps)
load plots . 'speedup.gp'
