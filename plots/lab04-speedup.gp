# Lab 04: how many times faster than launching every kernel and waiting for each token each rung is.
about = sprintf('prompt of %d, %d tokens', headline_prompt, headline_tokens)
load plots . 'speedup.gp'
