/* What `asm` prints of a listing: the instances of the kernel in it, beside their lines. A bool says whether there is
 * one. */
#ifndef CLI_ASM_TEXT_H
#define CLI_ASM_TEXT_H

#include <stdbool.h>

/* nvcc's, made with -src-in-ptx; `said` is what ptxas says with -v: registers, shared memory, spills. */
bool asm_print_ptx(const char *ptx, const char *said, const char *kernel, const char *arch);

/* Of nvdisasm -g -c. */
void asm_print_sass(const char *listing, const char *kernel, const char *arch);

/* Of clang -S for the device side of a HIP file. */
bool asm_print_amd(const char *assembly, const char *kernel, const char *arch);

/* Of objdump -d -l -S -C. */
bool asm_print_host(const char *listing, const char *kernel);

#endif
