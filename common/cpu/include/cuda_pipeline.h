/* CUDA has its C++ pipeline here too; on the CPU device only the C functions are. */
#include "cuda_pipeline_primitives.h"
