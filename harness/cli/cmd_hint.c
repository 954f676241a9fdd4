/* `hint`: one more hint for a step each time it is asked for.
 *
 * labs/labNN_name/HINTS.md is Markdown that reads well by itself:
 *
 *     # Hints for lab 01
 *     ## lab01.1                  a section for each step, in any order; words after the id are its title
 *     ### Hint 1                  levels 1, 2, 3 ... in order, from a nudge to nearly the code
 *     text up to the next heading of level 2 or 3
 *
 * Headings inside ``` fences are text. How far one has read is kept in .lab-progress in the repository's root,
 * plain text with a line a step, "hint lab01.1 2"; a line that is not of this form is kept as it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "results.h"

/* ---- HINTS.md ---- */

typedef struct hints {
    const char *begin[10]; /* [level]: its text; NULL where there is none */
    size_t length[10];
    int levels; /* the highest */
} hints;

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

static bool is_heading_of(const char *line, const char *step)
{
    size_t length = strlen(step);
    return !strncmp(line, "## ", 3) && !strncmp(line + 3, step, length) && strchr(" \t\r\n:", line[3 + length]);
}

static int level_of(const char *line)
{
    static const char heading[] = "### Hint ";
    if (strncmp(line, heading, sizeof heading - 1) != 0)
        return 0;
    char digit = line[sizeof heading - 1];
    return digit >= '1' && digit <= '9' ? digit - '0' : 0;
}

static hints find_hints(const char *page, const char *step)
{
    hints found = {{NULL}, {0}, 0};
    bool in_section = false, in_code = false;
    int level = 0;
    for (const char *line = page; *line; line = next_line(line)) {
        in_code ^= !strncmp(line, "```", 3);
        bool heading = !in_code && (!strncmp(line, "## ", 3) || !strncmp(line, "### ", 4));
        if (heading) {
            level = 0;
            if (line[2] == ' ')
                in_section = is_heading_of(line, step);
            else if (in_section && (level = level_of(line)) > 0) {
                found.begin[level] = next_line(line);
                found.levels = level > found.levels ? level : found.levels;
            }
        } else if (level) {
            found.length[level] = (size_t)(next_line(line) - found.begin[level]);
        }
    }
    return found;
}

/* ---- .lab-progress ---- */

static char *progress_path(void)
{
    return cli_format("%s/.lab-progress", cli_source());
}

static int level_read(const char *progress, const char *step)
{
    for (const char *line = progress; line && *line; line = next_line(line)) {
        char name[32];
        int level;
        if (sscanf(line, "hint %31s %d", name, &level) == 2 && !strcmp(name, step))
            return level;
    }
    return 0;
}

static pk_status remember(const char *path, const char *progress, const char *step, int level)
{
    char *prefix = cli_format("hint %s ", step), *text = cli_copy("", 0);
    for (const char *line = progress; line && *line; line = next_line(line)) {
        if (!strncmp(line, prefix, strlen(prefix)))
            continue;
        char *longer = cli_format("%s%.*s\n", text, (int)strcspn(line, "\n"), line);
        free(text);
        text = longer;
    }
    char *whole = cli_format("%s%s%d\n", text, prefix, level);
    pk_status status = pk_write_file(path, whole, strlen(whole));
    free(whole);
    free(text);
    free(prefix);
    return status;
}

/* ---- the command ---- */

/* The first step whose rung hangs, faults or is wrong, in new memory; NULL where there is none. */
static char *first_bad_step(const cli_lab *lab)
{
    cli_progress progress = cli_progress_of(lab);
    char *id = NULL;
    for (size_t i = 0; i < progress.steps.count && !id; i++) {
        const cli_state state = progress.states[i];
        if (state == CLI_HANGS || state == CLI_FAULTS || state == CLI_WRONG)
            id = cli_copy(progress.steps.steps[i].id, strlen(progress.steps.steps[i].id));
    }
    cli_progress_free(&progress);
    return id;
}

/* The step that "01.2", "lab01.2" or "01" (its first open step, else its first bad one) means: "lab01.2" in new memory;
 * NULL with an error. */
static char *step_named(const cli_lab *lab, const char *word)
{
    const char *dot = strchr(word, '.');
    char *files = cli_student_files(lab), *id = NULL;
    pk_steps steps = cli_marked_steps(lab);
    const pk_step *chosen = NULL;
    for (size_t i = 0; i < steps.count; i++) {
        const char *number = strchr(steps.steps[i].id, '.');
        if (dot ? number && !strcmp(number, dot) : steps.steps[i].open && !chosen)
            chosen = &steps.steps[i];
    }
    if (chosen)
        id = cli_copy(chosen->id, strlen(chosen->id));
    else if (!steps.count)
        pk_fail(PK_USAGE, "no steps are marked in %s; ./lab reset %s restores them", files, lab->number);
    else if (!dot && (id = first_bad_step(lab)) == NULL)
        pk_fail(PK_USAGE, "no step of %s is open; name the one that you mean: ./lab hint %s", lab->id,
                steps.steps[0].id + strlen("lab"));
    else if (dot)
        pk_fail(PK_USAGE, "%s has no step '%s'; its steps are %s to %s", lab->id, word, steps.steps[0].id + 3,
                steps.steps[steps.count - 1].id + 3);
    pk_steps_free(&steps);
    free(files);
    return id;
}

