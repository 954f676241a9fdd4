/* Files from a seed: good ones of every form that the readers take, ones with one known fault, and ones with some bytes
 * changed, of which nobody knows beforehand what they should come to. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_files.h"

static size_t below(pk_random *random, size_t bound)
{
    return (size_t)pk_random_below(random, bound);
}

static bool chance(pk_random *random, size_t in)
{
    return below(random, in) == 0;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
add(fuzz_input *input, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int added = vsnprintf(input->file + input->bytes, FUZZ_ROOM - input->bytes, format, arguments);
    va_end(arguments);
    if (added < 0 || (size_t)added >= FUZZ_ROOM - input->bytes)
        abort(); /* what is made here is far smaller */
    input->bytes += (size_t)added;
}

static void add_byte(fuzz_input *input, unsigned byte)
{
    if (input->bytes == FUZZ_ROOM)
        abort();
    input->file[input->bytes++] = (char)byte;
}

static void write_little(char *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (char)(value >> 8 * i & 255);
}

/* Spaces, where JSON lets them be. */
static void add_space(fuzz_input *input, pk_random *random)
{
    while (chance(random, 8))
        add_byte(input, (unsigned char)" \t\r\n"[below(random, 4)]);
}

/* ---- safetensors ---- */

enum { MOST_TENSORS = 6, MOST_DIMENSIONS = 10 };

typedef struct made_tensor {
    unsigned name; /* its number, which is part of the name */
    const char *dtype;
    size_t element_bytes;
    int rank;
    uint64_t shape[MOST_DIMENSIONS];
    uint64_t begin, end;
    const char *shape_prefix, *more; /* "0" before the first dimension; another member */
} made_tensor;

typedef struct made_header {
    made_tensor tensors[MOST_TENSORS];
    size_t count;
    uint64_t data_bytes;
    int64_t length_change, data_change;
    const char *begin, *end; /* "{" and "}" */
} made_header;

