set datafile missing NaN
picked(s) = column(column_n) == 4096 && column(column_s) == s
stats 'points.dat' index 2 using (picked(5) ? column(column_k) : NaN) nooutput
print sprintf('%g rows, k to %g; s %s; in flight %g, first %s, form %g, a %g, %g processors, p50 %d p99 %d; ', STATS_records, \
              STATS_max, values_s, headline_in_flight, values_first, headline_form, headline_a, processors, column_p50, column_p99) \
    . sprintf('phases %s%d %d, names %s%s|, baselines %s; ', phases, column_phase_capture, column_phase_warm_up, names_form, names_s, baselines) \
    . sprintf('launches %d speedup %d submit %d first %d error %d; ', column_launches, column_speedup, column_submit, column_first, column_error) \
    . system("grep -c '^8442.168 ' default.dat") . ' default; ' . system("grep -c '^$' default.dat") . ' between blocks; ' \
    . system("tr '\n' ';' <headline.dat") . system("grep '^[^N].* 5 ' points.dat | tr '\n' ';'")
exit status 77
