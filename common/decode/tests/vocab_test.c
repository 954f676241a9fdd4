/* vocab.bin, and text that comes in pieces. */
#define _GNU_SOURCE /* mkstemp */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pk_vocab.h"
#include "vocab_parse.h"

/* ---- the file ---- */

/* Three tokens: "a", nothing, "b\0c"; as bytes of the file. */
static const unsigned char good[] = {'P', 'K', 'V', 'O', 'C', 'A', 'B', '1', 3, 0, 0, 0, 0, 0, 0,   0,   0, 0,
                                     0,   0,   1,   0,   0,   0,   1,   0,   0, 0, 4, 0, 0, 0, 'a', 'b', 0, 'c'};

/* In memory of just its size, so that a sanitizer sees a read past it. */
static pk_status parse(const unsigned char *file, size_t bytes, pk_vocab **vocab)
{
    char *copy = malloc(bytes > 0 ? bytes : 1);
    cr_assert_not_null(copy);
    memcpy(copy, file, bytes);
    const pk_status status = pk_vocab_parse(copy, bytes, "v", vocab);
    if (status != PK_OK)
        free(copy);
    return status;
}

static void assert_token(const pk_vocab *vocab, int token, const char *want, size_t want_bytes)
{
    size_t bytes;
    const char *got = pk_vocab_bytes(vocab, token, &bytes);
    cr_assert_eq(bytes, want_bytes, "token %d: %zu bytes", token, bytes);
    cr_assert_eq(memcmp(got, want, bytes), 0, "token %d", token);
}

Test(vocab, tokens)
{
    pk_vocab *vocab;
    cr_assert_eq(parse(good, sizeof good, &vocab), PK_OK, "%s", pk_error_text());
    cr_assert_eq(pk_vocab_count(vocab), 3);
    assert_token(vocab, 0, "a", 1);
    assert_token(vocab, 1, "", 0);
    assert_token(vocab, 2, "b\0c", 3);
    assert_token(vocab, 3, "", 0);
    assert_token(vocab, -1, "", 0);
    pk_vocab_close(vocab);
    pk_vocab_close(NULL);
}

