/* model.safetensors.index.json: which tensor is in which file of its folder. Trusts nothing in it. Source of the form:
 * transformers, utils/hub.py, get_checkpoint_shard_files. */
#ifndef PK_SHARD_INDEX_H
#define PK_SHARD_INDEX_H

#include <stddef.h>

#include "pk_status.h"

enum { PK_SHARD_FILES_MOST = 1024 };

typedef struct pk_shard_entry {
    const char *tensor;
    size_t file; /* into files */
} pk_shard_entry;

typedef struct pk_shard_index {
    const char **files; /* [file_count]: names without a folder, of printable ASCII, which end in .safetensors */
    size_t file_count;
    pk_shard_entry *entries; /* [count], by tensor in strcmp's order */
    size_t count;
    struct cJSON *root; /* what all names lead into */
} pk_shard_index;

/* `origin` names the file in errors. PK_USAGE: no such JSON, no tensor or more than 65536, more than 1024 files, a
 * tensor twice, a file that is not in the folder itself. Release it with pk_shard_index_free, also after a failure. */
pk_status pk_shard_index_parse(const char *json, const char *origin, pk_shard_index *index);
void pk_shard_index_free(pk_shard_index *index);

/* The file that is said to have the tensor; NULL: none. */
const char *pk_shard_index_file(const pk_shard_index *index, const char *tensor);

#endif
