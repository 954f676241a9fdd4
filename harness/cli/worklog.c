/* The work log's file: read, appended to, filled in. What a run comes to in words is in worklog_words.c. */
#include "worklog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pk/result.h"
#include "quote.h"
#include "worklog_words.h"

static const char *const names[WORK_FIELDS] = {"Measured", "Hypothesis", "Change", "Command", "Result", "Verdict"};

/* ---- reading ---- */

static size_t line_length(const char *line)
{
    return strcspn(line, "\n");
}

static const char *next_line(const char *line)
{
    line += line_length(line);
    return *line ? line + 1 : line;
}

/* The text behind "- Name:" of a field's line, WORK_FIELDS where it is none. */
static work_field field_of(const char *line, const char **value)
{
    for (work_field field = 0; field < WORK_FIELDS; field++) {
        const size_t length = strlen(names[field]);
        if (!strncmp(line, "- ", 2) && !strncmp(line + 2, names[field], length) && line[2 + length] == ':') {
            *value = line + 2 + length + 1;
            return field;
        }
    }
    return WORK_FIELDS;
}

/* Append the rest of the line to the field, without the blanks around it. */
static void append(char **field, const char *from, size_t length)
{
    const size_t blanks = strspn(from, " \t");
    const size_t skip = blanks < length ? blanks : length;
    from += skip;
    length -= skip;
    while (length && strchr(" \t\r", from[length - 1]))
        length--;
    char *longer = cli_format("%s%s%.*s", *field, **field && length ? " " : "", (int)length, from);
    free(*field);
    *field = longer;
}

static void read_fields(work_entry *entry, const char *text)
{
    char **field = NULL;
    for (const char *line = next_line(text + entry->begin); line < text + entry->end; line = next_line(line)) {
        const char *value = line;
        const work_field named = field_of(line, &value);
        if (named < WORK_FIELDS)
            field = &entry->fields[named];
        else if (strncmp(line, "  ", 2) != 0)
            field = NULL;
        if (field)
            append(field, value, line_length(value));
    }
}

static void add_entry(work_log *log, const char *line)
{
    log->entries = cli_grow(log->entries, log->count + 1, sizeof *log->entries);
    work_entry *entry = &log->entries[log->count++];
    *entry = (work_entry){.when = cli_copy("", 0), .begin = (size_t)(line - log->text), .end = strlen(log->text)};
    append(&entry->when, line + 3, line_length(line + 3));
    for (size_t i = 0; i < WORK_FIELDS; i++)
        entry->fields[i] = cli_copy("", 0);
    if (log->count > 1)
        log->entries[log->count - 2].end = entry->begin;
}

pk_status work_log_read(work_log *log, const cli_lab *lab)
{
    *log = (work_log){.path = cli_format("%s/logs/%s.md", cli_source(), lab->id)};
    size_t bytes = 0;
    log->text = cli_read_bytes(log->path, &bytes);
    if (!log->text)
        return errno == ENOENT ? PK_OK
                               : pk_fail(PK_USAGE, "%s cannot be read: %s; mend that, or move it away",
                                         cli_relative(log->path), strerror(errno));
    const size_t line = cli_line_of_no_text(log->text, bytes);
    if (line || strlen(log->text) != bytes)
        return pk_fail(PK_USAGE, "%s is no text in UTF-8 (line %zu); mend that, or move it away",
                       cli_relative(log->path), line);
    for (const char *at = log->text; *at; at = next_line(at))
        if (!strncmp(at, "## ", 3))
            add_entry(log, at);
    for (size_t i = 0; i < log->count; i++)
        read_fields(&log->entries[i], log->text);
    return PK_OK;
}

void work_log_free(work_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        for (size_t j = 0; j < WORK_FIELDS; j++)
            free(log->entries[i].fields[j]);
        free(log->entries[i].when);
    }
    free(log->entries);
    free(log->text);
    free(log->path);
    *log = (work_log){.count = 0};
}

/* ---- writing ---- */

/* Two commands at once lose no entry: who reads to write holds the folder. -1 after pk_fail. */
static int hold_folder(void)
{
    char *folder = cli_format("%s/logs", cli_source());
    int held = -1;
    if (mkdir(folder, 0777) == 0 || errno == EEXIST)
        held = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (held < 0)
        pk_fail(PK_USAGE, "cannot keep a log in %s: %s; check the folder's permissions", cli_relative(folder),
                strerror(errno));
    else
        while (flock(held, LOCK_EX) != 0 && errno == EINTR)
            ;
    free(folder);
    return held;
}

static void put_field(FILE *file, work_field field, const char *value)
{
    (void)fprintf(file, "- %s:%s%s\n", names[field], *value ? " " : "", value);
}

