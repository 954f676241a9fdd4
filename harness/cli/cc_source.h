/* What in a program's preprocessed text the CPU device cannot take: `cc` looks when a file did not compile. */
#ifndef CC_SOURCE_H
#define CC_SOURCE_H

#include <stddef.h>

typedef struct cc_places {
    size_t count;
    char *kernel; /* of the first launch; NULL for PTX */
    char *text;   /* "vec.cu:12, vec.cu:20 and 3 more"; NULL when there are none */
} cc_places;

typedef struct cc_findings {
    cc_places launches; /* kernel<<<...>>>(...) */
    cc_places ptx;      /* asm statements whose template is PTX, and that the compiler calls an error */
} cc_findings;

/* `text` is the output of the compiler's -E: comments are gone, and "# LINE "FILE"" says where what follows stands.
 * `complaints` is what the compiler or its assembler said: a function with PTX that nothing calls is no error here. */
cc_findings cc_look(const char *text, const char *complaints);
void cc_findings_free(cc_findings *findings);

#endif
