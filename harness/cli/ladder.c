/* Which steps make a variant: what is known of the student's file without compiling it.
 *
 * A lab's .cu files are plain C: a function's signature begins at a line's start, and its body ends with a brace there.
 * A variant is an entry {"name", ...} of PK_VARIANTS that names its functions. So a step belongs to a variant when its
 * function's name is in the entry, or in a function that belongs to it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct span {
    const char *begin;
    size_t length;
} span;

static bool is_name_letter(char letter)
{
    return isalnum((unsigned char)letter) || letter == '_';
}

static bool has_word(span text, span word)
{
    if (!word.length)
        return false;
    for (size_t i = 0; i + word.length <= text.length; i++) {
        const char *at = text.begin + i;
        bool starts = i == 0 || !is_name_letter(at[-1]);
        bool ends = i + word.length == text.length || !is_name_letter(at[word.length]);
        if (starts && ends && !memcmp(at, word.begin, word.length))
            return true;
    }
    return false;
}

/* The next function or list from `from` on: up to and with the line that begins with a brace. Length 0 at the end. */
static span next_function(const char *from)
{
    const char *end = strstr(from, "\n}");
    return (span){from, end ? (size_t)(end + 2 - from) : 0};
}

/* A function's name: the word before the parentheses that its body's brace, alone on its line, follows. */
static span name_of(span function)
{
    const char *at = memmem(function.begin, function.length, "\n{", 2);
    int deep = 0;
    while (at && at > function.begin && (isspace((unsigned char)*at) || deep || *at == ')')) {
        deep += (*at == ')') - (*at == '(');
        if (*at == '(' && deep == 0)
            break;
        at--;
    }
    size_t length = 0;
    while (at && *at == '(' && at - length > function.begin && is_name_letter(*(at - length - 1)))
        length++;
    return length ? (span){at - length, length} : (span){NULL, 0};
}

/* The text with blanks for its comments, in new memory: a name in a remark is no use of it. */
static char *without_comments(const char *source)
{
    char *text = cli_copy(source, strlen(source));
    for (char *at = strstr(text, "/*"); at; at = strstr(at, "/*"))
        for (const char *end = strstr(at + 2, "*/"); *at && (!end || at < end + 2); at++)
            *at = *at == '\n' ? '\n' : ' ';
    for (char *at = strstr(text, "//"); at; at = strstr(at, "//"))
        memset(at, ' ', strcspn(at, "\n"));
    return text;
}

static span function_around(const char *source, size_t at)
{
    span function = next_function(source);
    while (function.length && (size_t)(function.begin + function.length - source) <= at)
        function = next_function(function.begin + function.length);
    return function;
}

/* The entry of the list of variants: from its name to its closing brace. */
static span entry_of(const char *source, const char *variant)
{
    const char *list = strstr(source, "PK_VARIANTS(");
    char *start = cli_format("{\"%s\"", variant);
    const char *entry = list ? strstr(list, start) : NULL;
    free(start);
    return (span){entry, entry ? strcspn(entry, "}") : 0};
}

/* Is the function named in the entry, or in a function that is? `deep` ends what calls itself. */
static bool is_reached(const char *source, span name, span entry, int deep)
{
    if (has_word(entry, name))
        return true;
    for (span caller = next_function(source); caller.length && deep;
         caller = next_function(caller.begin + caller.length)) {
        span caller_name = name_of(caller);
        bool itself = caller_name.length == name.length && !memcmp(caller_name.begin, name.begin, name.length);
        if (caller_name.length && !itself && has_word(caller, name) && is_reached(source, caller_name, entry, deep - 1))
            return true;
    }
    return false;
}

bool cli_step_is_of(const char *source, const cli_step *step, const char *variant)
{
    enum { DEEPEST = 4 }; /* a variant's function, a helper of it, its kernel, a helper of that */
    if (step->begin == 0 || step->begin > strlen(source))
        return false;
    char *code = without_comments(source);
    span entry = entry_of(code, variant);
    span name = name_of(function_around(code, step->begin));
    bool is_of = entry.length && name.length && is_reached(code, name, entry, DEEPEST);
    free(code);
    return is_of;
}
