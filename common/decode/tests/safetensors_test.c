/* Headers of safetensors files: each thing that the format does not allow is refused with its reason. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"

/* As the file's first bytes in memory of just their size, so that a sanitizer sees a read past them. */
static pk_status parse(const char *json, size_t json_bytes, uint64_t data_bytes, pk_safetensors *header)
{
    unsigned char *file = malloc(8 + json_bytes);
    size_t header_bytes = 0;
    cr_assert_not_null(file);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)json_bytes >> 8 * i & 255);
    memcpy(file + 8, json, json_bytes);
    cr_assert_eq(pk_safetensors_header_bytes(file, 8 + json_bytes + data_bytes, "f", &header_bytes), PK_OK);
    cr_assert_eq(header_bytes, 8 + json_bytes);
    const pk_status status = pk_safetensors_parse(file, header_bytes, 8 + json_bytes + data_bytes, "f", header);
    free(file);
    return status;
}

static void assert_refused_bytes(const char *json, size_t json_bytes, uint64_t data_bytes, const char *word)
{
    pk_safetensors header;
    cr_assert_eq(parse(json, json_bytes, data_bytes, &header), PK_USAGE, "taken: %s", json);
    cr_assert_not_null(strstr(pk_error_text(), word), "no '%s' in: %s", word, pk_error_text());
    cr_assert_null(strchr(pk_error_text(), '\n'));
    pk_safetensors_free(&header);
}

static void assert_refused(const char *json, uint64_t data_bytes, const char *word)
{
    assert_refused_bytes(json, strlen(json), data_bytes, word);
}

static pk_safetensors parsed(const char *json, uint64_t data_bytes)
{
    pk_safetensors header;
    cr_assert_eq(parse(json, strlen(json), data_bytes, &header), PK_OK, "%s: %s", json, pk_error_text());
    return header;
}

#define TENSOR(name, dtype, shape, begin, end)                                                                         \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"

/* ---- what is right ---- */

Test(safetensors, tensors_are_found_where_they_lie)
{
    static const char json[] = "{" TENSOR("b", "F32", "2,3", 4, 28) "," TENSOR("a", "BF16", "2", 0, 4) "}  ";
    pk_safetensors header = parsed(json, 28);
    const pk_safetensor *a = pk_safetensors_find(&header, "a"), *b = pk_safetensors_find(&header, "b");
    const uint64_t data = 8 + strlen(json);
    cr_assert_eq(header.count, 2);
    cr_assert_null(pk_safetensors_find(&header, "ab"));
    cr_assert_null(pk_safetensors_find(&header, ""));
    cr_assert(a && b);
    cr_assert_str_eq(a->dtype, "BF16");
    cr_assert_eq(a->rank, 1);
    cr_assert(a->shape[0] == 2 && a->begin == data && a->end == data + 4);
    cr_assert_str_eq(b->dtype, "F32");
    cr_assert_eq(b->element_bytes, 4);
    cr_assert_eq(b->rank, 2);
    cr_assert(b->shape[0] == 2 && b->shape[1] == 3 && b->begin == data + 4 && b->end == data + 28);
    pk_safetensors_free(&header);
}

Test(safetensors, what_the_format_allows)
{
    static const struct {
        const char *json;
        uint64_t data_bytes;
        size_t count;
    } good[] = {{"{}", 0, 0},
                {"{ \t\r\n}", 0, 0},
                {"{\"__metadata__\":{}}", 0, 0},
                {"{\"__metadata__\":{\"format\":\"pt\",\"\\u0041\\\"\":\"\\\\/\\/\\b\\f\\n\\r\\t\"}}", 0, 0},
                {"{" TENSOR("scalar", "F64", "", 0, 8) "}", 8, 1},
                {"{" TENSOR("empty", "I8", "0,5", 0, 0) "," TENSOR("", "U8", "1", 0, 1) "}", 1, 2},
                {"{" TENSOR("end", "I8", "0", 1, 1) "," TENSOR("x", "BOOL", "1", 0, 1) "}", 1, 2},
                {"{" TENSOR("zero times much", "I8", "0,18446744073709551615", 0, 0) "}", 0, 1},
                {"{" TENSOR("deep", "U16", "1,1,1,1,1,1,1,1", 0, 2) "}", 2, 1},
                {"{ \"a\" : { \"data_offsets\" : [ 0 , 1 ] , \"shape\" : [ 1 ] , \"dtype\" : \"U8\" } }", 1, 1}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        pk_safetensors header = parsed(good[i].json, good[i].data_bytes);
        cr_assert_eq(header.count, good[i].count, "%s", good[i].json);
        pk_safetensors_free(&header);
    }
}

