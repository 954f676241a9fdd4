/* Records one repetition by the best source that is here. */
#ifndef PK_RECORDER_H
#define PK_RECORDER_H

#include "trace.h"

/* From here on what happens goes into `trace`, which is new. One recording at a time. */
void pk_record_begin(pk_trace *trace);

/* The repetition begins: what happened until here is forgotten. A recording's first launches cost more than later ones,
 * since the source gets its memory and looks at each kernel: have another repetition before, in the same recording. */
void pk_record_repetition_begins(pk_trace *trace);

/* The repetition has ended: its time is over, and then, when all its work has ended (synchronise), the recording. */
void pk_record_repetition_ended(pk_trace *trace);
void pk_record_end(pk_trace *trace);

/* While it records, from the host's thread: the variant said that token `number`, from 0, was done. */
void pk_record_token(pk_trace *trace, size_t number);

#endif
