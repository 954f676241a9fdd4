# Lab 02: how many times faster than the baseline each variant is.
about = sprintf('%s, n = %d, %d requests', headline_form ? 'dense' : 'axpy', headline_n, headline_requests)
load plots . 'speedup.gp'
