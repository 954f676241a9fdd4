# What the figures of lab 05 share.
all_variants = 'words wide vector async bulk tensor roles chase burst-native burst-shaped offload-bulk'
load plots . 'sweep.gp'

# Bytes of a page, with its score, scale and place in the table; and of a pass over the stream, in TB/s.
page_bytes(c) = column(column_rows) * column(column_dim) * 2.0
tb_per_s(c) = column(column_pages) * (page_bytes(0) + 12) * 1e-6 / $1
read_tb_per_s = read_gb_per_s / 1000.0
