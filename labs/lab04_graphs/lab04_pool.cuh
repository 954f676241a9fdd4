/* Lab 04: graphs of prefill by length bucket, given. All of them use the decoder's one scratch memory, which is sized
 * for the longest: they never run at the same time, being in one stream. */
#ifndef LAB04_POOL_CUH
#define LAB04_POOL_CUH

#include "lab04_prompt.cuh"

typedef struct lab04_pooled {
    int rows; /* of the bucket; 0: nothing here */
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    long used; /* the pool's clock when it was used last */
} lab04_pooled;

typedef struct lab04_pool {
    int room; /* graphs that it may keep, at most LAB04_MOST_BUCKETS */
    long clock;
    lab04_pooled entry[LAB04_MOST_BUCKETS];
} lab04_pool;

static inline void lab04_pool_drop(lab04_pooled *entry)
{
    const lab04_pooled nothing = {};
    pk_graph_destroy(entry->graph, entry->exec);
    *entry = nothing;
}

static inline pk_status lab04_pool_open(pk_run *run, lab04_graph *g)
{
    g->pool = (lab04_pool *)calloc(1, sizeof *g->pool);
    if (!g->pool)
        return pk_out_of_memory("lab04's pool of graphs");
    g->pool->room = lab04_of(run)->pool;
    return PK_OK;
}

static inline void lab04_pool_close(pk_run *run)
{
    lab04_graph *const g = lab04_graph_of(run);
    for (int i = 0; g && g->pool && i < LAB04_MOST_BUCKETS; i++)
        lab04_pool_drop(&g->pool->entry[i]);
    if (g)
        free(g->pool);
    lab04_forget_graph(run);
}

#endif
