/* Found in place of AMD's: see stand_in.h. */
#include "../stand_in.h"
