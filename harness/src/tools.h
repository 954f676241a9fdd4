/* Which of the optional tools could be used by this program on this machine: their libraries load. */
#ifndef PK_TOOLS_H
#define PK_TOOLS_H

#include <stdbool.h>

bool pk_nvml_present(void);
bool pk_cupti_present(void);
bool pk_nvtx_present(void);

#endif
