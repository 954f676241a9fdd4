/* What the build writes into a lab's program about the files that it is made of (harness/cmake/program_files.cmake). */
#ifndef PK_PROGRAM_H
#define PK_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "pk/lab.h"
#include "pk/steps.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_variant_file { /* a file that defines variants with PK_VARIANTS */
    bool is_baseline;
    pk_variant_list (*variants)(void);
} pk_variant_file;

/* In the order in which their variants are listed and run: the baselines', then the ladder's. */
extern const pk_variant_file pk_variant_files[];
extern const size_t pk_variant_file_count;

/* The ladder's files as they were built: the run records which texts it measured, whatever the files have become since.
 * None in the baseline program. */
extern const pk_source pk_ladder_sources[];
extern const size_t pk_ladder_source_count;

#ifdef __cplusplus
}
#endif
#endif
