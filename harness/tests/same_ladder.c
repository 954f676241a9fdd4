/* The same program against itself: a ladder whose one rung is the first baseline again. Its speedup is 1, and what a
 * run says of it is how far the harness can be believed (same.py counts). */
#include <stddef.h>

#include "pk/lab.h"

pk_variant_list pk_ladder_variants(void);
pk_variant_list pk_ladder_variants(void)
{
    static pk_variant again;
    again = pk_baseline_variants().variants[0];
    again.name = "again";
    again.summary = "the first baseline once more";
    return (pk_variant_list){&again, 1};
}
