# Lab 02: how many times faster than the baseline each variant is.
what = sprintf('Speed-up, %s, n = %d, %d requests', headline_form ? 'dense' : 'axpy', headline_n, headline_requests)
load theme[1:strlen(theme) - strlen('theme.gp')] . 'speedup.gp'
