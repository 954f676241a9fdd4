/* A model's matrices to blocks, by all of the machine's cores: the search for scales takes seconds for the largest. */
#define _GNU_SOURCE /* sysconf's _SC_NPROCESSORS_ONLN */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "model_storage.h"
#include "pk_quant.h"

enum { ROWS_AT_ONCE = 16, MOST_THREADS = 64 };

typedef struct work {
    pk_quant format;
    const uint16_t *from;
    unsigned char *to;
    size_t rows, columns, pitch;
    atomic_size_t next_row;
} work;

static void *quantise_rows(void *argument)
{
    work *w = argument;
    for (;;) {
        /* Relaxed: the number alone is shared; what is written is seen after the join. */
        const size_t first = atomic_fetch_add_explicit(&w->next_row, ROWS_AT_ONCE, memory_order_relaxed);
        if (first >= w->rows)
            return NULL;
        for (size_t row = first; row < w->rows && row < first + ROWS_AT_ONCE; row++)
            pk_quant_row_bf16(w->format, w->from + row * w->columns, w->columns, w->to + row * w->pitch);
    }
}

/* On this thread and as many others as there are cores and rows for; fewer where they cannot be had. */
static void quantise(work *w)
{
    pthread_t threads[MOST_THREADS];
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const size_t useful = w->rows * w->columns >> 16;
    size_t wanted = cores > 1 ? (size_t)cores - 1 : 0, started = 0;
    wanted = wanted < useful ? wanted : useful;
    wanted = wanted < MOST_THREADS ? wanted : MOST_THREADS;
    while (started < wanted && pthread_create(&threads[started], NULL, quantise_rows, w) == 0)
        started++;
    (void)quantise_rows(w);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
}

/* The matrix in blocks, or the one that there is where these do not divide its rows. NULL: out of memory. */
static const uint16_t *quantised(pk_model *to, pk_quant wanted, const uint16_t *from, size_t rows, size_t columns)
{
    work w = {.format = pk_quant_of(wanted, columns), .from = from, .rows = rows, .columns = columns};
    if (w.format == PK_QUANT_BF16)
        return from;
    w.pitch = pk_quant_pitch(w.format, columns);
    uint16_t *memory = pk_model_allocate(to, rows * w.pitch / sizeof *memory);
    w.to = (unsigned char *)memory;
    if (memory)
        quantise(&w);
    return memory;
}

pk_status pk_quant_model(const pk_model *from, pk_quant wanted, pk_model *to)
{
    const pk_model_config *c = &from->config;
    pk_model readable = *from; /* slots are those of a model that may be written; nothing is */
    const size_t tensors = pk_model_tensor_count(c);
    pk_status status = pk_model_begin(c, to);
    bool all = true;
    if (status != PK_OK)
        return status;
    to->weights = wanted;
    for (size_t i = 0; i < tensors && all; i++) {
        const pk_model_tensor tensor = pk_model_tensor_at(c, i);
        const uint16_t *const there = *pk_model_tensor_slot(&readable, i);
        const bool matrix = i > 0 && tensor.rows > 1; /* 0: the embedding, of which a step reads one row */
        const uint16_t *const now = matrix ? quantised(to, wanted, there, tensor.rows, tensor.columns) : there;
        *pk_model_tensor_slot(to, i) = now;
        all = now != NULL;
    }
    if (all && c->tied_embedding) {
        to->logits = quantised(to, wanted, from->embedding, (size_t)c->vocab, (size_t)c->hidden);
        all = to->logits != NULL;
    }
    if (all)
        return PK_OK;
    pk_model_close(to);
    return pk_out_of_memory(c->name);
}
