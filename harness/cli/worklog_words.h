/* What a run of the student's program comes to, in the words of the work log. All in new memory, one line each. */
#ifndef CLI_WORKLOG_WORDS_H
#define CLI_WORKLOG_WORDS_H

#include "results.h"

/* The student's newest result that was timed, else the newest, and its file's path: "graph 233 us/token, ...
 * (results/.../lab04.json)"; "nothing yet". */
char *work_measured_now(const cli_lab *lab);

/* Did the run say anything of the student's rungs: right and timed, wrong, a fault, a hang? One for a profiler, which
 * times nothing, says only what is wrong. `result` may be NULL, here and below. */
bool work_has_judged(const cli_result *result, const cli_end *end);

char *work_result(const cli_result *result);

/* The steps whose text is another than in the result that `measured` names. */
char *work_change(const cli_result *result, const char *measured);

/* Right or not; and on a GPU, faster or slower than the result that `measured` names, as far as the two compare. */
char *work_verdict(const cli_result *result, const char *measured, const cli_end *end);

#endif
