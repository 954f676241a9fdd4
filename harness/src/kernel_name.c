/* The part of a mangled name that a person reads. */
#include "kernel_name.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "5plaini": a length and as many letters; moves past them. */
static bool read_word(const char **at, const char **word, size_t *length)
{
    if (!isdigit((unsigned char)**at))
        return false;
    char *end;
    *length = strtoul(*at, &end, 10);
    if (strnlen(end, *length) < *length)
        return false;
    *word = end;
    *at = end + *length;
    return true;
}

static const char *builtin(char letter)
{
    static const struct {
        char letter;
        const char *name;
    } types[] = {{'b', "bool"},           {'c', "char"},
                 {'a', "signed char"},    {'h', "unsigned char"},
                 {'s', "short"},          {'i', "int"},
                 {'t', "unsigned short"}, {'j', "unsigned"},
                 {'l', "long"},           {'f', "float"},
                 {'m', "unsigned long"},  {'x', "long long"},
                 {'d', "double"},         {'y', "unsigned long long"}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].letter == letter)
            return types[i].name;
    return NULL;
}

typedef struct text {
    char at[256];
    size_t length;
} text;

static void put(text *to, const char *from, size_t length)
{
    for (size_t i = 0; i < length && to->length + 1 < sizeof to->at; i++)
        to->at[to->length++] = from[i];
    to->at[to->length] = '\0';
}

/* "Li4E", "Lin3E", "Lb1E": a number of a builtin type. */
static bool read_number(const char **at, text *to)
{
    const char *from = *at + 2;
    const bool is_bool = (*at)[1] == 'b', negative = *from == 'n';
    if (!builtin((*at)[1]))
        return false;
    from += negative;
    const size_t digits = strspn(from, "0123456789");
    if (digits == 0 || from[digits] != 'E')
        return false;
    if (is_bool) {
        const char *word = *from == '1' ? "true" : "false";
        put(to, word, strlen(word));
    } else {
        put(to, "-", negative);
        put(to, from, digits);
    }
    *at = from + digits + 1;
    return true;
}

/* "ILi4EfE": the arguments between I and E; moves past them. */
static bool read_arguments(const char **at, text *to)
{
    put(to, "<", 1);
    for (++*at; **at != 'E';) {
        const char *word, *type = builtin(**at);
        size_t length;
        if (to->at[to->length - 1] != '<')
            put(to, ",", 1);
        if (**at == 'L') {
            if (!read_number(at, to))
                return false;
        } else if (type) {
            put(to, type, strlen(type));
            ++*at;
        } else if (read_word(at, &word, &length)) {
            put(to, word, length);
        } else {
            return false;
        }
    }
    put(to, ">", 1);
    return true;
}

static bool read_name(const char *at, text *to)
{
    const char *word = NULL;
    size_t length = 0;
    if (strncmp(at, "_Z", 2) != 0)
        return false;
    at += 2;
    const bool nested = *at == 'N';
    at += nested;
    at += *at == 'L'; /* of internal linkage */
    do
        if (!read_word(&at, &word, &length))
            return false;
    while (nested && isdigit((unsigned char)*at));
    put(to, word, length);
    const size_t plain = to->length;
    if (*at == 'I' && !read_arguments(&at, to)) {
        to->length = plain;
        put(to, "<...>", 5);
    }
    return true;
}

void pk_kernel_name(char *name, size_t bytes, const char *mangled)
{
    text plain = {.length = 0};
    (void)snprintf(name, bytes, "%s", read_name(mangled, &plain) ? plain.at : mangled);
}
