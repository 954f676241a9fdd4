/* A kernel's name as its source has it. */
#ifndef PK_KERNEL_NAME_H
#define PK_KERNEL_NAME_H

#include <stddef.h>

/* "_Z4tmplILi4EfEvPKf" -> "tmpl<4,float>": the name without its namespace, and its template's arguments as far as they
 * are numbers, builtin types or classes; others show as "<...>". A name that is not mangled, or not understood, as it
 * is. Cut to `bytes`. Source: the Itanium C++ ABI, "Mangling". */
void pk_kernel_name(char *name, size_t bytes, const char *mangled);

#endif
