/* Models from folders: what was written is what is read, and what is wrong is refused by name, with nothing held. */
#define _GNU_SOURCE /* mkdtemp */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model_files.h"
#include "num/pk_half.h"
#include "pk_model.h"
#include "source_file.h"

static char home[] = "/tmp/pk_open_test.XXXXXX";
static pk_model made;
static file_tensors tensors;

static void make(const char *name)
{
    pk_model_config config;
    cr_assert_eq(pk_model_config_named(name, &config), PK_OK);
    cr_assert_eq(pk_model_random(&config, 11, &made), PK_OK);
    tensors = file_tensors_of(&made);
    write_config("m/config.json", name, "");
}

static void enter(void)
{
    cr_assert_not_null(mkdtemp(home));
    cr_assert_eq(chdir(home), 0);
    cr_assert_eq(mkdir("m", 0777), 0);
}

static void leave(void)
{
    char command[PATH_MAX];
    file_tensors_free(&tensors);
    pk_model_close(&made);
    cr_assert_eq(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "rm -rf %s", home);
    cr_assert_eq(system(command), 0);
}

TestSuite(open, .init = enter, .fini = leave);

static void assert_same(pk_model *read)
{
    for (size_t i = 0; i < pk_model_tensor_count(&made.config); i++) {
        const pk_model_tensor tensor = pk_model_tensor_at(&made.config, i);
        cr_assert_not_null(*pk_model_tensor_slot(read, i), "%s", tensor.name);
        cr_assert_eq((uintptr_t)*pk_model_tensor_slot(read, i) % 2, 0, "%s", tensor.name);
        cr_assert_eq(
            memcmp(*pk_model_tensor_slot(read, i), *pk_model_tensor_slot(&made, i), 2 * tensor.rows * tensor.columns),
            0, "%s", tensor.name);
    }
}

static void assert_opens(const char *folder)
{
    pk_model read;
    cr_assert_eq(pk_model_open(folder, &read), PK_OK, "%s", pk_error_text());
    cr_assert_str_eq(read.config.name, "m");
    cr_assert_eq(read.logits == read.embedding, read.config.tied_embedding);
    assert_same(&read);
    pk_model_close(&read);
}

/* In one line, with these words, and nothing is left in the model. */
static void assert_refused(const char *one, const char *other)
{
    pk_model read;
    cr_assert_eq(pk_model_open("m", &read), PK_USAGE, "opened, or failed otherwise: %s", pk_error_text());
    cr_assert_not_null(strstr(pk_error_text(), one), "no '%s' in: %s", one, pk_error_text());
    cr_assert_not_null(strstr(pk_error_text(), other), "no '%s' in: %s", other, pk_error_text());
    cr_assert_null(strchr(pk_error_text(), '\n'));
    cr_assert_null(read.storage);
    cr_assert_null(read.embedding);
}

static void write_whole(void)
{
    write_safetensors("m/model.safetensors", &tensors, 0, tensors.count);
}

/* ---- what is right ---- */

Test(open, a_single_file_of_each_family)
{
    static const char *const names[] = {"tiny", "tiny-qwen2", "tiny-qwen3"};
    for (size_t i = 0; i < 3; i++) {
        make(names[i]);
        write_whole();
        assert_opens("m");
        assert_opens("m/");
        assert_opens("./m//");
        file_tensors_free(&tensors);
        pk_model_close(&made);
    }
}

Test(open, the_configuration_is_the_file_s)
{
    make("tiny-qwen3");
    write_whole();
    pk_model read;
    cr_assert_eq(pk_model_open("m", &read), PK_OK, "%s", pk_error_text());
    assert_same_config(&read.config, &made.config);
    pk_model_close(&read);
}

static const char index_text[] = "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {";

/* The first `end` tensors in a.safetensors, the others in b.safetensors; `more` at the end of the map. */
static void write_shards(size_t end, const char *more)
{
    char text[8192], *at = text + sprintf(text, "%s", index_text);
    for (size_t i = 0; i < tensors.count; i++)
        at += sprintf(at, "%s\"%s\": \"%s.safetensors\"", i > 0 ? ", " : "", tensors.list[i].name, i < end ? "a" : "b");
    (void)sprintf(at, "%s}}", more);
    write_text("m/model.safetensors.index.json", text);
    write_safetensors("m/a.safetensors", &tensors, 0, end);
    write_safetensors("m/b.safetensors", &tensors, end, tensors.count);
}

Test(open, shards)
{
    make("tiny-qwen2");
    write_shards(7, "");
    assert_opens("m");
}

