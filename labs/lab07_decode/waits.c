/* Lab 07: what the watchdog says of a kernel that hangs: which blocks wait for what, those first that are behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lab07_problem.h"

enum { BLOCKS_A_PROCESSOR = 32 /* as many as any device holds */, MOST_TOLD = 5, MOST_NAMED = 4, TEXT = 160 };
static const long WAIT_NS = 400L * 1000 * 1000; /* many times what a wait polls before it says so again */

pk_status lab07_open_waits(const pk_run *run, lab07 *lab)
{
    void *host = NULL, *device = NULL;
    lab->meeting.blocks = (unsigned)(BLOCKS_A_PROCESSOR * pk_run_device(run)->processors);
    const size_t bytes = LAB07_WORDS * (size_t)lab->meeting.blocks * sizeof *lab->waits;
    pk_status status = pk_device_alloc_mapped(&host, &device, bytes);
    if (status != PK_OK)
        return status;
    memset(host, 0, bytes);
    lab->waits = host;
    lab->meeting.waits = device;
    /* No buffer of the run: with an address in it, it is each process's own where a submission is judged. */
    void *arrivals = NULL;
    status = pk_device_alloc(&arrivals, sizeof(lab07_meeting));
    lab->arrivals = arrivals;
    return status;
}

void lab07_close_waits(lab07 *lab)
{
    pk_device_free_mapped(lab->waits);
    pk_device_free(lab->arrivals);
}

pk_status lab07_clear_waits(const lab07 *lab, void *stream)
{
    return pk_device_upload(lab->arrivals, &lab->meeting, sizeof lab->meeting, stream);
}

/* ---- tokens that a kernel posts ---- */

pk_status lab07_open_posts(lab07 *lab)
{
    void *host = NULL, *device = NULL;
    const size_t words = (size_t)lab->tokens;
    lab->heard = malloc(words * sizeof *lab->heard);
    if (!lab->heard)
        return pk_out_of_memory("lab07's tokens: use fewer --tokens");
    pk_status status = pk_device_alloc_mapped(&host, &device, (words + 1) * sizeof *lab->posts);
    if (status != PK_OK)
        return status;
    lab->posts = host;
    lab->posts_device = device;
    lab->stop = (unsigned *)(lab->posts + words);
    return PK_OK;
}

void lab07_close_posts(lab07 *lab)
{
    pk_device_free_mapped(lab->posts);
    free(lab->heard);
}

void lab07_clear_posts(lab07 *lab)
{
    memset(lab->posts, 0xff, (size_t)lab->tokens * sizeof *lab->posts);
    *lab->stop = 0;
    lab->heard_count = -1;
    lab->tenth_us[0] = lab->tenth_us[1] = 0;
}

/* ---- waits ---- */

typedef struct wait {
    long long at; /* the lower, the earlier */
    int block;
    char text[TEXT];
} wait;

static int earlier(const void *a, const void *b)
{
    const wait *x = a, *y = b;
    const int order = x->at != y->at ? (x->at < y->at ? -1 : 1) : strcmp(x->text, y->text);
    return order ? order : x->block - y->block;
}

/* Kernels write these words: relaxed, as each says all by itself. */
static size_t read_words(const lab07 *lab, const lab07_kernel_run *kernel, wait *waits)
{
    size_t count = 0;
    const size_t words = LAB07_WORDS * (size_t)kernel->grid;
    const struct timespec while_waits_last = {0, WAIT_NS};
    for (size_t i = 0; i < words; i++)
        __atomic_store_n(&lab->waits[i], 0, __ATOMIC_RELAXED);
    (void)nanosleep(&while_waits_last, NULL);
    for (size_t i = 0; i < words; i++) {
        const unsigned long long word = __atomic_load_n(&lab->waits[i], __ATOMIC_RELAXED);
        const bool others = count > 0 && i % LAB07_WORDS == LAB07_TELLS_CHUNK &&
                            waits[count - 1].block == (int)(i / LAB07_WORDS); /* which matters more */
        if (word == 0 || others)
            continue;
        waits[count].block = (int)(i / LAB07_WORDS);
        waits[count].at = kernel->say(kernel->run, word, waits[count].text, sizeof waits[count].text);
        bool said = false; /* of the block already: who copies may wait for the same */
        for (size_t k = count; k-- > 0 && waits[k].block == waits[count].block;)
            said = said || strcmp(waits[k].text, waits[count].text) == 0;
        count += said ? 0 : 1;
    }
    return count;
}

static void put(char *text, size_t bytes, const char *more)
{
    const size_t used = strlen(text);
    if (used + 1 < bytes)
        (void)snprintf(text + used, bytes - used, "%s", more);
}

/* "blocks 0, 1, 2 and 5 more: step 3, ..." */
static void put_alike(char *text, size_t bytes, const wait *waits, size_t alike)
{
    char part[TEXT + 32];
    put(text, bytes, alike > 1 ? "blocks " : "block ");
    for (size_t i = 0; i < alike && i < MOST_NAMED; i++) {
        (void)snprintf(part, sizeof part, "%s%d", i ? ", " : "", waits[i].block);
        put(text, bytes, part);
    }
    if (alike > MOST_NAMED) {
        (void)snprintf(part, sizeof part, " and %zu more", alike - MOST_NAMED);
        put(text, bytes, part);
    }
    (void)snprintf(part, sizeof part, ": %s", waits[0].text);
    put(text, bytes, part);
}

void lab07_describe_stall(const pk_run *run, char *text, size_t bytes)
{
    const lab07 *lab = pk_run_lab_data(run);
    const lab07_kernel_run *kernel = NULL;
    text[0] = '\0';
    for (int i = 0; lab && i < LAB07_MOST_RUNS; i++)
        if (lab->running[i].run == run)
            kernel = &lab->running[i];
    if (!kernel || !lab->waits || kernel->grid > (int)lab->meeting.blocks)
        return;
    wait *waits = malloc(LAB07_WORDS * (size_t)kernel->grid * sizeof *waits);
    if (!waits)
        return;
    const size_t count = read_words(lab, kernel, waits);
    qsort(waits, count, sizeof *waits, earlier);
    size_t told = 0;
    for (size_t i = 0, alike; i < count && told < MOST_TOLD; i += alike, told++) {
        for (alike = 1; i + alike < count && strcmp(waits[i].text, waits[i + alike].text) == 0;)
            alike++;
        put(text, bytes, i ? "; " : "");
        put_alike(text, bytes, &waits[i], alike);
        if (told + 1 == MOST_TOLD && i + alike < count)
            put(text, bytes, "; others, which are further, wait too");
    }
    free(waits);
}