Test(safetensors, every_dtype)
{
    static const struct {
        const char *word;
        size_t bytes;
    } known[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
                 {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
                 {"F32", 4},  {"F64", 8}, {"I64", 8}, {"U64", 8},     {"C64", 8}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char json[128];
        (void)snprintf(json, sizeof json, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}",
                       known[i].word, 3 * known[i].bytes);
        pk_safetensors header = parsed(json, 3 * known[i].bytes);
        cr_assert_str_eq(header.tensors[0].dtype, known[i].word);
        pk_safetensors_free(&header);
    }
}

Test(safetensors, names_are_decoded)
{
    pk_safetensors header = parsed("{" TENSOR("\\u0061\\u00e9\\u20AC\\ud83d\\uDE00\\/", "U8", "0", 0, 0) "}", 0);
    cr_assert_str_eq(header.tensors[0].name, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/");
    cr_assert_not_null(pk_safetensors_find(&header, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/"));
    pk_safetensors_free(&header);
}

Test(safetensors, many_tensors)
{
    enum { COUNT = 1000 };
    char *json = malloc((size_t)100 * COUNT), *at = json, name[16];
    cr_assert_not_null(json);
    for (int i = 0; i < COUNT; i++)
        at += sprintf(at, "%c\"t%d\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[%d,%d]}", i ? ',' : '{', i,
                      2 * i, 2 * i + 2);
    (void)sprintf(at, "}");
    pk_safetensors header = parsed(json, (uint64_t)2 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "t%d", i);
        const pk_safetensor *found = pk_safetensors_find(&header, name);
        cr_assert_not_null(found);
        cr_assert_eq(found->begin, 8 + strlen(json) + 2 * (size_t)i);
    }
    pk_safetensors_free(&header);
    free(json);
}

/* ---- the length ---- */

static void assert_length_refused(uint64_t length, uint64_t file_bytes, const char *word)
{
    unsigned char begin[8];
    size_t header_bytes;
    for (int i = 0; i < 8; i++)
        begin[i] = (unsigned char)(length >> 8 * i & 255);
    cr_assert_eq(pk_safetensors_header_bytes(begin, file_bytes, "f", &header_bytes), PK_USAGE);
    cr_assert_not_null(strstr(pk_error_text(), word), "no '%s' in: %s", word, pk_error_text());
}

Test(length, within_the_file_and_100_mb)
{
    unsigned char begin[8] = {0x00, 0xe1, 0xf5, 0x05}; /* 100 million */
    size_t header_bytes;
    assert_length_refused(0, 7, "too few");
    assert_length_refused(0, 0, "too few");
    assert_length_refused(1, 8, "ends before");
    assert_length_refused(UINT64_MAX, 1000, "ends before");
    assert_length_refused(UINT64_MAX - 7, UINT64_MAX, "ends before");
    assert_length_refused(UINT64_MAX - 8, UINT64_MAX, "100 MB");
    assert_length_refused(100000001, 200000000, "100 MB");
    cr_assert_eq(pk_safetensors_header_bytes(begin, 100000008, "f", &header_bytes), PK_OK);
    cr_assert_eq(header_bytes, 100000008);
}

/* ---- what is no such JSON ---- */

Test(refused, no_object)
{
    assert_refused("", 0, "no '{'");
    assert_refused(" {}", 0, "no '{'");
    assert_refused("[]", 0, "no '{'");
    assert_refused("{", 0, "no string");
    assert_refused("{}}", 0, "behind its end");
    assert_refused("{}x", 0, "behind its end");
    assert_refused_bytes("{}\0", 3, 0, "behind its end");
    assert_refused("{,}", 0, "no string");
    assert_refused("{" TENSOR("a", "U8", "0", 0, 0) ",}", 0, "no string");
    assert_refused("{" TENSOR("a", "U8", "0", 0, 0), 0, "an object without an end");
    assert_refused("{\"a\"}", 0, "no ':'");
    assert_refused("{\"a\":7}", 0, "a tensor that is no object");
    assert_refused("{\"a\":{}}", 0, "no string");
}

Test(refused, strings)
{
    assert_refused("{\"a", 0, "without an end");
    assert_refused("{\"a\\", 0, "unknown escape");
    assert_refused("{\"\\x\":", 0, "unknown escape");
    assert_refused("{\"\\u12", 0, "four hexadecimal");
    assert_refused("{\"\\u12g4\":", 0, "four hexadecimal");
    assert_refused("{\"\\u0000\":", 0, "a 0 in a string");
    assert_refused("{\"\\ud800\":", 0, "surrogate");
    assert_refused("{\"\\ud800\\n\":", 0, "surrogate");
    assert_refused("{\"\\ud800\\u0041\":", 0, "surrogate");
    assert_refused("{\"\\udc00\\ud800\":", 0, "surrogate");
    assert_refused("{\"\\udc00\\udc00\":", 0, "surrogate");
    assert_refused("{\"\n\":", 0, "control character");
    assert_refused_bytes("{\"\0\":", 5, 0, "control character");
    assert_refused("{\"\x80\":", 0, "no UTF-8");
    assert_refused("{\"\xc0\xaf\":", 0, "no UTF-8");     /* overlong */
    assert_refused("{\"\xed\xa0\x80\":", 0, "no UTF-8"); /* a surrogate */
    assert_refused("{\"\xf4\x90\x80\x80\":", 0, "no UTF-8");
    assert_refused("{\"\xf0\x9f\x98", 0, "no UTF-8"); /* cut */
    assert_refused("{\"\xf0\x9f\x98\":   ", 0, "no UTF-8");
}

Test(refused, numbers)
{
    static const char *const bad[] = {"-1",
                                      "01",
                                      "00",
                                      "1.5",
                                      "1e3",
                                      "+1",
                                      "0x1",
                                      "\"1\"",
                                      "null",
                                      "[1]",
                                      "{}",
                                      "",
                                      "1 2",
                                      "18446744073709551616",
                                      "18446744073709551617",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char json[128];
        (void)snprintf(json, sizeof json, "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1],\"shape\":[1,%s]}}", bad[i]);
        assert_refused(json, 1, "bad header");
        (void)snprintf(json, sizeof json, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,%s]}}", bad[i]);
        assert_refused(json, 1, "bad header");
    }
}

