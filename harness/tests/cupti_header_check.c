/* The few declarations of src/cupti_records.h against CUPTI's own header: compiles or does not. */
#include <cupti.h>
#include <stddef.h>

#include "../src/cupti_records.h"

_Static_assert(PK_CUPTI_SUCCESS == (int)CUPTI_SUCCESS, "result");
_Static_assert(PK_CUPTI_CONCURRENT_KERNEL == (int)CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, "kind");
_Static_assert(PK_CUPTI_FLUSH_ALL == (int)CUPTI_ACTIVITY_FLAG_FLUSH_FORCED, "flag");
_Static_assert(PK_CUPTI_ALIGNMENT == ACTIVITY_RECORD_ALIGNMENT, "alignment");
_Static_assert(offsetof(CUpti_Activity, kind) == offsetof(pk_cupti_activity, kind), "place of the kind");
_Static_assert(sizeof((CUpti_Activity *)0)->kind == sizeof((pk_cupti_activity *)0)->kind, "size of the kind");
