/* evidence.txt beside result files: what their reader must know and they cannot say. A line each:
 *
 *   withdrawn LAB [variant=NAME] [cache=hot|cold] [KNOB=VALUE ...]: REASON
 *   elsewhere LAB: SOURCE                 where all results of the lab were measured; who says so
 *   published LAB NAME us/token=NUMBER: SOURCE
 *   note LAB: TEXT                        shown below the lab's tables
 *
 * Empty lines and those that begin with # are left out. docs/measuring.md has it for users. */
#ifndef CLI_EVIDENCE_H
#define CLI_EVIDENCE_H

#include "results.h"

#define CLI_EVIDENCE_FILE "evidence.txt"

/* Put what the folder's file says into a result that was just read: a withdrawn point has status "withdrawn", the
 * reason, and no time. PK_USAGE, naming file and line, where a line says nothing of the kind; PK_OK without a file. */
pk_status cli_evidence_apply(cli_result *result);

/* Where evidence.txt does not say it, a stored result is of a machine elsewhere, wherever it is read. */
void cli_evidence_name_machine(cli_result *result);

/* "measured here", on a machine of this processor and system; else "measured elsewhere: SOURCE". In new memory. */
char *cli_evidence_where(const cli_result *result);

#endif