static char *new_entry(const cli_lab *lab, const char *hypothesis, const char *before)
{
    char when[32], *text = NULL, *measured = work_measured_now(lab);
    size_t bytes;
    cli_utc_name(when, sizeof when);
    FILE *file = open_memstream(&text, &bytes);
    if (before && *before)
        (void)fprintf(file, "%s%s\n", before, before[strlen(before) - 1] == '\n' ? "" : "\n");
    else
        (void)fprintf(file, "# Work log of lab %s: %s\n\n", lab->number, lab->title);
    (void)fprintf(file, "## %s\n\n", when);
    for (work_field field = 0; field < WORK_FIELDS; field++)
        put_field(file, field, field == WORK_MEASURED ? measured : field == WORK_HYPOTHESIS ? hypothesis : "");
    (void)fclose(file);
    free(measured);
    return text;
}

/* The text in one line without what could drive a terminal. */
static char *in_one_line(const char *text)
{
    char *plain = cli_plain(text), *line = cli_copy("", 0);
    append(&line, plain, strlen(plain));
    free(plain);
    return line;
}

pk_status work_log_add(const cli_lab *lab, const char *hypothesis)
{
    const int held = hold_folder();
    if (held < 0)
        return PK_USAGE;
    work_log log;
    pk_status status = work_log_read(&log, lab);
    if (status == PK_OK) {
        char *line = in_one_line(hypothesis), *text = new_entry(lab, line, log.text);
        status = pk_write_file(log.path, text, strlen(text));
        free(text);
        free(line);
    }
    work_log_free(&log);
    (void)close(held);
    return status;
}

/* The file's text with the entry's empty fields filled in: at their lines, and at its end where a line is gone. */
static char *filled_in(const work_log *log, const work_entry *entry, char *const values[WORK_FIELDS])
{
    char *text = NULL;
    size_t bytes;
    bool written[WORK_FIELDS] = {false};
    FILE *file = open_memstream(&text, &bytes);
    size_t end = entry->end; /* of what the entry says, without the empty lines behind it */
    while (end > entry->begin && strchr(" \t\r\n", log->text[end - 1]))
        end--;
    (void)fwrite(log->text, 1, entry->begin, file);
    for (const char *line = log->text + entry->begin; line < log->text + end; line = next_line(line)) {
        const char *value;
        const work_field field = field_of(line, &value);
        if (field < WORK_FIELDS && values[field] && !*entry->fields[field] && !written[field]) {
            put_field(file, field, values[field]);
            written[field] = true;
        } else {
            (void)fprintf(file, "%.*s\n", (int)line_length(line), line);
        }
    }
    for (work_field field = 0; field < WORK_FIELDS; field++)
        if (values[field] && !*entry->fields[field] && !written[field])
            put_field(file, field, values[field]);
    const size_t line_end = end + line_length(log->text + end);
    (void)fputs(log->text + line_end + (log->text[line_end] == '\n'), file);
    (void)fclose(file);
    return text;
}

static pk_status fill_last(const work_log *log, const cli_result *result, const char *again, const cli_end *end)
{
    const work_entry *last = &log->entries[log->count - 1];
    char *values[WORK_FIELDS] = {NULL};
    values[WORK_COMMAND] = cli_format("./lab %s", again);
    values[WORK_CHANGE] = work_change(result, last->fields[WORK_MEASURED]);
    values[WORK_RESULT] = work_result(result);
    values[WORK_VERDICT] = work_verdict(result, last->fields[WORK_MEASURED], end);
    char *text = filled_in(log, last, values);
    const pk_status status = pk_write_file(log->path, text, strlen(text));
    if (status == PK_OK)
        cli_say(2, "  noted in %s: %s", cli_relative(log->path), values[WORK_VERDICT]);
    free(text);
    for (size_t i = 0; i < WORK_FIELDS; i++)
        free(values[i]);
    return status;
}

static bool is_kept(const cli_lab *lab)
{
    char *path = cli_format("%s/logs/%s.md", cli_source(), lab->id);
    const bool kept = cli_exists(path);
    free(path);
    return kept;
}

void work_log_fill(const cli_lab *lab, const cli_result *result, const char *again, const cli_end *end)
{
    const int held = is_kept(lab) ? hold_folder() : -1;
    if (held < 0)
        return;
    work_log log;
    pk_status status = work_log_read(&log, lab);
    const bool waits = status == PK_OK && log.count && !*log.entries[log.count - 1].fields[WORK_RESULT];
    if (waits && work_has_judged(result, end))
        status = fill_last(&log, result, again, end);
    else if (waits)
        cli_say(2, "  the last entry of %s waits: this run timed no rung that is right", cli_relative(log.path));
    if (status != PK_OK)
        (void)cli_failed(status);
    work_log_free(&log);
    (void)close(held);
}