Test(open, one_file_goes_before_an_index)
{
    make("tiny");
    write_whole();
    write_text("m/model.safetensors.index.json", "nonsense");
    assert_opens("m");
}

Test(open, floats_and_halves_become_bf16)
{
    make("tiny-qwen3");
    for (size_t i = 0; i < tensors.count; i++) /* every third stays; back from F32 is exact */
        if (i % 3 > 0)
            file_tensor_convert(&tensors.list[i], "F32");
    write_whole();
    assert_opens("m");
}

static const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7bff}; /* 1, -2, 2^-24, 65504 */
static const uint16_t as_bf16[] = {0x3f80, 0xc000, 0x3380, 0x4780};
static const float floats[] = {1.00390625f, 1.01171875f, -3e-39f, 0x1.fffffep127f}; /* two ties; subnormal; largest */

Test(open, rounding_of_floats_and_halves)
{
    pk_model read;
    make("tiny");
    file_tensor *f16 = file_tensor_named(&tensors, "model.norm.weight");
    file_tensor *f32 = file_tensor_named(&tensors, "model.layers.1.input_layernorm.weight");
    file_tensor_convert(f16, "F16");
    file_tensor_convert(f32, "F32");
    memcpy(f16->data, halves, sizeof halves);
    memcpy(f32->data, floats, sizeof floats);
    write_whole();
    cr_assert_eq(pk_model_open("m", &read), PK_OK, "%s", pk_error_text());
    cr_assert_eq(memcmp(read.final_norm, as_bf16, sizeof as_bf16), 0);
    cr_assert_eq(read.layer[1].attn_norm[0], 0x3f80); /* to even */
    cr_assert_eq(read.layer[1].attn_norm[1], 0x3f82);
    cr_assert_eq(read.layer[1].attn_norm[2], 0x8021);
    cr_assert_eq(read.layer[1].attn_norm[3], 0x7f80);
    pk_model_close(&read);
}

Test(open, a_tensor_at_an_odd_address_is_copied)
{
    make("tiny");
    file_tensor_add(&tensors, "odd", "U8", 1, 3);
    const file_tensor odd = tensors.list[tensors.count - 1];
    memmove(tensors.list + 1, tensors.list, (tensors.count - 1) * sizeof *tensors.list);
    tensors.list[0] = odd;
    write_whole();
    assert_opens("m");
}

Test(open, tensors_that_no_pass_needs)
{
    make("tiny");
    file_tensor_add(&tensors, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 4, 8);
    file_tensor_add(&tensors, "lm_head.weight", "I64", 8, 1);
    file_tensor_add(&tensors, "vision.patch", "F64", 8, 5);
    write_whole();
    assert_opens("m");
}

/* ---- what is wrong ---- */

Test(open, no_folder_no_config_no_weights)
{
    pk_model read;
    cr_assert_eq(pk_model_open("nowhere", &read), PK_USAGE);
    cr_assert_not_null(strstr(pk_error_text(), "nowhere/config.json"));
    assert_refused("m/config.json", "No such file");
    make("tiny");
    assert_refused("neither model.safetensors nor", "lab model");
}

Test(open, a_pipe_and_a_folder_are_no_files)
{
    cr_assert_eq(mkfifo("m/config.json", 0666), 0);
    assert_refused("m/config.json", "not a regular file");
    cr_assert_eq(unlink("m/config.json"), 0);
    make("tiny");
    cr_assert_eq(mkdir("m/model.safetensors", 0777), 0);
    assert_refused("m/model.safetensors", "not a regular file");
}

Test(open, a_bad_config)
{
    make("tiny");
    write_whole();
    write_text("m/config.json", "{\"architectures\": [\"MambaForCausalLM\"]}");
    assert_refused("MambaForCausalLM", "m/config.json");
    cr_assert_eq(truncate("m/config.json", (1 << 20) + 1), 0);
    assert_refused("m/config.json", "at most 1048576");
    struct stat about;
    write_config("m/config.json", "tiny", "");
    cr_assert_eq(stat("m/config.json", &about), 0);
    cr_assert_eq(truncate("m/config.json", about.st_size + 1), 0); /* a zero behind it */
    assert_refused("m/config.json", "not JSON from byte");
}

Test(open, a_missing_tensor_is_named)
{
    make("tiny-qwen2");
    file_tensor_remove(&tensors, "model.layers.1.self_attn.k_proj.bias");
    write_whole();
    assert_refused("model.layers.1.self_attn.k_proj.bias", "config.json asks for");
}

