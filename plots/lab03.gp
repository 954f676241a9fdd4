# What the figures of lab 03 share: which points a figure shows, and how variants look. A script sets before it loads this
#   chosen(c)    1 for a row of points.dat that the figure shows
#   candidates   variants, in the order of the key
#   sweep        the sweep that the rows come from, for the message
# and gets `shown`: those of the candidates that have two such rows or more.
set datafile missing NaN
shown = ''
do for [v in candidates] {
    STATS_sum = 0
    if (word_index(v, drawn)) { stats 'points.dat' index block_of(v) using (chosen(0) ? 1 : 0) nooutput }
    if (STATS_sum > 1) { shown = shown . v . ' ' }
}
if (shown eq '') {
    print 'needs the sweep "' . sweep . '": ./lab run 03 --sweep'
    exit status 77
}

# Fixed for all figures of the lab, so that a variant looks the same in each.
all_variants = 'kernels fused grid-sync hand-barrier split-kv async-tiles warp-roles'
set linetype 11 linecolor rgb '#000000' linewidth 1 pointtype 5 pointsize 0.7 * marker dashtype 1
set linetype 12 linecolor rgb '#707070' linewidth 1 pointtype 4 pointsize 0.8 * marker dashtype (1,2)
set linetype 13 linecolor rgb '#c2571a' linewidth 1 pointtype 9 pointsize 1.0 * marker dashtype (2,3)
set linetype 14 linecolor rgb '#3c9b6e' linewidth 1 pointtype 12 pointsize 1.1 * marker dashtype (8,3,2,3)
set linetype 15 linecolor rgb '#1f5fa8' linewidth 1.3 pointtype 7 pointsize 0.8 * marker dashtype 1
set linetype 16 linecolor rgb '#8a6d00' linewidth 1 pointtype 2 pointsize 0.8 * marker dashtype (4,2)
set linetype 17 linecolor rgb '#a3284f' linewidth 1 pointtype 10 pointsize 1.0 * marker dashtype (8,4)
set linetype 18 linecolor rgb '#909090' linewidth 0.8 pointtype 0 dashtype 1
style(v) = 10 + word_index(v, all_variants)

# K and V of a step in GB, of a row of points.dat without ragged lengths: read once; a step is a key longer than the last.
kv_gb(c) = column(column_batch) * (column(column_seq_len) + 1 + (column(column_steps) - 1) / 2.0) * \
           column(column_kv_heads) * column(column_head_dim) * 4e-9
tb_per_s(c) = kv_gb(0) / $1 * 1e3
read_tb_per_s = read_gb_per_s / 1000

# 2^10 for 1024, for eval 'set xtics (' . powers_of_two . ')'
powers_of_two = ''
do for [e = 4:24] { powers_of_two = powers_of_two . sprintf('"%s" 2**%d %d, ', e % 2 ? '' : sprintf('2^{%d}', e), e, e % 2) }
powers_of_two = powers_of_two . '"2^{26}" 2**26 0'
