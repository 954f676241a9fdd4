/* Golden files, read by cJSON into plain arrays. */
#include "pk_golden.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cjson/cJSON.h>

#include "source_file.h"

enum { MOST_BYTES = 16 << 20 };

/* What is being read, for messages. */
typedef struct reading {
    const char *path;
    const pk_model_config *config;
    size_t sequence;
    pk_status status;
} reading;

static void refuse(reading *from, const char *what, const char *why)
{
    if (from->status == PK_OK)
        from->status =
            pk_fail(PK_USAGE, "%s: sequence %zu: \"%s\" is %s; make the file again by common/decode/python/golden.py",
                    from->path, from->sequence, what, why);
}

static double number(reading *from, const cJSON *in, const char *name, double least, double most)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(in, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least && item->valuedouble <= most)) {
        refuse(from, name, "no number, or out of range");
        return least;
    }
    return item->valuedouble;
}

/* The numbers of list `name`, each from `least` to `most`; NULL after a failure.
 * The caller frees it. */
static double *numbers(reading *from, const cJSON *in, const char *name, double least, double most, size_t *count)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(in, name), *item;
    *count = 0;
    if (!cJSON_IsArray(list) || !list->child) {
        refuse(from, name, "no list, or empty");
        return NULL;
    }
    double *values = malloc((size_t)cJSON_GetArraySize(list) * sizeof *values);
    if (!values) {
        from->status = pk_out_of_memory(from->path);
        return NULL;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= least && item->valuedouble <= most)) {
            refuse(from, name, "no list of numbers, or has one that is out of range");
            free(values);
            return NULL;
        }
        values[(*count)++] = item->valuedouble;
    }
    return values;
}

static void *array(reading *from, size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (!memory)
        from->status = pk_out_of_memory(from->path);
    return memory;
}

static int *to_ints(reading *from, const double *values, size_t count)
{
    int *to = values ? array(from, count, sizeof *to) : NULL;
    for (size_t i = 0; to && i < count; i++)
        to[i] = (int)values[i];
    return to;
}

static float *to_floats(reading *from, const double *values, size_t count)
{
    float *to = values ? array(from, count, sizeof *to) : NULL;
    for (size_t i = 0; to && i < count; i++)
        to[i] = (float)values[i];
    return to;
}

static void read_logits(reading *from, const cJSON *in, size_t positions, pk_golden_logits *logits)
{
    const double last_token = from->config->vocab - 1;
    size_t tokens = (size_t)from->config->vocab;
    logits->position = (int)number(from, in, "position", 0, (double)positions - 1);
    logits->roundings.kv = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(in, "kv_bf16"));
    logits->roundings.prefill = (int)number(from, in, "prefill_bf16", 0, (double)positions);
    logits->log_sum_exp = number(from, in, "log_sum_exp", -1e30, 1e30);
    if (cJSON_HasObjectItem(in, "tokens")) {
        double *kept = numbers(from, in, "tokens", 0, last_token, &tokens);
        logits->tokens = to_ints(from, kept, tokens);
        free(kept);
    }
    double *values = numbers(from, in, "values", -1e30, 1e30, &logits->count);
    logits->values = to_floats(from, values, logits->count);
    free(values);
    if (logits->count != tokens)
        refuse(from, "values", "not as long as its tokens are many");
}

static void read_tokens(reading *from, const cJSON *in, pk_golden_sequence *sequence)
{
    const double last_token = from->config->vocab - 1;
    size_t greedy_count, margin_count;
    double *prompt = numbers(from, in, "prompt", 0, last_token, &sequence->prompt);
    double *greedy = numbers(from, in, "greedy", 0, last_token, &greedy_count);
    double *margins = numbers(from, in, "margins", 0, 1e30, &margin_count);
    sequence->count = sequence->prompt + greedy_count;
    sequence->tokens = array(from, sequence->count, sizeof *sequence->tokens);
    for (size_t i = 0; from->status == PK_OK && i < sequence->count; i++)
        sequence->tokens[i] = (int)(i < sequence->prompt ? prompt[i] : greedy[i - sequence->prompt]);
    sequence->margins = to_floats(from, margins, margin_count);
    if (margin_count != greedy_count)
        refuse(from, "margins", "not as long as \"greedy\"");
    sequence->smallest_margin = number(from, in, "smallest_margin", 0, 1e30);
    free(prompt);
    free(greedy);
    free(margins);
}

