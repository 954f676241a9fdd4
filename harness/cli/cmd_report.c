/* `report`: results as Markdown on the standard output, to paste into a write-up; or a whole report in a folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "quote.h"
#include "report.h"

/* ---- which results ---- */

pk_status report_add_group(report_files *files, const cli_together *group)
{
    files->results = cli_grow(files->results, files->count + 1, sizeof *files->results);
    pk_status status = cli_result_load_group(&files->results[files->count], group);
    files->count += status == PK_OK;
    return status;
}

static pk_status load_groups(report_files *files)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < files->groups.count && status == PK_OK; i++)
        status = report_add_group(files, &files->groups.groups[i]);
    return status;
}

/* Of each lab the result that its student wants to see, wherever it was written. What was chosen is said in `*said`, a
 * line for each. */
static pk_status choose(report_files *files, cli_names *said)
{
    cli_labs labs = cli_find_labs();
    for (size_t i = 0; i < labs.count; i++) {
        cli_choice choice = cli_choose_result(labs.labs[i].id);
        if (choice.path) {
            cli_groups_add_beside(&files->groups, choice.path);
            cli_names_add(said, choice.said);
        }
        cli_choice_free(&choice);
    }
    cli_labs_free(&labs);
    return files->groups.count ? load_groups(files) : cli_no_results();
}

void report_free_files(report_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        cli_result_free(&files->results[i]);
    free(files->results);
    cli_groups_free(&files->groups);
}

/* ---- what is written ---- */

static void print_results(const report_files *files, const cli_names *said, bool all)
{
    for (size_t i = 0; i < files->count; i++) {
        page *to = page_new();
        report_result(to, &files->results[i], all);
        if (i < said->count) {
            cli_say(0, "%s", said->names[i]);
            putchar('\n');
        }
        page_put_markdown(to, stdout, cli_width());
        page_free(to);
    }
    page *logs = page_new();
    report_logs(logs, files);
    page_put_markdown(logs, stdout, cli_width());
    page_free(logs);
}

/* "./lab report results/... --out=..." as a shell reads it. Which files are chosen without words changes with time: the
 * lines below it name them. In new memory. */
static char *command_again(const report_files *files, int argc, char **argv, bool chosen)
{
    char *line = cli_copy("./lab report", strlen("./lab report"));
    for (int i = 1; i < argc; i++) {
        char *word = cli_shell_word(argv[i]), *longer = cli_format("%s %s", line, word);
        free(word);
        free(line);
        line = longer;
    }
    for (size_t i = 0; chosen && i < files->count; i++) {
        char *word = cli_shell_word(cli_relative(files->results[i].path));
        char *longer = cli_format("%s%s%s", line, i ? "\n# " : "\n# which chose\n# ", word);
        free(word);
        free(line);
        line = longer;
    }
    return line;
}

static pk_status read_formats(const char *text, report_wanted *wanted)
{
    static const char *const names[] = {"html", "md"};
    for (const char *from = text;; from++) {
        const size_t length = strcspn(from, ",");
        if (length == 4 && !strncmp(from, "html", length)) {
            wanted->html = true;
        } else if (length == 2 && !strncmp(from, "md", length)) {
            wanted->markdown = true;
        } else {
            char *word = cli_copy(from, length);
            const char *nearest = pk_nearest(word, names, PK_COUNT(names));
            pk_fail(PK_USAGE, "--format: '%s' is neither html nor md%s%s%s; --format=html,md is what it is without",
                    word, nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
            free(word);
            return PK_USAGE;
        }
        from += length;
        if (!*from)
            return PK_OK;
    }
}

int cmd_report(int argc, char **argv)
{
    const char *words[CLI_MOST_FILES], *formats = NULL;
    report_wanted wanted = {0};
    cli_option options[] = {
        {"--all", NULL, &wanted.all}, {"--out", &wanted.folder, NULL}, {"--format", &formats, NULL}};
    size_t count;
    report_files files = {NULL, {NULL, 0}, 0};
    cli_names said = {NULL, 0};
    pk_status status = cli_parse(argc, argv, options, PK_COUNT(options), words, CLI_MOST_FILES, &count);
    if (status == PK_OK && formats && !wanted.folder)
        status = pk_fail(PK_USAGE, "--format is of a whole report, which goes into a folder: --out=FOLDER");
    if (status == PK_OK)
        status = read_formats(formats ? formats : "html,md", &wanted);
    if (status == PK_OK && count)
        status = cli_result_groups(words, count, &files.groups);
    if (status == PK_OK)
        status = count ? load_groups(&files) : choose(&files, &said);
    if (status == PK_OK && wanted.folder) {
        char *again = command_again(&files, argc, argv, !count);
        for (size_t i = 0; i < said.count; i++)
            cli_say(2, "%s", said.names[i]);
        wanted.command = again;
        status = report_write(&files, &wanted);
        free(again);
    } else if (status == PK_OK) {
        print_results(&files, &said, wanted.all);
    }
    cli_names_free(&said);
    report_free_files(&files);
    return status == PK_OK ? 0 : cli_failed(status);
}
