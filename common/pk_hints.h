/* What an error message adds to the runtime's own words. */
#ifndef PK_HINTS_H
#define PK_HINTS_H

#ifdef __cplusplus
extern "C" {
#endif

/* What to do about a runtime error, by its name as CUDA or HIP spells it: one line that ends with the page to
 * read. Never NULL: a name that is not in the table gets the general advice. */
const char *pk_hint(const char *error_name);

/* CUDA's name for an error that HIP names differently; `error_name` itself where there is none in the table. */
const char *pk_cuda_name(const char *error_name);

/* `file` (a __FILE__) without the path of the source tree in front of it: "labs/lab01_launches/baseline.cu".
 * Async-signal-safe. */
const char *pk_source_name(const char *file);

#ifdef __cplusplus
}
#endif
#endif
