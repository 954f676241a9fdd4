/* Reports with a bit of everything, for tests of what is written. */
#ifndef PK_SAMPLE_REPORT_H
#define PK_SAMPLE_REPORT_H

#include "pk/result.h"

/* A GPU's run: passes, a speed target missed, throttled clocks, a wrong result, cold cache. */
void sample_gpu_report(pk_report *report);

/* The CPU device's: skipped, an open step, nothing timed, NaN wherever it may be, bytes that are no UTF-8. */
void sample_cpu_report(pk_report *report);

/* As little as a run that ended at once leaves behind. */
void sample_empty_report(pk_report *report);

/* What a file that was written holds; the file is removed. The caller's to free. */
char *sample_text_of(const char *path);

#endif
