/* The device and the program of a run, as its report has them. */
#ifndef PK_MACHINE_H
#define PK_MACHINE_H

#include "pk/result.h"

/* The program's name, its arguments and when it started. */
void pk_machine_describe_program(pk_report *report, int argc, char **argv);

/* Open the device, a stream that work may be launched on, and the sensors; read the clocks before. As pk_device_open.
 */
pk_status pk_machine_open(pk_report *report, void **stream);
void pk_machine_close(void *stream); /* NULL: there is none */

#endif
