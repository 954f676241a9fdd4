# Lab 06: how many times faster than the baseline each variant is.
load plots . 'lab06.gp'
about = sprintf('%s, %s, T = %d, H = %d, L = %d', name_of(names_type, headline_type), name_of(names_act, headline_act), \
                headline_rows, headline_columns, headline_layers)
load plots . 'speedup.gp'