static void read_sequence(reading *from, const cJSON *in, pk_golden_sequence *sequence)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(in, "logits"), *item;
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(in, "text");
    read_tokens(from, in, sequence);
    if (cJSON_IsString(text) && !(sequence->text = strdup(text->valuestring)))
        from->status = pk_out_of_memory(from->path);
    if (!cJSON_IsArray(rows))
        refuse(from, "logits", "no list");
    if (from->status != PK_OK)
        return;
    sequence->logits = array(from, (size_t)cJSON_GetArraySize(rows), sizeof *sequence->logits);
    cJSON_ArrayForEach(item, rows)
    {
        if (from->status != PK_OK)
            return;
        read_logits(from, item, sequence->count, &sequence->logits[sequence->rows++]);
    }
}

static pk_status read_config(const char *path, const cJSON *in, pk_golden *golden)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(in, "model");
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(in, "config"));
    if (!text || !cJSON_IsString(name)) {
        cJSON_free(text);
        return pk_fail(PK_USAGE,
                       "%s: has no \"model\" or no \"config\"; make the file again by "
                       "common/decode/python/golden.py",
                       path);
    }
    const pk_status status = pk_model_config_parse(text, path, &golden->config);
    (void)snprintf(golden->config.name, sizeof golden->config.name, "%s", name->valuestring);
    cJSON_free(text);
    return status;
}

static pk_status read_weights(const char *path, const cJSON *in, pk_golden *golden)
{
    const cJSON *weights = cJSON_GetObjectItemCaseSensitive(in, "weights");
    const cJSON *seed = cJSON_GetObjectItemCaseSensitive(weights, "random_seed");
    const cJSON *folder = cJSON_GetObjectItemCaseSensitive(weights, "folder");
    const cJSON *checksum = cJSON_GetObjectItemCaseSensitive(in, "checksum");
    char *end = NULL;
    if (cJSON_IsString(checksum))
        golden->checksum = strtoull(checksum->valuestring, &end, 16);
    if (!end || *end != '\0' || end == checksum->valuestring)
        return pk_fail(PK_USAGE,
                       "%s: has no \"checksum\" in hexadecimal digits; make the file again by "
                       "common/decode/python/golden.py",
                       path);
    if (cJSON_IsNumber(seed) && seed->valuedouble >= 0 && seed->valuedouble <= 0x1p53) {
        golden->seed = (uint64_t)seed->valuedouble;
        return PK_OK;
    }
    if (!cJSON_IsString(folder) || !*folder->valuestring || strchr(folder->valuestring, '/') ||
        strlen(folder->valuestring) >= sizeof golden->folder)
        return pk_fail(PK_USAGE,
                       "%s: \"weights\" has neither a random_seed nor the name of a folder; make the file "
                       "again by common/decode/python/golden.py",
                       path);
    (void)snprintf(golden->folder, sizeof golden->folder, "%s", folder->valuestring);
    return PK_OK;
}

static pk_status read_golden(const char *path, const cJSON *in, pk_golden *golden)
{
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(in, "format");
    const cJSON *sequences = cJSON_GetObjectItemCaseSensitive(in, "sequences"), *item;
    if (!cJSON_IsString(format) || strcmp(format->valuestring, "pk-golden 1") != 0 || !cJSON_IsArray(sequences))
        return pk_fail(PK_USAGE,
                       "%s: is no golden file of format \"pk-golden 1\"; take one of common/decode/tests/golden", path);
    pk_status status = read_config(path, in, golden);
    if (status == PK_OK)
        status = read_weights(path, in, golden);
    if (status != PK_OK)
        return status;
    reading from = {.path = path, .config = &golden->config};
    golden->sequences = array(&from, (size_t)cJSON_GetArraySize(sequences), sizeof *golden->sequences);
    cJSON_ArrayForEach(item, sequences)
    {
        if (from.status != PK_OK)
            break;
        from.sequence = golden->count;
        read_sequence(&from, item, &golden->sequences[golden->count++]);
    }
    return from.status;
}

pk_status pk_golden_open(const char *path, pk_golden *golden)
{
    char *text;
    size_t bytes;
    *golden = (pk_golden){0};
    pk_status status = pk_source_text(path, MOST_BYTES, &text, &bytes);
    if (status != PK_OK)
        return status;
    cJSON *in = cJSON_ParseWithLength(text, bytes);
    free(text);
    if (in)
        status = read_golden(path, in, golden);
    else
        status = pk_fail(PK_USAGE, "%s: is not JSON; make the file again by common/decode/python/golden.py", path);
    cJSON_Delete(in);
    if (status != PK_OK)
        pk_golden_close(golden);
    return status;
}

