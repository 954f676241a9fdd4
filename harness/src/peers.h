/* What other programs measured of a lab's problem (docs/measuring.md, "Beside other programs"), for targets against
 * them. */
#ifndef PK_PEERS_H
#define PK_PEERS_H

#include "pk/result.h"

/* Take the points that passed and were timed from the result file at `path`, or, if that is a folder, from the
 * labNN-*.json in the folders below it: the newest file of the same lab and device that has a variant at these knobs
 * gives the point, and files that do not fit are passed over. A file that is named must fit: PK_USAGE, and what does
 * not. The report's lab and device are known by now. */
pk_status pk_peers_read(pk_report *report, const char *path);

#endif
