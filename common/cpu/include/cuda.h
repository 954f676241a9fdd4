/* The driver API's header, which programs for the runtime API include by habit: its version, and nothing to call. A
 * name of the driver API is an error of the compiler. */
#ifndef PK_CPU_CUDA_H
#define PK_CPU_CUDA_H

#define CUDA_VERSION 13000 /* as CUDART_VERSION */

#endif
