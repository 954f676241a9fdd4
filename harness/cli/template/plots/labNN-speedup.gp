# Lab @NN@: how many times faster than the baseline each variant is.
about = sprintf('n = %d', headline_n)
load plots . 'speedup.gp'
