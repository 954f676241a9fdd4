/* model.safetensors.index.json: which tensor is in which file of its folder. */
#include "shard_index.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"
#include "source_file.h"

/* A file of the folder itself: no name of an index leads out of it. (A link in the folder is its owner's.) */
static bool plain_name(const char *file)
{
    static const char ending[] = ".safetensors";
    const size_t length = strlen(file), end = sizeof ending - 1;
    if (length <= end || length > NAME_MAX || strcmp(file + length - end, ending) != 0 || file[0] == '.')
        return false;
    for (const char *c = file; *c; c++)
        if (*c == '/' || *c == '\\' || *c < ' ' || *c > '~')
            return false;
    return true;
}

static int by_tensor(const void *a, const void *b)
{
    return strcmp(((const pk_shard_entry *)a)->tensor, ((const pk_shard_entry *)b)->tensor);
}

static pk_status bad(const char *origin, const char *name, const char *what)
{
    return pk_fail(PK_USAGE, "%s: %s %s; fetch the model again (./lab model)", origin, pk_show(name).text, what);
}

/* Its number among `files` [*count], where it is new the next; PK_SHARD_FILES_MOST: there are too many. */
static size_t file_number(const char **files, size_t *count, const char *file)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(files[i], file) == 0)
            return i;
    if (*count == PK_SHARD_FILES_MOST)
        return PK_SHARD_FILES_MOST;
    files[*count] = file;
    return (*count)++;
}

static pk_status read_entries(pk_shard_index *index, const cJSON *map, const char *origin)
{
    size_t files = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, map)
    {
        if (!cJSON_IsString(item))
            return bad(origin, item->string, "has no file");
        if (!plain_name(item->valuestring))
            return bad(origin, item->valuestring, "is no name of a safetensors file in this folder");
        const size_t file = file_number(index->files, &files, item->valuestring);
        if (file == PK_SHARD_FILES_MOST)
            return bad(origin, item->valuestring, "is one file more than the 1024 that are read");
        index->entries[index->count++] = (pk_shard_entry){.tensor = item->string, .file = file};
    }
    index->file_count = files;
    qsort(index->entries, index->count, sizeof *index->entries, by_tensor);
    for (size_t i = 1; i < index->count; i++)
        if (strcmp(index->entries[i - 1].tensor, index->entries[i].tensor) == 0)
            return bad(origin, index->entries[i].tensor, "is there twice");
    return PK_OK;
}

pk_status pk_shard_index_parse(const char *json, const char *origin, pk_shard_index *index)
{
    const char *end = json;
    *index = (pk_shard_index){.root = cJSON_ParseWithOpts(json, &end, true)};
    if (!index->root)
        return pk_fail(PK_USAGE, "%s: not JSON from byte %zu on; fetch the model again (./lab model)", origin,
                       (size_t)(end - json));
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(index->root, "weight_map");
    const int count = cJSON_IsObject(map) ? cJSON_GetArraySize(map) : 0;
    if (count < 1 || count > PK_SAFETENSORS_TENSORS_MOST)
        return bad(origin, "weight_map", "is no object of 1 to 65536 tensors");
    index->entries = calloc((size_t)count, sizeof *index->entries);
    index->files = malloc(PK_SHARD_FILES_MOST * sizeof *index->files);
    if (!index->entries || !index->files)
        return pk_out_of_memory(origin);
    return read_entries(index, map, origin);
}

void pk_shard_index_free(pk_shard_index *index)
{
    free(index->files);
    free(index->entries);
    cJSON_Delete(index->root);
    *index = (pk_shard_index){0};
}

const char *pk_shard_index_file(const pk_shard_index *index, const char *tensor)
{
    const pk_shard_entry key = {.tensor = tensor};
    const pk_shard_entry *found =
        index->count == 0 ? NULL : bsearch(&key, index->entries, index->count, sizeof *index->entries, by_tensor);
    return found ? index->files[found->file] : NULL;
}
