/* cooperative_groups::reduce: see the main header. */
#include "../cooperative_groups.h"
