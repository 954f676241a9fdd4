# Lab 02: a launch for every step, and a kernel that the host feeds.
to_variants = 'requests queue'
load plots . 'timeline.gp'
