# What the figures of lab 06 share.
all_variants = 'pointwise operators fused vector graph persistent'
name_of(names, i) = (words(names) > i ? word(names, i + 1) : sprintf('%d', i))