static const struct {
    const char *word;
    size_t bytes;
} dtypes[] = {{"BF16", 2}, {"F16", 2}, {"F32", 4},     {"F64", 8},     {"BOOL", 1},   {"U8", 1},
              {"I8", 1},   {"U16", 2}, {"I16", 2},     {"U32", 4},     {"I32", 4},    {"U64", 8},
              {"I64", 8},  {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};

static made_tensor make_tensor(pk_random *random, unsigned name, uint64_t begin)
{
    const size_t dtype = below(random, sizeof dtypes / sizeof dtypes[0]);
    made_tensor made = {.name = name,
                        .dtype = dtypes[dtype].word,
                        .element_bytes = dtypes[dtype].bytes,
                        .rank = (int)below(random, 5),
                        .begin = begin,
                        .shape_prefix = "",
                        .more = ""};
    uint64_t bytes = made.element_bytes;
    for (int d = 0; d < made.rank; d++) {
        made.shape[d] = below(random, 5);
        bytes *= made.shape[d];
    }
    made.end = begin + bytes;
    return made;
}

static made_header make_header(pk_random *random)
{
    made_header made = {.count = below(random, MOST_TENSORS + 1), .begin = "{", .end = "}"};
    for (size_t i = 0; i < made.count; i++) {
        made.tensors[i] = make_tensor(random, (unsigned)i, made.data_bytes);
        made.data_bytes = made.tensors[i].end;
    }
    for (size_t i = made.count; i > 1; i--) { /* named in any order */
        const size_t other = below(random, i);
        const made_tensor kept = made.tensors[i - 1];
        made.tensors[i - 1] = made.tensors[other];
        made.tensors[other] = kept;
    }
    return made;
}

/* A tensor that has bytes; NULL: none has. */
static made_tensor *some_tensor(pk_random *random, made_header *header)
{
    const size_t first = header->count > 0 ? below(random, header->count) : 0;
    for (size_t i = 0; i < header->count; i++) {
        made_tensor *tensor = &header->tensors[(first + i) % header->count];
        if (tensor->end > tensor->begin)
            return tensor;
    }
    return NULL;
}

/* Each makes a fault of its name in a header that has a tensor with bytes. */
static made_tensor *add_empty(made_header *header, const made_tensor *beside)
{
    made_tensor *added = &header->tensors[header->count];
    *added = *beside;
    added->name = (unsigned)header->count++;
    added->end = added->begin;
    added->rank = 1;
    added->shape[0] = 0;
    return added;
}

static void twin(pk_random *random, made_header *header, made_tensor *tensor)
{
    made_tensor *other = &header->tensors[below(random, header->count)];
    if (other == tensor && header->count < MOST_TENSORS)
        other = add_empty(header, tensor);
    else if (other == tensor)
        other = tensor == header->tensors ? tensor + 1 : header->tensors;
    other->name = tensor->name;
}

static void end_moved(pk_random *random, made_header *header, made_tensor *tensor)
{
    (void)header;
    if (chance(random, 2))
        tensor->end++;
    else
        tensor->end--;
}

static void shifted(pk_random *random, made_header *header, made_tensor *tensor)
{
    const uint64_t by = 1 + below(random, chance(random, 2) ? 4 : 1000000);
    (void)header;
    tensor->begin += by;
    tensor->end += by;
}

/* It and all behind it begin earlier, and the data end there: each offset is in order and in the file. */
static void overlapping(pk_random *random, made_header *header, made_tensor *tensor)
{
    const uint64_t from = tensor->begin;
    if (from == 0) {
        end_moved(random, header, tensor);
        return;
    }
    const uint64_t by = 1 + below(random, (size_t)from);
    for (size_t i = 0; i < header->count; i++)
        if (header->tensors[i].begin >= from) {
            header->tensors[i].begin -= by;
            header->tensors[i].end -= by;
        }
    header->data_bytes -= by;
}

static void reversed(pk_random *random, made_header *header, made_tensor *tensor)
{
    const uint64_t begin = tensor->begin;
    (void)random;
    (void)header;
    tensor->begin = tensor->end;
    tensor->end = begin;
}

static void gone(pk_random *random, made_header *header, made_tensor *tensor)
{
    (void)random;
    *tensor = header->tensors[--header->count];
}

static void data_longer_or_shorter(pk_random *random, made_header *header, made_tensor *tensor)
{
    (void)tensor;
    header->data_change = chance(random, 2) ? 1 + (int64_t)below(random, 20) : -1;
}

static void dimension_grown(pk_random *random, made_header *header, made_tensor *tensor)
{
    (void)header;
    if (tensor->rank == 0)
        tensor->shape[tensor->rank++] = 2;
    else
        tensor->shape[below(random, (size_t)tensor->rank)]++;
}

/* A size that is the right one modulo 2^64: 2^32 * 2^32 elements for none, or 2^64 bytes more. */
static void shape_overflows(pk_random *random, made_header *header, made_tensor *tensor)
{
    if (header->count < MOST_TENSORS && chance(random, 2)) {
        tensor = add_empty(header, tensor);
        tensor->rank = 2;
        tensor->shape[0] = tensor->shape[1] = (uint64_t)1 << 32;
        return;
    }
    if (tensor->element_bytes == 1) {
        tensor->element_bytes = 2;
        tensor->dtype = "F16";
    }
    tensor->shape[0] = UINT64_MAX / tensor->element_bytes + 1 + (tensor->end - tensor->begin) / tensor->element_bytes;
    tensor->rank = 1;
}

static void unknown_dtype(pk_random *random, made_header *header, made_tensor *tensor)
{
    static const char *const words[] = {"", "U9", "bf16", "BF16 ", "F4", "BF16\\u0000", "F8_E4M3FN", "\\u0042F17"};
    (void)header;
    tensor->dtype = words[below(random, sizeof words / sizeof words[0])];
}

static void too_many_dimensions(pk_random *random, made_header *header, made_tensor *tensor)
{
    (void)header;
    const int rank = 9 + (int)below(random, 2);
    while (tensor->rank < rank)
        tensor->shape[tensor->rank++] = 1;
}

static void wrong_length(pk_random *random, made_header *header, made_tensor *tensor)
{
    static const int64_t changes[] = {-1, 1, -8, 8, -9, 300, INT32_MAX, INT64_MAX / 2, INT64_MIN / 2};
    (void)tensor;
    header->length_change = changes[below(random, sizeof changes / sizeof changes[0])];
}

static void bad_number(pk_random *random, made_header *header, made_tensor *tensor)
{
    static const char *const prefixes[] = {"0", "-", "+", " 1 ", "1e", "1.", "0x", "[", "{", "\"", "null,", ","};
    (void)header;
    tensor->shape_prefix = prefixes[below(random, sizeof prefixes / sizeof prefixes[0])];
    if (tensor->rank == 0)
        tensor->shape[tensor->rank++] = 1;
}

static void more_members(pk_random *random, made_header *header, made_tensor *tensor)
{
    static const char *const members[] = {",\"dtype\":\"U8\"",       ",\"shape\":[]",
                                          ",\"data_offsets\":[0,0]", ",\"x\":1",
                                          ",\"shape \":[]",          ",",
                                          ",\"a\":{\"b\":[[[[]]]]}", "}"};
    (void)header;
    tensor->more = members[below(random, sizeof members / sizeof members[0])];
}

static void bad_frame(pk_random *random, made_header *header, made_tensor *tensor)
{
    static const char *const begins[] = {" {",
                                         "[",
                                         "{,",
                                         "",
                                         "{{",
                                         "{\"__metadata__\":{\"a\":1},",
                                         "{\"a\":{},",
                                         "{\"__metadata__\":{},\"__metadata__\":{},",
                                         "{\"\xff\":{},",
                                         "{\"\\ud800\":{},"};
    static const char *const ends[] = {"", "]", ",}", "}}", "}x", "}{}", "},", "\"}"};
    (void)tensor;
    if (chance(random, 2))
        header->begin = begins[below(random, sizeof begins / sizeof begins[0])];
    else
        header->end = ends[below(random, sizeof ends / sizeof ends[0])];
}

static const struct {
    const char *name;
    void (*make)(pk_random *, made_header *, made_tensor *);
} header_faults[] = {{"two tensors of a name", twin},
                     {"an end moved by one", end_moved},
                     {"offsets shifted", shifted},
                     {"tensors that overlap", overlapping},
                     {"begin and end changed over", reversed},
                     {"a tensor gone from the header", gone},
                     {"more or less data", data_longer_or_shorter},
                     {"a dimension one larger", dimension_grown},
                     {"a shape that overflows", shape_overflows},
                     {"an unknown dtype", unknown_dtype},
                     {"nine or ten dimensions", too_many_dimensions},
                     {"another header length", wrong_length},
                     {"no JSON number", bad_number},
                     {"a member too many", more_members},
                     {"no JSON object", bad_frame}};

/* The same for the same number, or twins would be none. */
static void add_name(fuzz_input *input, unsigned name)
{
    static const char *const parts[] = {"model.layers.", "\\u00e9", "\xf0\x9f\x98\x80", "\\ud83d\\ude00", "\\n", "a",
                                        "\\\\",          "%s"};
    add(input, "\"%u", name);
    for (unsigned i = 0; i < name % 4; i++)
        add(input, "%s", parts[(name * 5 + i * 3) % 8]);
    add(input, "\"");
}

static void add_tensor(fuzz_input *input, pk_random *random, const made_tensor *tensor)
{
    const unsigned order = (unsigned)below(random, 3);
    add_name(input, tensor->name);
    add_space(input, random);
    add(input, ":{");
    for (unsigned m = 0; m < 3; m++) {
        if (m > 0)
            add_byte(input, ',');
        add_space(input, random);
        if ((m + order) % 3 == 0) {
            add(input, "\"dtype\":\"%s\"", tensor->dtype);
        } else if ((m + order) % 3 == 1) {
            add(input, "\"data_offsets\":[%llu,%llu]", (unsigned long long)tensor->begin,
                (unsigned long long)tensor->end);
        } else {
            add(input, "\"shape\":[%s", tensor->shape_prefix);
            for (int d = 0; d < tensor->rank; d++)
                add(input, "%s%llu", d > 0 ? "," : "", (unsigned long long)tensor->shape[d]);
            add(input, "]");
        }
    }
    add(input, "%s}", tensor->more);
}

static void write_header(fuzz_input *input, pk_random *random, const made_header *header)
{
    input->bytes = 8;
    add(input, "%s", header->begin);
    const bool metadata = chance(random, 3);
    if (metadata)
        add(input, "\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < header->count; i++) {
        if (i > 0 || metadata)
            add(input, ",");
        add_space(input, random);
        add_tensor(input, random, &header->tensors[i]);
    }
    add(input, "%s", header->end);
    add_space(input, random);
    input->header_bytes = input->bytes;
    write_little(input->file, input->bytes - 8 + (uint64_t)header->length_change, 8);
    for (uint64_t i = 0; i < header->data_bytes + (uint64_t)header->data_change; i++)
        add_byte(input, (unsigned)below(random, 256));
}

static void make_safetensors(pk_random *random, fuzz_input *input)
{
    made_header header = make_header(random);
    made_tensor *tensor = some_tensor(random, &header);
    if (tensor && input->want == FUZZ_REFUSED) {
        const size_t fault = below(random, sizeof header_faults / sizeof header_faults[0]);
        input->fault = header_faults[fault].name;
        header_faults[fault].make(random, &header, tensor);
    } else if (input->want == FUZZ_REFUSED) { /* there is nothing to damage */
        input->want = FUZZ_TAKEN;
    }
    write_header(input, random, &header);
}

/* ---- config.json ---- */

static const struct {
    const char *good, *bad[4];
} config_members[] = {
    {"\"architectures\":[\"LlamaForCausalLM\"]",
     {"\"architectures\":[]", "\"architectures\":[\"X\"]", "\"architectures\":1", "\"a\":1"}},
    {"\"num_hidden_layers\":2",
     {"\"num_hidden_layers\":0", "\"num_hidden_layers\":1e9", "\"x\":2", "\"num_hidden_layers\":[2]"}},
    {"\"hidden_size\":64",
     {"\"hidden_size\":60", "\"hidden_size\":-64", "\"hidden_size\":6.4", "\"hidden_size\":1e999"}},
    {"\"num_attention_heads\":4",
     {"\"num_attention_heads\":3", "\"num_attention_heads\":0", "\"num_attention_heads\":\"4\"",
      "\"num_attention_heads\":true"}},
    {"\"num_key_value_heads\":2",
     {"\"num_key_value_heads\":3", "\"num_key_value_heads\":0", "\"num_key_value_heads\":8",
      "\"num_key_value_heads\":-2"}},
    {"\"head_dim\":16", {"\"head_dim\":15", "\"head_dim\":0", "\"head_dim\":512", "\"head_dim\":{}"}},
    {"\"intermediate_size\":128",
     {"\"intermediate_size\":127", "\"intermediate_size\":0", "\"x\":1", "\"intermediate_size\":2e6"}},
    {"\"vocab_size\":256", {"\"vocab_size\":0", "\"vocab_size\":2", "\"vocab_size\":3e6", "\"vocab_size\":[]"}},
    {"\"max_position_embeddings\":512",
     {"\"max_position_embeddings\":0", "\"x\":2", "\"max_position_embeddings\":1e8",
      "\"max_position_embeddings\":0.5"}},
    {"\"rms_norm_eps\":1e-5",
     {"\"rms_norm_eps\":0", "\"rms_norm_eps\":\"\"", "\"rms_norm_eps\":1", "\"rms_norm_eps\":-1e-5"}},
    {"\"rope_theta\":10000.0",
     {"\"rope_theta\":0", "\"rope_theta\":1e13", "\"rope_theta\":[]", "\"rope_theta\":1e400"}},
    {"\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_"
     "max_position_embeddings\":128}",
     {"\"rope_scaling\":{\"type\":\"yarn\"}", "\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8}",
      "\"rope_scaling\":[]", "\"rope_parameters\":{\"x\":{}}"}},
    {"\"eos_token_id\":[2,3]",
     {"\"eos_token_id\":[2,300]", "\"eos_token_id\":-1", "\"eos_token_id\":[1,2,3,4,5,6,7,8,9]",
      "\"eos_token_id\":[[1]]"}},
    {"\"bos_token_id\":1",
     {"\"bos_token_id\":256", "\"bos_token_id\":-2", "\"bos_token_id\":0.1", "\"bos_token_id\":[1]"}},
    {"\"tie_word_embeddings\":true",
     {"\"tie_word_embeddings\":1", "\"hidden_act\":\"gelu\"", "\"attention_bias\":true", "\"mlp_bias\":true"}},
    {"\"hidden_act\":\"silu\"",
     {"\"hidden_act\":\"relu\"", "\"hidden_act\":7", "\"sliding_window\":5", "\"layer_types\":[\"x\"]"}}};

enum { CONFIG_MEMBERS = sizeof config_members / sizeof config_members[0] };

static void make_config(pk_random *random, fuzz_input *input)
{
    const size_t first = below(random, CONFIG_MEMBERS), fault = below(random, CONFIG_MEMBERS), how = below(random, 6);
    input->bytes = 0;
    add(input, "{");
    for (size_t i = 0; i < CONFIG_MEMBERS; i++) {
        const size_t m = (first + i) % CONFIG_MEMBERS;
        const bool bad = input->want == FUZZ_REFUSED && m == fault;
        if (i > 0)
            add_byte(input, ',');
        add_space(input, random);
        if (bad && how < 4)
            input->fault = config_members[m].bad[how];
        else if (bad)
            input->fault = how == 4 ? "a member twice" : "no comma";
        add(input, "%s", bad && how < 4 ? input->fault : config_members[m].good);
        if (bad && how >= 4)
            add(input, "%s%s", how == 4 ? "," : " ", config_members[m].good);
    }
    add(input, "}");
    add_space(input, random);
}

/* ---- model.safetensors.index.json ---- */

static void make_index(pk_random *random, fuzz_input *input)
{
    static const char *const bad[] = {"\"../a.safetensors\"",
                                      "\"/a.safetensors\"",
                                      "\"b\\\\a.safetensors\"",
                                      "\".a.safetensors\"",
                                      "\".safetensors\"",
                                      "\"a.bin\"",
                                      "\"\"",
                                      "\"\\u00e9.safetensors\"",
                                      "7",
                                      "null",
                                      "{}",
                                      "[\"a.safetensors\"]"};
    const size_t count = 1 + below(random, 8), fault = below(random, count), how = below(random, 15);
    input->bytes = 0;
    add(input, "{\"metadata\":{\"total_size\":7},\"weight_map\":%s",
        input->want == FUZZ_REFUSED && how == 14 ? "[{" : "{");
    for (size_t i = 0; i < count; i++) {
        const bool is_bad = input->want == FUZZ_REFUSED && i == fault;
        if (i > 0)
            add_byte(input, ',');
        add_space(input, random);
        add(input, "\"model.%zu\":", i);
        if (is_bad && how < 12) {
            input->fault = bad[how];
            add(input, "%s", bad[how]);
        } else {
            add(input, "\"model-%zu.safetensors\"", below(random, 3));
        }
        if (is_bad && how >= 12)
            add(input, how == 12 ? ",\"model.%zu\":\"x.safetensors\"" : " \"%zu\"", i);
    }
    add(input, "}}");
}

/* ---- vocab.bin ---- */

static void make_vocab(pk_random *random, fuzz_input *input)
{
    static const char *const faults[] = {"another count", "an offset changed", "another length", "no mark"};
    const size_t count = 1 + below(random, 8), fault = below(random, 4);
    uint32_t offset = 0;
    memcpy(input->file, "PKVOCAB1", 8);
    write_little(input->file + 8, count, 4);
    write_little(input->file + 12, 0, 4);
    input->bytes = 16;
    for (size_t token = 0; token <= count; token++) {
        write_little(input->file + input->bytes, offset, 4);
        input->bytes += 4;
        offset += token < count ? (uint32_t)below(random, 6) : 0;
    }
    for (uint32_t i = 0; i < offset; i++)
        add_byte(input, (unsigned)below(random, 256));
    if (input->want != FUZZ_REFUSED)
        return;
    input->fault = faults[fault];
    if (fault == 0) /* with the offsets as they are, no other count is right but by their bytes; these never are */
        write_little(input->file + 8, chance(random, 2) ? 0 : UINT32_MAX - below(random, 1000), 4);
    else if (fault == 1)
        write_little(input->file + 16 + 4 * below(random, count + 1), offset + 1 + below(random, 1u << 31), 4);
    else if (fault == 2)
        input->bytes -= 1 + below(random, offset + 4);
    else
        input->file[below(random, 8)] ^= (char)(1 + below(random, 255));
}

/* ---- bytes ---- */

static void insert(fuzz_input *input, size_t at, const char *bytes, size_t count)
{
    if (input->bytes + count > FUZZ_ROOM)
        return;
    memmove(input->file + at + count, input->file + at, input->bytes - at);
    memcpy(input->file + at, bytes, count);
    input->bytes += count;
}

static void change_some_byte(pk_random *random, fuzz_input *input)
{
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         "\"",
                                         ",",
                                         ":",
                                         "\\",
                                         "\\u",
                                         "0",
                                         "9999999999",
                                         "-",
                                         "e9",
                                         "null",
                                         "\xff",
                                         "[[[[[[[[",
                                         "\"__metadata__\":{},",
                                         "\"shape\":[0,1],",
                                         "\"data_offsets\":[0,0],",
                                         "../",
                                         "/",
                                         "18446744073709551615"};
    const size_t at = input->bytes > 0 ? below(random, input->bytes) : 0, left = input->bytes - at;
    const size_t count = left > 0 ? 1 + below(random, left < 40 ? left : 40) : 0,
                 piece = below(random, sizeof pieces / sizeof pieces[0]);
    char copied[40];
    if (left == 0)
        return;
    switch (below(random, 6)) {
    case 0:
        input->file[at] = (char)(input->file[at] ^ (1 << below(random, 8)));
        break;
    case 1:
        input->file[at] = (char)below(random, 256);
        break;
    case 2:
        insert(input, at, pieces[piece], strlen(pieces[piece]));
        break;
    case 3: /* cut out */
        memmove(input->file + at, input->file + at + count, left - count);
        input->bytes -= count;
        break;
    case 4: /* copied elsewhere */
        memcpy(copied, input->file + at, count);
        insert(input, below(random, input->bytes), copied, count);
        break;
    default:
        if (chance(random, 4)) /* cut off */
            input->bytes = at;
        else if (input->file[at] >= '0' && input->file[at] <= '9')
            input->file[at] = (char)('0' + below(random, 10));
    }
}