/* ---- Markdown on a terminal ---- */

/* Columns before the text of a list's entry, "- " or "2. "; 0 when the line begins none. */
static size_t entry_indent(const char *line)
{
    size_t digits = strspn(line, "0123456789");
    if ((*line == '-' || *line == '*') && line[1] == ' ')
        return 2;
    return digits && line[digits] == '.' && line[digits + 1] == ' ' ? digits + 2 : 0;
}

static bool begins_paragraph(const char *line)
{
    return *line == '\n' || *line == '\r' || *line == '|' || *line == '#' || entry_indent(line) ||
           !strncmp(line, "```", 3);
}

/* The paragraph at `line`, its lines joined; *next is what follows it. */
static char *joined(const char *line, const char **next)
{
    char *text = cli_copy(line, strcspn(line, "\r\n"));
    for (line = next_line(line); *line && !begins_paragraph(line); line = next_line(line)) {
        line += strspn(line, " ");
        char *longer = cli_format("%s %.*s", text, (int)strcspn(line, "\r\n"), line);
        free(text);
        text = longer;
    }
    *next = line;
    return text;
}

/* Paragraphs are filled to the terminal's width; code stays as it is. */
static void print_markdown(const char *page)
{
    bool in_code = false;
    while (*page) {
        bool fence = !strncmp(page, "```", 3);
        if (in_code || fence || *page == '\n' || *page == '\r') {
            printf("%.*s\n", (int)strcspn(page, "\r\n"), page);
            in_code ^= fence;
            page = next_line(page);
        } else {
            size_t indent = entry_indent(page);
            char *text = joined(page, &page);
            cli_say(indent, "%s", text);
            free(text);
        }
    }
}

static void print_hint(const cli_lab *lab, const hints *found, const char *step, int level)
{
    const char *text = found->begin[level];
    size_t length = found->length[level];
    while (length && strchr("\r\n", *text)) {
        text++;
        length--;
    }
    while (length && strchr("\r\n ", text[length - 1]))
        length--;
    printf("%s, hint %d of %d\n\n", step, level, found->levels);
    char *body = cli_copy(text, length);
    print_markdown(body);
    free(body);
    char *section = cli_section_of(lab, step);
    cli_say(0, "\nThe page: %s", section);
    free(section);
    if (level < found->levels)
        cli_say(0, "More: ./lab hint %s", step + 3);
    else
        cli_say(0, "That was the last hint. The solution's step: ./lab solution %s --anyway", step + 3);
}

static pk_status show(const cli_lab *lab, const char *step, const char *wanted)
{
    char *page_path = cli_format("%s/labs/%s/HINTS.md", cli_source(), lab->name);
    char *page = cli_read_file(page_path), *path = progress_path(), *progress = cli_read_file(path);
    hints found = page ? find_hints(page, step) : (hints){{NULL}, {0}, 0};
    long long level = level_read(progress, step) + 1;
    pk_status status = PK_OK;
    if (found.levels == 0)
        status = pk_fail(PK_USAGE, "no hints for %s in %s; read the lab's page, labs/%s/README.md", step,
                         cli_relative(page_path), lab->name);
    else if (wanted)
        status = pk_parse_integer(&level, "--level", wanted, 1, found.levels);
    else if (level > found.levels)
        level = found.levels;
    if (status == PK_OK && !found.begin[level])
        status =
            pk_fail(PK_USAGE, "%s has no hint %lld; its section for %s skips it", cli_relative(page_path), level, step);
    if (status == PK_OK) {
        print_hint(lab, &found, step, (int)level);
        if (level > level_read(progress, step))
            status = remember(path, progress, step, (int)level);
    }
    free(progress);
    free(path);
    free(page);
    free(page_path);
    return status;
}

int cmd_hint(int argc, char **argv)
{
    const char *level = NULL, *word = NULL;
    cli_option options[] = {{"--level", &level, NULL}};
    size_t words;
    pk_status status = cli_parse(argc, argv, options, 1, &word, 1, &words);
    if (status == PK_OK && !words)
        status = pk_fail(PK_USAGE, "hint needs a step: ./lab hint 01.1");
    if (status != PK_OK)
        return cli_failed(status);
    char *lab_word = cli_copy(word, strcspn(word, "."));
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, lab_word);
    char *step = lab ? step_named(lab, word) : NULL;
    status = step ? show(lab, step, level) : PK_USAGE;
    free(step);
    cli_labs_free(&labs);
    free(lab_word);
    return status == PK_OK ? 0 : cli_failed(status);
}