Test(open, a_wrong_shape_is_named)
{
    make("tiny");
    file_tensor *q = file_tensor_named(&tensors, "model.layers.0.mlp.up_proj.weight");
    q->shape[0] = 64;
    q->shape[1] = 128;
    write_whole();
    assert_refused("model.layers.0.mlp.up_proj.weight is [64 x 128]", "[128 x 64]");
}

Test(open, a_vector_as_a_matrix)
{
    make("tiny");
    file_tensor *norm = file_tensor_named(&tensors, "model.norm.weight");
    norm->rank = 2;
    norm->shape[0] = 1;
    norm->shape[1] = 64;
    write_whole();
    assert_refused("model.norm.weight is [1 x 64]", "[64]");
    norm->shape[0] = 64;
    norm->shape[1] = 1;
    write_whole();
    assert_refused("model.norm.weight is [64 x 1]", "[64]");
}

Test(open, another_dtype)
{
    make("tiny");
    file_tensor_named(&tensors, "model.norm.weight")->dtype = "I16";
    write_whole();
    assert_refused("model.norm.weight is I16", "BF16, F16 and F32");
}

Test(open, a_tensor_without_a_place)
{
    make("tiny");
    file_tensor_add(&tensors, "model.layers.1.self_attn.o_proj.bias", "BF16", 2, 64);
    write_whole();
    assert_refused("model.layers.1.self_attn.o_proj.bias", "no place");
}

Test(open, a_file_that_is_cut_off)
{
    static const off_t lengths[] = {0, 7, 8, 100};
    make("tiny");
    for (size_t i = 0; i < 4; i++) {
        write_whole();
        cr_assert_eq(truncate("m/model.safetensors", lengths[i]), 0);
        assert_refused("m/model.safetensors", "fetch it again");
    }
    struct stat about;
    write_whole();
    cr_assert_eq(stat("m/model.safetensors", &about), 0);
    cr_assert_eq(truncate("m/model.safetensors", about.st_size - 1), 0);
    assert_refused("m/model.safetensors", "ends behind the file's end");
    cr_assert_eq(truncate("m/model.safetensors", about.st_size), 0); /* a zero more: as long as it was */
    cr_assert_eq(truncate("m/model.safetensors", about.st_size + 1), 0);
    assert_refused("m/model.safetensors", "1 bytes behind the last tensor");
}

static void assert_index_refused(const char *map, const char *word)
{
    char text[2048];
    (void)snprintf(text, sizeof text, "%s%s}}", index_text, map);
    write_text("m/model.safetensors.index.json", text);
    assert_refused("model.safetensors.index.json", word);
}

Test(open, an_index_that_leads_out_of_the_folder)
{
    make("tiny");
    write_safetensors("b.safetensors", &tensors, 0, tensors.count);
    assert_index_refused("\"a\": \"../b.safetensors\"", "no name of a safetensors file in this folder");
    assert_index_refused("\"a\": \"/etc/b.safetensors\"", "no name of a safetensors file");
    assert_index_refused("\"a\": \"..\\\\b.safetensors\"", "no name of a safetensors file");
    assert_index_refused("\"a\": \".safetensors\"", "no name of a safetensors file");
    assert_index_refused("\"a\": \".b.safetensors\"", "no name of a safetensors file");
    assert_index_refused("\"a\": \"model.bin\"", "no name of a safetensors file");
    assert_index_refused("\"a\": \"b\\u001b.safetensors\"", "b?.safetensors is no name");
    assert_index_refused("\"a\": 7", "a has no file");
    assert_index_refused("\"a\": \"b.safetensors\", \"a\": \"b.safetensors\"", "a is there twice");
    assert_index_refused("", "weight_map is no object");
}

Test(open, an_index_of_too_many_files_or_too_long_names)
{
    char *text = malloc(100000), *at = text + sprintf(text, "%s", index_text), name[300];
    make("tiny");
    for (int i = 0; i < 1025; i++)
        at += sprintf(at, "%s\"t%d\": \"%d.safetensors\"", i > 0 ? ", " : "", i, i);
    (void)sprintf(at, "}}");
    write_text("m/model.safetensors.index.json", text);
    free(text);
    assert_refused("model.safetensors.index.json", "1024.safetensors is one file more than the 1024");
    (void)snprintf(name, sizeof name, "\"a\": \"%0244d.safetensors\"", 0); /* 256 */
    assert_index_refused(name, "no name of a safetensors file");
    (void)snprintf(name, sizeof name, "\"a\": \"%0243d.safetensors\"", 0);
    char whole[512];
    (void)snprintf(whole, sizeof whole, "%s%s}}", index_text, name);
    write_text("m/model.safetensors.index.json", whole);
    assert_refused("000.safetensors", "No such file");
}