Test(refused, members_of_a_tensor)
{
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "without dtype, shape or data_offsets");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "without dtype, shape or data_offsets");
    assert_refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "without dtype, shape or data_offsets");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "twice");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "twice");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"more\":1}}", 1, "none of dtype");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "not two numbers");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[]}}", 1, "not two numbers");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", 1, "too long");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "too long");
    assert_refused("{\"a\":{\"dtype\":7}}", 1, "no string");
}

Test(refused, dtypes_that_are_unknown)
{
    assert_refused("{" TENSOR("a", "U9", "1", 0, 1) "}", 1, "unknown dtype");
    assert_refused("{" TENSOR("a", "bf16", "1", 0, 2) "}", 2, "unknown dtype");
    assert_refused("{" TENSOR("a", "", "1", 0, 1) "}", 1, "unknown dtype");
    assert_refused("{" TENSOR("a", "F32 ", "1", 0, 4) "}", 4, "unknown dtype");
}

/* Half a million opening brackets: refused at the first that nothing here has. */
Test(refused, deep_nesting)
{
    enum { DEPTH = 500000 };
    char *json = malloc(DEPTH + 64);
    cr_assert_not_null(json);
    static const char *const begins[] = {
        "{\"a\":", "{\"__metadata__\":", "{\"__metadata__\":{\"a\":", "{\"a\":{\"dtype\":\"U8\",\"shape\":",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,"};
    for (size_t i = 0; i < 5; i++)
        for (int c = 0; c < 2; c++) {
            const size_t begin = (size_t)sprintf(json, "%s", begins[i]);
            memset(json + begin, "[{"[c], DEPTH);
            assert_refused_bytes(json, begin + DEPTH, 0, "bad header");
        }
    free(json);
}

Test(refused, metadata)
{
    assert_refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ twice");
    assert_refused("{\"__metadata__\":[]}", 0, "no object");
    assert_refused("{\"__metadata__\":{\"a\":7}}", 0, "no string");
    assert_refused("{\"__metadata__\":{\"a\":\"b\"}", 0, "without an end");
    assert_refused("{\"__metadata__\":{\"a\":\"b\"", 0, "__metadata__ without an end");
}

/* ---- tensors that cannot be ---- */

Test(refused, shapes_that_do_not_match)
{
    assert_refused("{" TENSOR("a", "F32", "2,3", 0, 23) "}", 23, "do not match");
    assert_refused("{" TENSOR("a", "F32", "2,3", 0, 25) "}", 25, "do not match");
    assert_refused("{" TENSOR("a", "U8", "", 0, 0) "}", 0, "do not match");
    assert_refused("{" TENSOR("a", "U8", "1", 1, 0) "}", 1, "do not match");
    /* Begin over end, whose difference would be the size again in 64 bits. */
    assert_refused("{" TENSOR("a", "U8", "18446744073709551615", 1, 0) "}", 1, "do not match");
}

Test(refused, shapes_over_64_bits)
{
    assert_refused("{" TENSOR("a", "U8", "4294967296,4294967296", 0, 0) "}", 0, "over 64 bits");
    assert_refused("{" TENSOR("a", "F32", "4611686018427387904", 0, 0) "}", 0, "over 64 bits");
    assert_refused("{" TENSOR("a", "F32", "4611686018427387905", 0, 4) "}", 4, "over 64 bits"); /* 2^64 + 4 */
    assert_refused("{" TENSOR("a", "U8", "4294967296,4294967296,0", 0, 0) "}", 0, "over 64 bits");
}

Test(refused, tensors_that_do_not_cover_the_data)
{
    assert_refused("{" TENSOR("a", "U8", "4", 0, 4) "," TENSOR("b", "U8", "4", 3, 7) "}", 7, "b overlaps");
    assert_refused("{" TENSOR("a", "U8", "4", 0, 4) "," TENSOR("b", "U8", "4", 0, 4) "}", 4, "overlaps");
    assert_refused("{" TENSOR("a", "U8", "4", 0, 4) "," TENSOR("b", "U8", "0", 2, 2) "}", 4, "b overlaps");
    assert_refused("{" TENSOR("a", "U8", "4", 0, 4) "," TENSOR("b", "U8", "4", 5, 9) "}", 9, "b begins behind a hole");
    assert_refused("{" TENSOR("a", "U8", "4", 1, 5) "}", 5, "a begins behind a hole");
    assert_refused("{" TENSOR("a", "U8", "4", 0, 4) "}", 3, "a ends behind the file's end");
    assert_refused("{" TENSOR("a", "U8", "4", 0, 4) "}", 5, "1 bytes behind the last tensor");
    assert_refused("{" TENSOR("a", "U8", "18446744073709551615", 0, 18446744073709551615) "}", 5, "ends behind");
    assert_refused("{}", 1, "1 bytes behind");
}

Test(refused, names_twice)
{
    assert_refused("{" TENSOR("a", "U8", "1", 0, 1) "," TENSOR("a", "U8", "1", 1, 2) "}", 2, "a is there twice");
    assert_refused("{" TENSOR("a", "U8", "1", 0, 1) "," TENSOR("\\u0061", "U8", "1", 1, 2) "}", 2, "a is there twice");
}

Test(refused, too_many_tensors)
{
    const size_t count = PK_SAFETENSORS_TENSORS_MOST + 1;
    char *json = malloc(64 * count), *at = json;
    cr_assert_not_null(json);
    for (size_t i = 0; i < count; i++)
        at += sprintf(at, "%c\"%zx\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? ',' : '{', i);
    (void)sprintf(at, "}");
    assert_refused(json, 0, "more than 65536 tensors");
    free(json);
}

Test(refused, a_name_in_a_message_is_one_short_line)
{
    char json[400] = "{\"", *at = json + 2;
    for (int i = 0; i < 100; i++)
        *at++ = 'n';
    (void)sprintf(at, "\\n\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}");
    assert_refused(json, 2, "nnn... begins behind a hole");
    assert_refused("{" TENSOR("\\n\\u001b[31m\xc3\xa9", "U8", "1", 1, 2) "}", 2, "tensor ??[31m?? begins");
}
