# What the figures of lab 07 share.
all_variants = 'graph-pdl kernel ring-ahead ring-flag ring-spread ring-many ring-quant ring-many-quant stream graph'
name_of(names, i) = (words(names) > i ? word(names, i + 1) : sprintf('%d', i))
# What a token's bytes take at B_read, us.
limit_us(c) = (read_gb_per_s == read_gb_per_s ? column(column_bytes) / (read_gb_per_s * 1e3) : NaN)
# All knobs but those of the place, of which a figure is about one or more: model, position, tokens and weights.
usual_of_any(c) = column(column_top_k) == headline_top_k && column(column_blocks) == headline_blocks && \
           column(column_consumers) == headline_consumers && column(column_ring) == headline_ring && \
           column(column_chunk) == headline_chunk && column(column_in_flight) == headline_in_flight && \
           column(column_share_keys) == headline_share_keys && column(column_capacity) == headline_capacity
usual(c) = usual_of_any(c) && column(column_weights) == headline_weights
