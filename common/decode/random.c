/* Seeded random weights, written by all of the machine's cores: 16 GB for the largest configuration. */
#define _GNU_SOURCE /* sysconf's _SC_NPROCESSORS_ONLN */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "model_storage.h"
#include "num/pk_random.h"
#include "pk_model_random.h"

enum {
    PIECE = 1 << 20,     /* elements that a thread takes at once: about a millisecond */
    MOST_THREADS = 64,   /* more do not write memory faster */
    ALIGN_ELEMENTS = 128 /* tensors begin at multiples of 256 bytes, as device memory does */
};

typedef struct filled {
    pk_model_tensor tensor;
    uint64_t seed;
    uint16_t *elements;
    size_t first_piece;
} filled;

typedef struct fill_work {
    const filled *tensors;
    size_t tensor_count, piece_count;
    atomic_size_t next_piece;
} fill_work;

static size_t elements_of(const pk_model_tensor *tensor)
{
    return tensor->rows * tensor->columns;
}

static void fill_range(const filled *to, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        to->elements[i] = pk_model_random_weight(to->seed, i, to->tensor.centre, to->tensor.spread);
}

/* The tensor that a piece belongs to: the last that begins at it or before. */
static const filled *tensor_of_piece(const fill_work *work, size_t piece)
{
    size_t low = 0, high = work->tensor_count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (work->tensors[middle].first_piece <= piece)
            low = middle;
        else
            high = middle;
    }
    return &work->tensors[low];
}

static void *fill_pieces(void *argument)
{
    fill_work *work = argument;
    for (;;) {
        /* Relaxed: the number alone is shared; what is written is seen after the join. */
        const size_t piece = atomic_fetch_add_explicit(&work->next_piece, 1, memory_order_relaxed);
        if (piece >= work->piece_count)
            return NULL;
        const filled *to = tensor_of_piece(work, piece);
        const size_t first = (piece - to->first_piece) * PIECE, all = elements_of(&to->tensor);
        fill_range(to, first, all - first < PIECE ? all : first + PIECE);
    }
}

/* On this thread and as many others as there are cores and pieces for; fewer where they cannot be had. */
static void fill_with_threads(fill_work *work)
{
    pthread_t threads[MOST_THREADS];
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = cores > 1 ? (size_t)cores - 1 : 0, started = 0;
    if (wanted > MOST_THREADS)
        wanted = MOST_THREADS;
    if (wanted >= work->piece_count)
        wanted = work->piece_count - 1;
    while (started < wanted && pthread_create(&threads[started], NULL, fill_pieces, work) == 0)
        started++;
    (void)fill_pieces(work);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
}

/* Pieces and places of all tensors; the places as offsets from a memory that begins at `base`. Returns its elements. */
static size_t lay_out(const pk_model_config *config, uint64_t seed, filled *tensors, fill_work *work)
{
    size_t elements = 0;
    for (size_t i = 0; i < work->tensor_count; i++) {
        tensors[i] = (filled){.tensor = pk_model_tensor_at(config, i),
                              .seed = pk_random_split(seed, i),
                              .first_piece = work->piece_count};
        const size_t count = elements_of(&tensors[i].tensor);
        work->piece_count += (count + PIECE - 1) / PIECE;
        elements += (count + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
    }
    return elements;
}

static void place(pk_model *model, filled *tensors, size_t count, uint16_t *base)
{
    for (size_t i = 0; i < count; i++) {
        tensors[i].elements = base;
        *pk_model_tensor_slot(model, i) = base;
        base += (elements_of(&tensors[i].tensor) + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS;
    }
}

pk_status pk_model_random(const pk_model_config *config, uint64_t seed, pk_model *model)
{
    *model = (pk_model){0};
    pk_status status = pk_model_config_check(config);
    if (status == PK_OK)
        status = pk_model_begin(config, model);
    if (status != PK_OK)
        return status;
    fill_work work = {.tensor_count = pk_model_tensor_count(config)};
    filled *tensors = calloc(work.tensor_count, sizeof *tensors);
    const size_t elements = tensors ? lay_out(config, seed, tensors, &work) : 0;
    uint16_t *base = tensors ? pk_model_allocate(model, elements) : NULL;
    if (!base) {
        free(tensors);
        pk_model_close(model);
        return pk_out_of_memory(config->name);
    }
    place(model, tensors, work.tensor_count, base);
    pk_model_complete(model);
    work.tensors = tensors;
    fill_with_threads(&work);
    free(tensors);
    return PK_OK;
}