void pk_golden_close(pk_golden *golden)
{
    for (size_t i = 0; i < golden->count; i++) {
        pk_golden_sequence *sequence = &golden->sequences[i];
        for (size_t row = 0; row < sequence->rows; row++) {
            free(sequence->logits[row].tokens);
            free(sequence->logits[row].values);
        }
        free(sequence->logits);
        free(sequence->margins);
        free(sequence->tokens);
        free(sequence->text);
    }
    free(golden->sequences);
    *golden = (pk_golden){0};
}

/* ---- the model ---- */

static pk_status open_model(const pk_golden *golden, const char *models, pk_model *model)
{
    if (!*golden->folder)
        return pk_model_random(&golden->config, golden->seed, model);
    char path[PATH_MAX];
    struct stat about;
    const int length = snprintf(path, sizeof path, "%s/%s/config.json", models, golden->folder);
    if (length < 0 || (size_t)length >= sizeof path)
        return pk_fail(PK_USAGE, "%.64s...: the folder of models has too long a path; move it", models);
    if (stat(path, &about) != 0)
        return pk_fail(PK_SKIP, "%s is not there; fetch the model with ./lab model get %s", path, golden->folder);
    path[length - (int)strlen("/config.json")] = '\0';
    return pk_model_open(path, model);
}

pk_status pk_golden_model(const pk_golden *golden, const char *models, pk_model *model)
{
    pk_status status = open_model(golden, models, model);
    if (status != PK_OK)
        return status;
    const uint64_t checksum = pk_golden_checksum(model);
    if (checksum == golden->checksum)
        return PK_OK;
    pk_model_close(model);
    return pk_fail(PK_WRONG,
                   "model %s: its weights have the checksum %016" PRIx64
                   ", and those that the golden file was made with "
                   "%016" PRIx64 "; take the weights that it names, or make the file again",
                   golden->config.name, checksum, golden->checksum);
}

uint64_t pk_golden_checksum(const pk_model *model)
{
    pk_model copy = *model; /* pk_model_tensor_slot gives places to write to; nothing is written */
    uint64_t sum = 0, place = 0;
    for (size_t number = 0; number < pk_model_tensor_count(&model->config); number++) {
        const pk_model_tensor tensor = pk_model_tensor_at(&model->config, number);
        const uint16_t *elements = *pk_model_tensor_slot(&copy, number);
        for (size_t i = 0; i < tensor.rows * tensor.columns; i++, place++) {
            const uint64_t z = (2 * place + 1) * 0x9e3779b97f4a7c15u;
            sum += ((uint64_t)elements[i] + 1) * (z ^ (z >> 32));
        }
    }
    return sum;
}

/* ---- comparisons ---- */

static int token_of(const pk_golden_logits *logits, size_t i)
{
    return logits->tokens ? logits->tokens[i] : (int)i;
}

double pk_golden_error(const pk_golden_logits *want, const float *got, int *token)
{
    double most = -1;
    for (size_t i = 0; i < want->count; i++) {
        const double error = fabs((double)got[token_of(want, i)] - (double)want->values[i]);
        if (isfinite(error) && error <= most)
            continue;
        *token = token_of(want, i);
        if (!isfinite(error))
            return INFINITY;
        most = error;
    }
    return most;
}

double pk_golden_kl(const pk_golden_logits *want, const float *got, size_t vocab)
{
    double most = -INFINITY, sum = 0, kl = 0, want_rest = 1, got_rest = 1;
    for (size_t i = 0; i < vocab; i++) {
        if (isnan(got[i]))
            return NAN;
        most = fmax(most, (double)got[i]);
    }
    for (size_t i = 0; i < vocab; i++)
        sum += exp((double)got[i] - most);
    const double log_sum_exp = most + log(sum);
    for (size_t i = 0; i < want->count; i++) {
        const double log_want = (double)want->values[i] - want->log_sum_exp;
        const double log_got = (double)got[token_of(want, i)] - log_sum_exp;
        kl += exp(log_want) * (log_want - log_got);
        want_rest -= exp(log_want);
        got_rest -= exp(log_got);
    }
    if (want->tokens && want_rest > 0 && got_rest > 0)
        kl += want_rest * log(want_rest / got_rest);
    return kl;
}
