/* The few declarations of src/cupti_records.h against CUPTI's own header: compiles or does not. */
#include <cupti.h>
#include <stddef.h>

#include "../src/cupti_records.h"

#if CUPTI_API_VERSION >= 130000
typedef CUpti_ActivityKernel10 cupti_kernel;
typedef CUpti_ActivityMemcpy6 cupti_memcpy;
#else
typedef CUpti_ActivityKernel9 cupti_kernel;
typedef CUpti_ActivityMemcpy5 cupti_memcpy;
#endif
typedef CUpti_ActivityMemset4 cupti_memset;

#define SAME_PLACE(theirs, their_member, ours, our_member)                                                             \
    _Static_assert(offsetof(theirs, their_member) == offsetof(ours, our_member), "place of " #our_member);             \
    _Static_assert(sizeof((theirs *)0)->their_member == sizeof((ours *)0)->our_member, "size of " #our_member)

#define SAME_EXTENT(name)                                                                                              \
    _Static_assert(offsetof(cupti_kernel, name##X) == offsetof(pk_cupti_kernel, name), "place of " #name);             \
    _Static_assert(offsetof(cupti_kernel, name##Y) == offsetof(pk_cupti_kernel, name) + 4, "place of " #name "Y");     \
    _Static_assert(offsetof(cupti_kernel, name##Z) == offsetof(pk_cupti_kernel, name) + 8, "place of " #name "Z")

_Static_assert(PK_CUPTI_SUCCESS == (int)CUPTI_SUCCESS, "result");
_Static_assert(PK_CUPTI_MEMCPY == (int)CUPTI_ACTIVITY_KIND_MEMCPY, "kind");
_Static_assert(PK_CUPTI_MEMSET == (int)CUPTI_ACTIVITY_KIND_MEMSET, "kind");
_Static_assert(PK_CUPTI_RUNTIME == (int)CUPTI_ACTIVITY_KIND_RUNTIME, "kind");
_Static_assert(PK_CUPTI_CONCURRENT_KERNEL == (int)CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, "kind");
_Static_assert(PK_CUPTI_RUNTIME_API == (int)CUPTI_CB_DOMAIN_RUNTIME_API, "domain");
_Static_assert(PK_CUPTI_FLUSH_ALL == (int)CUPTI_ACTIVITY_FLAG_FLUSH_FORCED, "flag");
_Static_assert(PK_CUPTI_ALIGNMENT == ACTIVITY_RECORD_ALIGNMENT, "alignment");
SAME_PLACE(CUpti_Activity, kind, pk_cupti_activity, kind);

SAME_PLACE(CUpti_ActivityAPI, cbid, pk_cupti_call, function);
SAME_PLACE(CUpti_ActivityAPI, start, pk_cupti_call, start);
SAME_PLACE(CUpti_ActivityAPI, end, pk_cupti_call, end);
SAME_PLACE(CUpti_ActivityAPI, threadId, pk_cupti_call, thread);
SAME_PLACE(CUpti_ActivityAPI, correlationId, pk_cupti_call, correlation);

SAME_PLACE(cupti_kernel, start, pk_cupti_kernel, start);
SAME_PLACE(cupti_kernel, end, pk_cupti_kernel, end);
SAME_PLACE(cupti_kernel, streamId, pk_cupti_kernel, stream);
SAME_EXTENT(grid);
SAME_EXTENT(block);
SAME_PLACE(cupti_kernel, correlationId, pk_cupti_kernel, correlation);
SAME_PLACE(cupti_kernel, name, pk_cupti_kernel, name);
SAME_PLACE(cupti_kernel, graphNodeId, pk_cupti_kernel, graph_node);
SAME_PLACE(cupti_kernel, graphId, pk_cupti_kernel, graph);

SAME_PLACE(cupti_memcpy, copyKind, pk_cupti_memcpy, copy_kind);
SAME_PLACE(cupti_memcpy, bytes, pk_cupti_memcpy, bytes);
SAME_PLACE(cupti_memcpy, start, pk_cupti_memcpy, start);
SAME_PLACE(cupti_memcpy, end, pk_cupti_memcpy, end);
SAME_PLACE(cupti_memcpy, streamId, pk_cupti_memcpy, stream);
SAME_PLACE(cupti_memcpy, correlationId, pk_cupti_memcpy, correlation);
SAME_PLACE(cupti_memcpy, graphNodeId, pk_cupti_memcpy, graph_node);
SAME_PLACE(cupti_memcpy, graphId, pk_cupti_memcpy, graph);

SAME_PLACE(cupti_memset, bytes, pk_cupti_memset, bytes);
SAME_PLACE(cupti_memset, start, pk_cupti_memset, start);
SAME_PLACE(cupti_memset, end, pk_cupti_memset, end);
SAME_PLACE(cupti_memset, streamId, pk_cupti_memset, stream);
SAME_PLACE(cupti_memset, correlationId, pk_cupti_memset, correlation);
SAME_PLACE(cupti_memset, graphNodeId, pk_cupti_memset, graph_node);
SAME_PLACE(cupti_memset, graphId, pk_cupti_memset, graph);
