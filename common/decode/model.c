/* What a model holds, and its release. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model_storage.h"

typedef struct region {
    void *address;
    size_t bytes;
} region;

/* Each region is one mmap, of a file or of zeros. */
struct pk_model_storage {
    region *regions;
    size_t count, room;
};

pk_status pk_model_begin(const pk_model_config *config, pk_model *model)
{
    *model = (pk_model){.config = *config};
    model->layer = calloc((size_t)config->layers, sizeof *model->layer);
    model->storage = calloc(1, sizeof *model->storage);
    if (model->layer && model->storage)
        return PK_OK;
    pk_model_close(model);
    return pk_out_of_memory(config->name);
}

bool pk_model_keep_mapping(pk_model *model, void *address, size_t bytes)
{
    struct pk_model_storage *storage = model->storage;
    if (storage->count == storage->room) {
        const size_t room = storage->room ? 2 * storage->room : 16;
        region *regions = realloc(storage->regions, room * sizeof *regions);
        if (!regions)
            return false;
        storage->regions = regions;
        storage->room = room;
    }
    storage->regions[storage->count++] = (region){.address = address, .bytes = bytes};
    return true;
}

/* From mmap and not malloc: whole pages, which are zero without a pass over them. */
uint16_t *pk_model_allocate(pk_model *model, size_t elements)
{
    const size_t bytes = elements * sizeof(uint16_t);
    void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED)
        return NULL;
    if (pk_model_keep_mapping(model, address, bytes))
        return address;
    (void)munmap(address, bytes);
    return NULL;
}

void pk_model_complete(pk_model *model)
{
    if (model->config.tied_embedding)
        model->logits = model->embedding;
}

void pk_model_close(pk_model *model)
{
    struct pk_model_storage *storage = model->storage;
    for (size_t i = 0; storage && i < storage->count; i++)
        (void)munmap(storage->regions[i].address, storage->regions[i].bytes);
    if (storage)
        free(storage->regions);
    free(storage);
    free(model->layer);
    *model = (pk_model){0};
}
