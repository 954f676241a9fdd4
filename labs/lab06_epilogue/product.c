/* Lab 06, part two: a and w of --work=product, and the x that they make.
 *
 * Exactness. Numbers of a and w are -8 to 8 sixteenths, so bf16 holds them, and products are multiples of 2^-8 of at
 * most a quarter. With at most 2^14 of them every sum is below 2^12, and a float holds it exactly, in whatever order it
 * was made and on tensor cores too. So x is known bit for bit, and what an epilogue in a product gives is held to the
 * same bound as one by itself. */
#include <stdlib.h>

#include "lab06_problem.h"
#include "num/pk_half.h"
#include "num/pk_random.h"

enum { SEED_A = 610, SEED_W, LARGEST = 8 };
static const float SIXTEENTH = 0x1p-4f;

void lab06_product_release(lab06_reference *ref)
{
    free(ref->a);
    free(ref->w);
    free(ref->raw_product);
    free(ref->got_x);
}

pk_status lab06_product_setup(pk_run *run, lab06 *lab, lab06_reference *ref)
{
    lab06_product *p = &lab->product;
    p->inner = lab06_knob(run, "inner");
    p->w_rows = lab06_rows_of_w(lab->view.parts, lab->view.columns);
    p->view = lab->view;
    const size_t inner = (size_t)p->inner, rows = (size_t)lab->view.rows, w_rows = (size_t)p->w_rows;
    void *a = NULL, *w = NULL, *x = NULL;
    ref->a = malloc((size_t)ref->patterns * inner);
    ref->w = malloc(w_rows * inner);
    ref->raw_product = malloc((rows > w_rows ? rows : w_rows) * inner * sizeof *ref->raw_product);
    ref->got_x = malloc(w_rows * sizeof *ref->got_x);
    if (!ref->a || !ref->w || !ref->raw_product || !ref->got_x)
        return pk_fail(PK_FAULT,
                       "lab06: no host memory for the factors of a product: use smaller --columns or --inner");
    pk_status status = pk_run_buffer(run, "a", rows * inner * sizeof(uint16_t), PK_BUFFER_INPUT, &a);
    if (status == PK_OK)
        status = pk_run_buffer(run, "w", w_rows * inner * sizeof(uint16_t), PK_BUFFER_INPUT, &w);
    if (status == PK_OK)
        status = pk_run_buffer(run, "x", rows * w_rows * sizeof(float), PK_BUFFER_SCRATCH, &x);
    p->a = a;
    p->w = w;
    p->x = x;
    return status;
}

static void draw(signed char *to, size_t count, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, seed);
    for (size_t i = 0; i < count; i++)
        to[i] = (signed char)((int)pk_random_below(&random, 2 * LARGEST + 1) - LARGEST);
}

/* `lines` of `inner` numbers, line i of number i mod `count`, as bf16, to the device. */
static pk_status upload(lab06_reference *ref, const signed char *from, size_t count, size_t lines, size_t inner,
                        const uint16_t *to, void *stream)
{
    for (size_t line = 0; line < lines; line++)
        for (size_t k = 0; k < inner; k++)
            ref->raw_product[line * inner + k] = pk_float_to_bf16((float)from[line % count * inner + k] * SIXTEENTH);
    const pk_status status = pk_device_upload((void *)to, ref->raw_product, lines * inner * sizeof *to, stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status; /* raw_product is used again */
}

static int dot(const signed char *a, const signed char *w, size_t count)
{
    int sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += a[k] * w[k];
    return sum;
}

pk_status lab06_product_fill(pk_run *run, const lab06 *lab, lab06_reference *ref, uint64_t seed)
{
    const lab06_product *p = &lab->product;
    const size_t inner = (size_t)p->inner, columns = (size_t)lab->view.columns, parts = (size_t)lab->view.parts;
    const size_t patterns = (size_t)ref->patterns, w_rows = (size_t)p->w_rows;
    draw(ref->a, patterns * inner, pk_random_split(seed, SEED_A));
    draw(ref->w, w_rows * inner, pk_random_split(seed, SEED_W));
    for (size_t i = 0; i < patterns * parts * columns; i++) {
        const int row = lab06_row_of_w((int)parts, (int)(i / columns % parts), (int)(i % columns));
        const signed char *const a = ref->a + i / columns / parts * inner;
        ref->x[i] = (float)dot(a, ref->w + (size_t)row * inner, inner) * SIXTEENTH * SIXTEENTH;
    }
    pk_status status = upload(ref, ref->a, patterns, (size_t)lab->view.rows, inner, p->a, pk_run_stream(run));
    return status == PK_OK ? upload(ref, ref->w, w_rows, w_rows, inner, p->w, pk_run_stream(run)) : status;
}
