# Lab 05: how many times faster than the baseline each variant is.
about = sprintf('%d pages of %d keys of %d', headline_pages, headline_rows, headline_dim)
load plots . 'speedup.gp'