static void change_bytes(pk_random *random, fuzz_input *input)
{
    for (size_t i = 1 + below(random, 4); i > 0; i--)
        change_some_byte(random, input);
}

/* The header alone, whose length is then right again: what is behind the length is looked at only so. */
static void change_header(pk_random *random, fuzz_input *input)
{
    static char data[FUZZ_ROOM];
    const size_t data_bytes = input->bytes - input->header_bytes;
    memcpy(data, input->file + input->header_bytes, data_bytes);
    input->bytes = input->header_bytes;
    change_bytes(random, input);
    if (input->bytes < 8)
        return;
    write_little(input->file, input->bytes - 8, 8);
    insert(input, input->bytes, data, data_bytes);
}

void fuzz_make(pk_random *random, fuzz_kind kind, fuzz_input *input)
{
    const size_t form = below(random, 8); /* half are changed byte by byte */
    input->kind = kind;
    input->want = form == 0 ? FUZZ_TAKEN : form < 4 ? FUZZ_REFUSED : FUZZ_EITHER;
    input->fault = "none";
    if (kind == FUZZ_SAFETENSORS)
        make_safetensors(random, input);
    else if (kind == FUZZ_CONFIG)
        make_config(random, input);
    else if (kind == FUZZ_VOCAB)
        make_vocab(random, input);
    else
        make_index(random, input);
    if (input->want != FUZZ_EITHER)
        return;
    input->fault = "bytes changed";
    if (kind == FUZZ_SAFETENSORS && !chance(random, 8))
        change_header(random, input);
    else
        change_bytes(random, input);
}
