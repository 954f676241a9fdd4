/* Traces as a file. */
#ifndef PK_TRACE_JSON_H
#define PK_TRACE_JSON_H

#include "pk/result.h"
#include "trace.h"

/* Write the settled traces of `report`'s variants at `knobs` [report.knob_count], whole or not at all, as
 * pk_write_file. Form: JSON of Chrome's trace events, which Perfetto opens; docs/profiling.md says what stands in it. A
 * line holds one event. Errors: PK_USAGE with the path and the reason; PK_FAULT when memory is out. */
pk_status pk_trace_write(const pk_report *report, const long long *knobs, const pk_trace *traces, size_t count,
                         const char *path);

#endif
