/* The header of a safetensors file, read by a scanner of its own: of JSON it takes what the format has and no more. So
 * nothing nests, integers are whole 64 bits, twins are seen, and memory follows the number of tensors, which is
 * bounded. */
#include "safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "source_file.h"
#include "utf8_step.h"

/* ---- scanning ---- */

typedef struct scan {
    const unsigned char *at, *end;
    const char *why; /* the first failure; NULL: none */
    char *names_end; /* strings are decoded to here */
} scan;

/* Returns false for the caller to hand on. */
static bool stop(scan *s, const char *why)
{
    if (!s->why)
        s->why = why;
    return false;
}

static void skip_space(scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

/* Whether this character comes next, past space; it is then behind us. */
static bool take(scan *s, char wanted)
{
    skip_space(s);
    if (s->at == s->end || *s->at != (unsigned char)wanted)
        return false;
    s->at++;
    return true;
}

static bool need(scan *s, char wanted, const char *why)
{
    return take(s, wanted) || stop(s, why);
}

static bool hex_digits(scan *s, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned char c = s->at < s->end ? *s->at++ : 0;
        if (c >= '0' && c <= '9')
            *code = *code * 16 + (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            *code = *code * 16 + (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return stop(s, "\\u without four hexadecimal digits");
    }
    return true;
}

/* At most three bytes for six of \uXXXX and four for twelve of a pair, so that no string grows. */
static char *encode(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

static bool unicode_escape(scan *s, char **to)
{
    uint32_t code, low;
    if (!hex_digits(s, &code))
        return false;
    if (code == 0)
        return stop(s, "a 0 in a string");
    if (code >= 0xd800 && code < 0xe000) {
        if (code >= 0xdc00 || s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
            return stop(s, "half of a surrogate pair");
        s->at += 2;
        if (!hex_digits(s, &low))
            return false;
        if (low < 0xdc00 || low >= 0xe000)
            return stop(s, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = encode(*to, code);
    return true;
}

static bool escape(scan *s, char **to)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const unsigned char c = s->at < s->end ? *s->at++ : 0;
    const char *letter = c ? strchr(letters, c) : NULL;
    if (c == 'u')
        return unicode_escape(s, to);
    if (!letter)
        return stop(s, "an unknown escape in a string");
    *(*to)++ = meant[letter - letters];
    return true;
}

/* One character of a string that is no escape. */
static bool character(scan *s, char **to)
{
    const unsigned char lead = *s->at;
    const int length = pk_utf8_length(lead);
    if (lead < 0x20)
        return stop(s, "a control character in a string");
    if (length == 0 || s->end - s->at < length)
        return stop(s, "a string that is no UTF-8");
    for (int i = 1; i < length; i++)
        if (!pk_utf8_follows(lead, i, s->at[i]))
            return stop(s, "a string that is no UTF-8");
    memcpy(*to, s->at, (size_t)length);
    *to += length;
    s->at += length;
    return true;
}

/* Decoded, with a 0, at names_end, which then lies behind it. NULL: a failure. Takes no more there than it has in the
 * header with its quotes. */
static const char *string(scan *s)
{
    const char *begin = s->names_end;
    char *to = s->names_end;
    if (!need(s, '"', "no string where one must be"))
        return NULL;
    while (s->at < s->end && *s->at != '"') {
        if (*s->at == '\\') {
            s->at++;
            if (!escape(s, &to))
                return NULL;
        } else if (!character(s, &to)) {
            return NULL;
        }
    }
    if (s->at == s->end) {
        (void)stop(s, "a string without an end");
        return NULL;
    }
    s->at++;
    *to++ = 0;
    s->names_end = to;
    return begin;
}

/* A string that need not be kept. */
static const char *passing_string(scan *s)
{
    char *before = s->names_end;
    const char *text = string(s);
    s->names_end = before;
    return text;
}

static bool number(scan *s, uint64_t *value)
{
    skip_space(s);
    const unsigned char *first = s->at;
    *value = 0;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++) {
        const uint64_t digit = (uint64_t)(*s->at - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            return stop(s, "a number over 64 bits");
        *value = *value * 10 + digit;
    }
    if (s->at == first || (*first == '0' && s->at - first > 1))
        return stop(s, "no whole number where one must be");
    return true; /* a fraction or an exponent is no comma or bracket */
}

/* ---- one tensor ---- */

static const struct {
    char word[8];
    size_t bytes;
} dtypes[] = {{"BF16", 2}, {"F16", 2}, {"F32", 4},     {"F64", 8},     {"BOOL", 1},   {"U8", 1},
              {"I8", 1},   {"U16", 2}, {"I16", 2},     {"U32", 4},     {"I32", 4},    {"U64", 8},
              {"I64", 8},  {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};

static bool read_dtype(scan *s, pk_safetensor *tensor)
{
    const char *word = passing_string(s);
    for (size_t i = 0; word && i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(word, dtypes[i].word) == 0) {
            tensor->dtype = dtypes[i].word;
            tensor->element_bytes = dtypes[i].bytes;
            return true;
        }
    return stop(s, "an unknown dtype");
}

/* "[n, n, ...]", at most `room` of them. */
static bool numbers(scan *s, uint64_t *values, int room, int *count)
{
    *count = 0;
    if (!need(s, '[', "no list where one must be"))
        return false;
    if (take(s, ']'))
        return true;
    do {
        if (*count == room)
            return stop(s, "a list that is too long");
        if (!number(s, &values[(*count)++]))
            return false;
    } while (take(s, ','));
    return need(s, ']', "a list without an end");
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

/* The member's value; its bit, or 0 after a failure. */
static unsigned tensor_member(scan *s, const char *name, pk_safetensor *tensor)
{
    uint64_t offsets[2];
    int count;
    if (strcmp(name, "dtype") == 0)
        return read_dtype(s, tensor) ? HAS_DTYPE : 0;
    if (strcmp(name, "shape") == 0)
        return numbers(s, tensor->shape, PK_SAFETENSORS_RANK_MOST, &tensor->rank) ? HAS_SHAPE : 0;
    if (strcmp(name, "data_offsets") != 0)
        return stop(s, "a member that is none of dtype, shape and data_offsets");
    if (!numbers(s, offsets, 2, &count))
        return 0;
    if (count != 2)
        return stop(s, "data_offsets that are not two numbers");
    tensor->begin = offsets[0];
    tensor->end = offsets[1];
    return HAS_OFFSETS;
}

/* elements * element_bytes. */
static bool byte_count(const pk_safetensor *tensor, uint64_t *bytes)
{
    *bytes = tensor->element_bytes;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] != 0 && *bytes > UINT64_MAX / tensor->shape[i])
            return false;
        *bytes *= tensor->shape[i];
    }
    return true;
}

static bool read_tensor(scan *s, pk_safetensor *tensor)
{
    unsigned has = 0;
    uint64_t bytes;
    if (!need(s, '{', "a tensor that is no object"))
        return false;
    do {
        const char *name = passing_string(s);
        if (!name || !need(s, ':', "no ':' after a name"))
            return false;
        const unsigned bit = tensor_member(s, name, tensor);
        if (bit == 0)
            return false;
        if (has & bit)
            return stop(s, "a member of a tensor twice");
        has |= bit;
    } while (take(s, ','));
    if (!need(s, '}', "a tensor without an end"))
        return false;
    if (has != HAS_ALL)
        return stop(s, "a tensor without dtype, shape or data_offsets");
    if (!byte_count(tensor, &bytes))
        return stop(s, "a shape over 64 bits");
    if (tensor->begin > tensor->end || tensor->end - tensor->begin != bytes)
        return stop(s, "data_offsets that do not match dtype and shape");
    return true;
}

/* ---- the header ---- */

static bool skip_metadata(scan *s)
{
    if (!need(s, '{', "a __metadata__ that is no object"))
        return false;
    if (take(s, '}'))
        return true;
    do {
        if (!passing_string(s) || !need(s, ':', "no ':' after a name") || !passing_string(s))
            return false;
    } while (take(s, ','));
    return need(s, '}', "a __metadata__ without an end");
}

typedef struct tensor_list {
    pk_safetensors *header;
    size_t room;
    bool out_of_memory;
} tensor_list;

static pk_safetensor *append(scan *s, tensor_list *list)
{
    pk_safetensors *header = list->header;
    if (header->count == PK_SAFETENSORS_TENSORS_MOST) {
        (void)stop(s, "more than 65536 tensors");
        return NULL;
    }
    if (header->count == list->room) {
        const size_t room = list->room ? 2 * list->room : 64;
        pk_safetensor *tensors = realloc(header->tensors, room * sizeof *tensors);
        if (!tensors) {
            list->out_of_memory = true;
            (void)stop(s, "out of memory");
            return NULL;
        }
        header->tensors = tensors;
        list->room = room;
    }
    pk_safetensor *tensor = &header->tensors[header->count++];
    *tensor = (pk_safetensor){0};
    return tensor;
}

static bool read_member(scan *s, tensor_list *list, bool *metadata)
{
    const char *name = string(s);
    if (!name || !need(s, ':', "no ':' after a name"))
        return false;
    if (strcmp(name, "__metadata__") == 0) {
        if (*metadata)
            return stop(s, "__metadata__ twice");
        *metadata = true;
        return skip_metadata(s);
    }
    pk_safetensor *tensor = append(s, list);
    if (!tensor)
        return false;
    tensor->name = name;
    return read_tensor(s, tensor);
}

static bool read_members(scan *s, tensor_list *list)
{
    bool metadata = false;
    if (s->at == s->end || *s->at != '{') /* not even space before it */
        return stop(s, "no '{' at its begin");
    s->at++;
    if (!take(s, '}')) {
        do {
            if (!read_member(s, list, &metadata))
                return false;
        } while (take(s, ','));
        if (!need(s, '}', "an object without an end"))
            return false;
    }
    skip_space(s);
    return s->at == s->end || stop(s, "something behind its end");
}

/* ---- what the tensors are together ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const pk_safetensor *)a)->name, ((const pk_safetensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const pk_safetensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end; /* an empty one before what begins there */
}

static void sort(pk_safetensors *header, int (*order)(const void *, const void *))
{
    if (header->count > 0) /* qsort takes no NULL */
        qsort(header->tensors, header->count, sizeof *header->tensors, order);
}

static pk_status misplaced(const char *origin, const char *name, const char *what)
{
    return pk_fail(PK_USAGE,
                   "%s: tensor %s %s: the file is damaged or was made by a broken tool; fetch it again (./lab model)",
                   origin, pk_show(name).text, what);
}

/* Offsets from the begin of the data become such from the begin of the file. */
static pk_status check_cover(pk_safetensors *header, size_t header_bytes, uint64_t file_bytes, const char *origin)
{
    uint64_t covered = 0;
    const uint64_t data_bytes = file_bytes - header_bytes;
    sort(header, by_place);
    for (size_t i = 0; i < header->count; i++) {
        pk_safetensor *tensor = &header->tensors[i];
        if (tensor->begin < covered)
            return misplaced(origin, tensor->name, "overlaps another");
        if (tensor->begin > covered)
            return misplaced(origin, tensor->name, "begins behind a hole");
        if (tensor->end > data_bytes)
            return misplaced(origin, tensor->name, "ends behind the file's end");
        covered = tensor->end;
        tensor->begin += header_bytes;
        tensor->end += header_bytes;
    }
    if (covered != data_bytes)
        return pk_fail(PK_USAGE,
                       "%s: %llu bytes behind the last tensor: the file is damaged or was made by a broken tool; fetch "
                       "it again (./lab model)",
                       origin, (unsigned long long)(data_bytes - covered));
    return PK_OK;
}

static pk_status check_names(pk_safetensors *header, const char *origin)
{
    sort(header, by_name);
    for (size_t i = 1; i < header->count; i++)
        if (strcmp(header->tensors[i - 1].name, header->tensors[i].name) == 0)
            return misplaced(origin, header->tensors[i].name, "is there twice");
    return PK_OK;
}

/* ---- entries ---- */

pk_status pk_safetensors_header_bytes(const unsigned char *begin, uint64_t file_bytes, const char *origin,
                                      size_t *header_bytes)
{
    uint64_t length = 0;
    if (file_bytes < 8)
        return pk_fail(PK_USAGE, "%s: %llu bytes, too few for a safetensors file; fetch it again (./lab model)", origin,
                       (unsigned long long)file_bytes);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | begin[i];
    if (length > file_bytes - 8)
        return pk_fail(PK_USAGE,
                       "%s: its header is said to be %llu bytes, and the file ends before: cut off, or no safetensors "
                       "file; fetch it again (./lab model)",
                       origin, (unsigned long long)length);
    if (length > PK_SAFETENSORS_HEADER_MOST)
        return pk_fail(PK_USAGE, "%s: its header is %llu bytes, over the format's 100 MB; fetch it again (./lab model)",
                       origin, (unsigned long long)length);
    *header_bytes = 8 + (size_t)length;
    return PK_OK;
}

pk_status pk_safetensors_parse(const unsigned char *begin, size_t header_bytes, uint64_t file_bytes, const char *origin,
                               pk_safetensors *header)
{
    *header = (pk_safetensors){.names = malloc(header_bytes)};
    if (!header->names)
        return pk_out_of_memory(origin);
    scan s = {.at = begin + 8, .end = begin + header_bytes, .names_end = header->names};
    tensor_list list = {.header = header};
    if (!read_members(&s, &list)) {
        if (list.out_of_memory)
            return pk_out_of_memory(origin);
        return pk_fail(
            PK_USAGE,
            "%s: bad header: %s, before byte %zu: damaged, or no safetensors file; fetch it again (./lab model)",
            origin, s.why, (size_t)(s.at - begin));
    }
    const pk_status status = check_cover(header, header_bytes, file_bytes, origin);
    return status == PK_OK ? check_names(header, origin) : status;
}

void pk_safetensors_free(pk_safetensors *header)
{
    free(header->tensors);
    free(header->names);
    *header = (pk_safetensors){0};
}

const pk_safetensor *pk_safetensors_find(const pk_safetensors *header, const char *name)
{
    const pk_safetensor key = {.name = name};
    return header->count == 0 ? NULL : bsearch(&key, header->tensors, header->count, sizeof *header->tensors, by_name);
}