Test(vocab, from_a_file)
{
    char path[] = "/tmp/pk_vocab_test.XXXXXX";
    pk_vocab *vocab;
    const int file = mkstemp(path);
    cr_assert(file >= 0);
    cr_assert_eq(write(file, good, sizeof good), (ssize_t)sizeof good);
    cr_assert_eq(pk_vocab_open(path, &vocab), PK_OK, "%s", pk_error_text());
    assert_token(vocab, 2, "b\0c", 3);
    pk_vocab_close(vocab);
    cr_assert_eq(ftruncate(file, sizeof good - 1), 0);
    cr_assert_eq(pk_vocab_open(path, &vocab), PK_USAGE);
    cr_assert_not_null(strstr(pk_error_text(), path));
    cr_assert_null(vocab);
    cr_assert_eq(close(file), 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(pk_vocab_open(path, &vocab), PK_USAGE);
    cr_assert_not_null(strstr(pk_error_text(), "No such file"));
}

static void assert_refused(const unsigned char *file, size_t bytes, const char *word)
{
    pk_vocab *vocab;
    cr_assert_eq(parse(file, bytes, &vocab), PK_USAGE, "taken in spite of: %s", word);
    cr_assert_not_null(strstr(pk_error_text(), word), "no '%s' in: %s", word, pk_error_text());
    cr_assert_null(vocab);
}

static void assert_change_refused(size_t at, unsigned char value, const char *word)
{
    unsigned char file[sizeof good];
    memcpy(file, good, sizeof good);
    file[at] = value;
    assert_refused(file, sizeof file, word);
}

Test(vocab, each_refusal)
{
    for (size_t bytes = 0; bytes < sizeof good; bytes++)
        assert_refused(good, bytes, bytes < 16 ? "PKVOCAB1" : bytes < 32 ? "within its offsets" : "the file's end");
    assert_change_refused(7, '2', "PKVOCAB1");
    assert_change_refused(8, 0, "a count");
    assert_change_refused(10, 0x20, "a count"); /* 2^21 + 3 */
    assert_change_refused(10, 0x1f, "within its offsets");
    assert_change_refused(8, 9, "within its offsets");
    assert_change_refused(11, 0xff, "a count");
    assert_change_refused(15, 1, "reserved");
    assert_change_refused(16, 1, "first offset");
    assert_change_refused(20, 2, "out of order");
    assert_change_refused(24, 5, "out of order");
    assert_change_refused(28, 3, "the file's end");
    assert_change_refused(28, 5, "the file's end");
    assert_change_refused(31, 0x80, "the file's end");
}

/* ---- text that comes in pieces ---- */

/* Pushes `text` in pieces that end at the bits of `cuts`, and returns what came out, as a string of the test's. */
static const char *pushed(const char *text, size_t bytes, unsigned cuts)
{
    static char all[256];
    size_t count = 0, begin = 0;
    pk_utf8_stream stream = {.count = 0};
    for (size_t i = 1; i <= bytes; i++) {
        if (i < bytes && !(cuts >> (i - 1) & 1))
            continue;
        char *out = malloc(3 * (i - begin + 4));
        cr_assert_not_null(out);
        const size_t written = pk_utf8_push(&stream, text + begin, i - begin, i == bytes, out);
        memcpy(all + count, out, written);
        free(out);
        count += written;
        begin = i;
    }
    all[count] = 0;
    return all;
}

#define BAD "\xef\xbf\xbd"

static const struct {
    const char *in, *out;
} texts[] = {
    {"plain", "plain"},
    {"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!", "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!"},
    {"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80", "\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80"}, /* ends of ranges */
    {"a\x80z", "a" BAD "z"},
    {"\xc3", BAD},
    {"\xf0\x9f\x98", BAD},      /* one character's beginning: one mark */
    {"\xf0\x9f\x98z", BAD "z"}, /* the byte that ends it is kept */
    {"\xe2\x82\xc3\xa9", BAD "\xc3\xa9"},
    {"\xc0\xaf", BAD BAD},         /* overlong */
    {"\xe0\x80\x80", BAD BAD BAD}, /* overlong */
    {"\xed\xa0\x80", BAD BAD BAD}, /* a surrogate */
    {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
    {"\xf0\x80\x80\x80", BAD BAD BAD BAD}, /* overlong */
    {"\xf5\x80\x80\x80", BAD BAD BAD BAD},
    {"\xf5\xff\xfe", BAD BAD BAD},
    /* The example of Unicode 15, table 3-8, in part. */
    {"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", "a" BAD BAD BAD "b" BAD "c" BAD BAD "d"},
};

Test(utf8, however_it_is_cut)
{
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        const size_t bytes = strlen(texts[t].in);
        const unsigned ways = bytes > 0 ? 1u << (bytes - 1) : 0;
        for (unsigned cuts = 0; cuts < ways; cuts++)
            cr_assert_str_eq(pushed(texts[t].in, bytes, cuts), texts[t].out, "text %zu cut at %x", t, cuts);
    }
}

Test(utf8, nothing_comes_out_before_it_is_whole)
{
    pk_utf8_stream stream = {.count = 0};
    char out[32];
    cr_assert_eq(pk_utf8_push(&stream, "\xf0\x9f", 2, 0, out), 0);
    cr_assert_eq(pk_utf8_push(&stream, "", 0, 0, out), 0);
    cr_assert_eq(pk_utf8_push(&stream, "\x98", 1, 0, out), 0);
    cr_assert_eq(pk_utf8_push(&stream,
                              "\x80"
                              "a",
                              2, 0, out),
                 5);
    cr_assert_eq(memcmp(out,
                        "\xf0\x9f\x98\x80"
                        "a",
                        5),
                 0);
    cr_assert_eq(pk_utf8_push(&stream, NULL, 0, 1, out), 0);
    cr_assert_eq(pk_utf8_push(&stream, "\xc3", 1, 0, out), 0);
    cr_assert_eq(pk_utf8_push(&stream, NULL, 0, 1, out), 3);
    cr_assert_eq(memcmp(out, BAD, 3), 0);
    cr_assert_eq(stream.count, 0);
}
