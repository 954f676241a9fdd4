/* cooperative_groups::inclusive_scan and exclusive_scan: see the main header. */
#include "../cooperative_groups.h"
