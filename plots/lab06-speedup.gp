# Lab 06: how many times faster than the baseline each variant is.
load plots . 'lab06.gp'
about = headline_work == 1 ? sprintf('with its product, T = %d, H = %d, K = %d', headline_rows, headline_columns, headline_inner) \
    : sprintf('%s, %d × %d, %d layers', name_of(names_type, headline_type), headline_rows, headline_columns, headline_layers)
load plots . 'speedup.gp'
