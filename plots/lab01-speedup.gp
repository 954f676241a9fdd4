# Lab 01: how many times faster than the baseline each variant is.
about = sprintf('n = %d, K = %d', headline_n, headline_k)
load plots . 'speedup.gp'