Test(open, an_index_that_is_none)
{
    make("tiny");
    write_text("m/model.safetensors.index.json", "{\"weight_map\": [1]}");
    assert_refused("model.safetensors.index.json", "weight_map is no object");
    write_text("m/model.safetensors.index.json", "[");
    assert_refused("model.safetensors.index.json", "not JSON from byte 1");
    cr_assert_eq(truncate("m/model.safetensors.index.json", (4 << 20) + 1), 0);
    assert_refused("model.safetensors.index.json", "at most 4194304");
}

Test(open, shards_that_are_not_what_the_index_says)
{
    make("tiny");
    write_shards(9, "");
    cr_assert_eq(unlink("m/b.safetensors"), 0);
    assert_refused("m/b.safetensors", "No such file");
    write_safetensors("m/b.safetensors", &tensors, 10, tensors.count);
    assert_refused(tensors.list[9].name, "no tensor");
    write_safetensors("m/b.safetensors", &tensors, 8, tensors.count);
    assert_refused(tensors.list[8].name, "in a.safetensors and in b.safetensors");
    write_safetensors("m/a.safetensors", &tensors, 0, 8);
    assert_refused(tensors.list[8].name, "in a.safetensors, and it is in b.safetensors");
    write_shards(9, "");
    file_tensor_remove(&tensors, tensors.list[3].name);
    char text[8192] = "", *at = text + sprintf(text, "%s", index_text);
    for (size_t i = 0; i < tensors.count; i++)
        at += sprintf(at, "%s\"%s\": \"%s.safetensors\"", i > 0 ? ", " : "", tensors.list[i].name, i < 8 ? "a" : "b");
    (void)sprintf(at, "}}");
    write_text("m/model.safetensors.index.json", text);
    assert_refused("has tensor model.layers.0.self_attn.k_proj.weight in no file", "it is in a.safetensors");
}

Test(open, a_hostile_name_does_not_reach_the_terminal)
{
    make("tiny");
    file_tensor_add(&tensors, "model.\\u001b[2J\\u000aevil", "BF16", 2, 1);
    write_whole();
    assert_refused("model.?[2J?evil", "no place");
}

/* ---- what changes meanwhile ---- */

Test(open, a_file_that_becomes_shorter_or_younger)
{
    pk_source_file source;
    char bytes[8];
    write_text("f", "12345678");
    cr_assert_eq(pk_source_open("f", &source), PK_OK, "%s", pk_error_text());
    cr_assert_eq(source.bytes, 8);
    cr_assert_eq(pk_source_read(&source, 0, 8, bytes), PK_OK);
    cr_assert_eq(memcmp(bytes, "12345678", 8), 0);
    cr_assert_eq(pk_source_unchanged(&source), PK_OK);
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    cr_assert_eq(futimens(source.file, times), 0);
    cr_assert_eq(pk_source_unchanged(&source), PK_USAGE);
    cr_assert_not_null(strstr(pk_error_text(), "f: changed while it was read"));
    cr_assert_eq(truncate("f", 5), 0);
    cr_assert_eq(pk_source_read(&source, 0, 8, bytes), PK_USAGE);
    cr_assert_not_null(strstr(pk_error_text(), "f: ends at byte 5"), "%s", pk_error_text());
    pk_source_close(&source);
}

static atomic_bool enough;

static void *touch(void *path)
{
    for (long i = 0; !atomic_load(&enough); i++) {
        const struct timespec times[2] = {{.tv_sec = i}, {.tv_sec = i}};
        (void)utimensat(AT_FDCWD, path, times, 0);
    }
    return NULL;
}

/* Some of the times that it is opened, it is touched meanwhile; and then it is refused. */
Test(open, a_file_that_is_written_to_meanwhile)
{
    pk_status status = PK_OK;
    pthread_t writer;
    make("tiny");
    write_whole();
    cr_assert_eq(pthread_create(&writer, NULL, touch, "m/model.safetensors"), 0);
    for (int i = 0; i < 1000000 && status == PK_OK; i++) {
        pk_model read;
        status = pk_model_open("m", &read);
        pk_model_close(&read);
    }
    atomic_store(&enough, true);
    cr_assert_eq(pthread_join(writer, NULL), 0);
    cr_assert_eq(status, PK_USAGE, "never seen");
    cr_assert_not_null(strstr(pk_error_text(), "changed while it was read"), "%s", pk_error_text());
}
