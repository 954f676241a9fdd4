# What the figures of lab 03 share.
all_variants = 'kernels fused grid-sync hand-barrier split-kv async-tiles warp-roles'
load plots . 'sweep.gp'

# K and V of a step in GB, of a row of points.dat without ragged lengths: read once; a step is a key longer than the last.
kv_gb(c) = column(column_batch) * (column(column_seq_len) + 1 + (column(column_steps) - 1) / 2.0) * \
           column(column_kv_heads) * column(column_head_dim) * 4e-9
tb_per_s(c) = kv_gb(0) / $1 * 1e3
read_tb_per_s = read_gb_per_s / 1000.0
