/* Found in place of NVIDIA's: see stand_in.h. */
#include "stand_in.h"
