/* The baseline program has no ladder. */
#include "pk/lab.h"

pk_variant_list pk_ladder_variants(void)
{
    pk_variant_list none = {NULL, 0};
    return none;
}

const char *pk_ladder_text(void)
{
    return NULL;
}
