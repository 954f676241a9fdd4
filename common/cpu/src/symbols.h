/* The program's own symbols. */
#ifndef PK_CPU_SYMBOLS_H
#define PK_CPU_SYMBOLS_H

#include <stddef.h>

/* Bytes of the __shared__ variables that the kernel itself declares; 0 where the program has no symbols. */
size_t pk_static_shared_bytes(const void *function);
/* The __shared__ variable that the calling OS thread has at this address, or null; `*offset` is the byte in it. */
const char *pk_shared_variable(const void *address, size_t *offset);
/* Calls `visit` for each __shared__ variable that the calling OS thread has. */
void pk_shared_visit(void (*visit)(char *variable, size_t bytes, void *data), void *data);
/* "name at file.cu:31" for a code address, as far as the program's symbols and addr2line tell. */
void pk_describe_code(const void *address, char *text, size_t bytes);

#endif
