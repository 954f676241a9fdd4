/* After the measuring: the lab's own analysis, and the targets. */
#ifndef PK_ANALYSIS_H
#define PK_ANALYSIS_H

#include <stddef.h>

#include "options.h"
#include "pk/result.h"

/* Give the lab its measured points; what it records goes into the report. */
pk_status pk_analyse(pk_report *report);

/* Judge the lab's targets at the default knobs (the first `default_results` results) and over its figures. Nothing is
 * judged on the CPU device, under --quick, or with knobs that differ from the defaults: speed there says nothing
 * about the target. Launch counts are judged everywhere. */
pk_status pk_judge_targets(pk_report *report, const pk_options *options, size_t default_results);

#endif
