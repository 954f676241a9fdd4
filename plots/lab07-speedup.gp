# Lab 07: how many times faster than launching every kernel each rung is.
about = sprintf('%s, position %d', word(names_model, headline_model + 1), headline_position)
load plots . 'speedup.gp'
