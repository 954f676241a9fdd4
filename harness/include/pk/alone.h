/* A variant by itself, for a program of a lab's own that measures nothing: lab07_text. It is made of the objects of
 * labNN_optimized or labNN_solution, and has a main of its own. */
#ifndef PK_ALONE_H
#define PK_ALONE_H

#include "pk/lab.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The run of this program's variant of that name. Knobs have their defaults, on the CPU device those of --quick where
 * the lab is slow there, but for those that `knobs` names: "blocks=3 ring=24". `device` is what pk_device_open gave,
 * and outlives the run. PK_TODO: the first of the variant's steps that is open; PK_SKIP: the device lacks what the
 * variant needs; PK_USAGE: knobs that cannot be. Close it either way. */
pk_status pk_alone_open(pk_run **run, const char *variant, const char *knobs, const pk_device_info *device);
/* The variant's prepare, with the stream and the lab's data for what it asks of its run. */
pk_status pk_alone_prepare(pk_run *run, void *stream, void *lab_data);
/* A repetition. What its state is at the beginning is the caller's to see to. */
pk_status pk_alone_execute(pk_run *run);
/* Its finish, where it was prepared. NULL: nothing. */
void pk_alone_close(pk_run *run);

#ifdef __cplusplus
}
#endif
#endif
