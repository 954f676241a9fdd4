/* `log`: the work log of a lab: an entry is added, or all are printed as a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "quote.h"
#include "worklog.h"

/* The words behind the lab as one text: a text of several words that was not quoted is one all the same. */
static char *text_of(int count, char **words)
{
    char *text = cli_copy("", 0);
    for (int i = 0; i < count; i++) {
        char *longer = cli_format("%s%s%s", text, i ? " " : "", words[i]);
        free(text);
        text = longer;
    }
    return text;
}

/* An option is one word; a text that begins with the name of one has more. */
static const char *option_among(int count, char **words)
{
    for (int i = 0; i < count; i++)
        if (words[i][0] == '-' && words[i][1] == '-' && !strchr(words[i], ' '))
            return words[i];
    return NULL;
}

/* ---- the table ---- */

enum { COLUMNS = 5 };

static void add_row(pk_table *table, size_t number, const work_entry *entry)
{
    char *cells[COLUMNS] = {cli_format("%zu", number)};
    static const work_field shown[] = {WORK_MEASURED, WORK_HYPOTHESIS, WORK_CHANGE};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        /* Without the file's path, which is for the next entry to be compared with. */
        const char *text = entry->fields[shown[i]],
                   *path = shown[i] == WORK_MEASURED ? strstr(text, " (results/") : NULL;
        char *field = cli_copy(text, path ? (size_t)(path - text) : strlen(text));
        cells[1 + i] = cli_plain(field);
        free(field);
    }
    const char *result = entry->fields[WORK_RESULT], *verdict = entry->fields[WORK_VERDICT];
    char *came = *result || *verdict ? cli_format("%s%s%s", result, *result && *verdict ? "; " : "", verdict)
                                     : cli_copy("not run yet", 11);
    cells[4] = cli_plain(came);
    free(came);
    pk_table_row(table, (const char *const *)cells);
    for (size_t i = 0; i < COLUMNS; i++)
        free(cells[i]);
}

static pk_status print_log(const cli_lab *lab)
{
    work_log log;
    pk_status status = work_log_read(&log, lab);
    if (status == PK_OK && !log.count)
        status = pk_fail(PK_USAGE,
                         "%s has no entry yet; write one before a run: ./lab log %s \"what I changed and expected\"",
                         cli_relative(log.path), lab->number);
    if (status == PK_OK) {
        pk_table *table = pk_table_new(COLUMNS, 0);
        pk_table_row(table, (const char *[]){"", "measured", "hypothesis", "change", "result and verdict"});
        for (size_t i = 0; i < log.count; i++)
            add_row(table, i + 1, &log.entries[i]);
        pk_table_print(table, stdout, cli_width(), pk_use_colour(stdout));
        pk_table_free(table);
        cli_say(0, "\nThe commands, and room for more, are in %s", cli_relative(log.path));
    }
    work_log_free(&log);
    return status;
}

/* ---- the command ---- */

static pk_status add_entry(const cli_lab *lab, int count, char **words)
{
    char *text = text_of(count, words);
    pk_status status = PK_OK;
    if (text[strspn(text, " \t\r\n")] == '\0')
        status = pk_fail(PK_USAGE,
                         "the text is empty; say what you changed and expect: ./lab log %s \"one sync a token, "
                         "so a third of the time\"",
                         lab->number);
    else
        status = work_log_add(lab, text);
    if (status == PK_OK)
        cli_say(2, "Written to logs/%s.md. The next run fills it in: ./lab run %s", lab->id, lab->number);
    free(text);
    return status;
}

int cmd_log(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-')
        return cli_failed(pk_fail(PK_USAGE, "log needs a lab's number first: ./lab log 01"));
    const char *option = option_among(argc - 2, argv + 2);
    if (option)
        return cli_failed(pk_fail(PK_USAGE,
                                  "log takes no option '%s'; a text that begins so goes in quotes with what "
                                  "follows it",
                                  option));
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, argv[1]);
    pk_status status = !lab ? PK_USAGE : argc > 2 ? add_entry(lab, argc - 2, argv + 2) : print_log(lab);
    cli_labs_free(&labs);
    return status == PK_OK ? 0 : cli_failed(status);
}
