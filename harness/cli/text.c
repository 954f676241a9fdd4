/* Strings, files and folders for the commands. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "pk/host.h"

void *cli_grow(void *memory, size_t count, size_t element_bytes)
{
    void *grown = count <= (size_t)-1 / element_bytes ? realloc(memory, count * element_bytes) : NULL;
    if (!grown) {
        fputs("lab: memory is out; close other programs and try again\n", stderr);
        exit(pk_exit_code(PK_USAGE));
    }
    return grown;
}

char *cli_copy(const char *text, size_t length)
{
    char *copy = cli_grow(NULL, length + 1, 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *cli_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    size_t bytes = length < 0 ? 1 : (size_t)length + 1;
    char *text = cli_grow(NULL, bytes, 1);
    text[0] = '\0';
    va_start(arguments, format);
    (void)vsnprintf(text, bytes, format, arguments);
    va_end(arguments);
    return text;
}

char *cli_read_bytes(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    size_t length = 0, capacity = 1 << 14;
    char *text = cli_grow(NULL, capacity, 1);
    size_t got;
    while ((got = fread(text + length, 1, capacity - length - 1, file)) > 0) {
        length += got;
        if (capacity - length <= 1)
            text = cli_grow(text, capacity *= 2, 1);
    }
    text[length] = '\0';
    int failed = ferror(file) ? errno : 0; /* a folder opens, and then cannot be read */
    fclose(file);
    if (failed) {
        free(text);
        errno = failed;
        return NULL;
    }
    *bytes = length;
    return text;
}

char *cli_read_file(const char *path)
{
    size_t bytes;
    return cli_read_bytes(path, &bytes);
}

bool cli_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool cli_is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

char *cli_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? cli_copy(path, slash == path ? 1 : (size_t)(slash - path)) : cli_copy(".", 1);
}

void cli_names_add(cli_names *list, const char *name)
{
    list->names = cli_grow(list->names, list->count + 1, sizeof *list->names);
    list->names[list->count++] = cli_copy(name, strlen(name));
}

bool cli_names_has(const cli_names *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->names[i], name))
            return true;
    return false;
}

void cli_names_free(cli_names *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    *list = (cli_names){NULL, 0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void cli_names_sort(cli_names *list)
{
    if (list->count)
        qsort(list->names, list->count, sizeof *list->names, by_name);
}

static bool has_affixes(const char *name, const char *prefix, const char *suffix)
{
    size_t length = strlen(name), suffix_length = strlen(suffix);
    return length >= strlen(prefix) + suffix_length && strncmp(name, prefix, strlen(prefix)) == 0 &&
           strcmp(name + length - suffix_length, suffix) == 0;
}

cli_names cli_list_folder(const char *folder, const char *prefix, const char *suffix)
{
    cli_names list = {NULL, 0};
    DIR *stream = opendir(folder);
    if (!stream)
        return list;
    struct dirent *entry;
    while ((entry = readdir(stream)) != NULL)
        if (entry->d_name[0] != '.' && has_affixes(entry->d_name, prefix, suffix))
            cli_names_add(&list, entry->d_name);
    closedir(stream);
    cli_names_sort(&list);
    return list;
}

void cli_utc_name(char *text, size_t bytes)
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, bytes, "%Y-%m-%dT%H%M%SZ", &utc);
}

/* ---- prose ---- */

static size_t width_of(FILE *out)
{
    const size_t terminal = pk_text_width(out);
    return terminal ? terminal : CLI_WIDTH;
}

size_t cli_width(void)
{
    return width_of(stdout);
}

static bool begins_letter(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80; /* no further byte of a UTF-8 letter */
}

/* Bytes of the text, which has no newline in the first `length`, that fit on a line: to a blank, or to the end. */
static size_t fitting(const char *text, size_t length, size_t columns)
{
    size_t column = 0, cut = 0, i = strspn(text, " ");
    for (column = i; i < length; i++) {
        if (text[i] == ' ') {
            if (cut && column > columns)
                break;
            cut = i;
            if (column > columns)
                break;
        }
        column += begins_letter(text[i]);
    }
    return i == length && (column <= columns || !cut) ? length : cut;
}

void cli_wrap(FILE *out, size_t width, size_t indent, const char *text)
{
    do {
        size_t length = strcspn(text, "\n"), before = 0;
        do {
            size_t columns = width > before ? width - before : 1;
            size_t bytes = fitting(text, length, columns), printed = bytes;
            while (printed && text[printed - 1] == ' ')
                printed--;
            fprintf(out, "%*s%.*s\n", printed ? (int)before : 0, "", (int)printed, text);
            while (bytes < length && text[bytes] == ' ')
                bytes++;
            text += bytes;
            length -= bytes;
            before = indent;
        } while (length);
        text += *text == '\n';
    } while (*text);
}

void cli_say(size_t indent, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length >= 0)
        cli_wrap(stdout, cli_width(), indent, text);
    free(length >= 0 ? text : NULL);
}

int cli_failed(pk_status status)
{
    char *message = cli_format("lab: %s", pk_error_text());
    cli_wrap(stderr, width_of(stderr), strlen("lab: "), message);
    free(message);
    return pk_exit_code(status);
}
