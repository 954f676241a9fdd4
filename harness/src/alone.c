/* A variant by itself. */
#include "pk/alone.h"

#include <stdlib.h>
#include <string.h>

#include "contender.h"
#include "options.h"
#include "pk/program.h"

typedef struct alone {
    pk_run run; /* first: what the caller has is this */
    pk_bench bench;
    bool prepared;
    long long knobs[];
} alone;

static alone *alone_of(pk_run *run)
{
    return (alone *)run;
}

static const pk_variant *variant_named(const char *name)
{
    for (size_t i = 0; i < pk_variant_file_count; i++) {
        const pk_variant_list list = pk_variant_files[i].variants();
        for (size_t j = 0; j < list.count; j++)
            if (strcmp(list.variants[j].name, name) == 0)
                return &list.variants[j];
    }
    return NULL;
}

pk_status pk_alone_open(pk_run **run, const char *variant, const char *knobs, const pk_device_info *device)
{
    const pk_lab *const lab = &pk_this_lab;
    const bool quick = lab->slow_on_cpu && !device->is_gpu;
    alone *a = calloc(1, sizeof *a + lab->knob_count * sizeof *a->knobs);
    char reason[256];
    *run = a ? &a->run : NULL;
    if (!a)
        return pk_out_of_memory(lab->id);
    for (size_t i = 0; i < lab->knob_count; i++)
        a->knobs[i] = quick ? lab->knobs[i].quick : lab->knobs[i].value;
    a->bench = (pk_bench){.lab = lab, .knobs = a->knobs, .device = device};
    a->run.bench = &a->bench;
    a->run.variant = variant_named(variant);
    a->run.token_stride = 1;
    if (!a->run.variant)
        return pk_fail(PK_USAGE, "%s: this program has no variant '%s'", lab->id, variant);
    if (pk_device_lacks(device, a->run.variant->needs, reason, sizeof reason))
        return pk_fail(PK_SKIP, "%s is not for this device: %s", variant, reason);
    pk_status status = pk_options_set_knobs(a->knobs, lab, knobs);
    if (status == PK_OK && lab->validate)
        status = lab->validate(&a->run);
    return status == PK_OK ? pk_find_open_step(&a->run, pk_ladder_sources, pk_ladder_source_count) : status;
}

pk_status pk_alone_prepare(pk_run *run, void *stream, void *lab_data)
{
    alone *const a = alone_of(run);
    a->bench.stream = stream;
    a->bench.lab_data = lab_data;
    a->bench.variant_runs = true;
    a->prepared = true;
    return run->variant->prepare ? run->variant->prepare(run) : PK_OK;
}

pk_status pk_alone_execute(pk_run *run)
{
    return run->variant->execute(run);
}

void pk_alone_close(pk_run *run)
{
    if (run && alone_of(run)->prepared && run->variant->finish)
        run->variant->finish(run);
    free(run);
}
