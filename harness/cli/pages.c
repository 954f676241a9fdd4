/* The pages of a lab: README.md and the further parts beside it, their headings, and what they say of time. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results.h"

/* ---- which files are pages ---- */

/* README.md first, then the other parts by name. Hints and background belong to them, and are none. */
static cli_names pages_of(const cli_lab *lab)
{
    static const char *const none[] = {"README.md", "HINTS.md", "BACKGROUND.md"};
    char *folder = cli_format("%s/labs/%s", cli_source(), lab->name);
    cli_names there = cli_list_folder(folder, "", ".md"), pages = {NULL, 0};
    cli_names_add(&pages, none[0]);
    for (size_t i = 0; i < there.count; i++) {
        bool is_page = true;
        for (size_t j = 0; j < sizeof none / sizeof none[0]; j++)
            is_page = is_page && strcmp(there.names[i], none[j]) != 0;
        if (is_page)
            cli_names_add(&pages, there.names[i]);
    }
    cli_names_free(&there);
    free(folder);
    return pages;
}

static char *page_path(const cli_lab *lab, const char *page)
{
    return cli_format("%s/labs/%s/%s", cli_source(), lab->name, page);
}

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

/* ---- the section of a step ---- */

/* Does the line name the step: lab01.1, which is not in lab01.10? */
static bool names_step(const char *line, const char *id)
{
    const char *end = line + strcspn(line, "\n");
    for (const char *at = strstr(line, id); at && at < end; at = strstr(at + 1, id))
        if (!isdigit((unsigned char)at[strlen(id)]))
            return true;
    return false;
}

/* The anchor that GitHub gives a heading: its letters small, its digits, - and _, blanks as -, all else left out. */
static char *anchor_of(const char *heading)
{
    heading += strspn(heading, "#");
    heading += *heading == ' ';
    const size_t length = strcspn(heading, "\r\n");
    char *anchor = cli_grow(NULL, length + 1, 1);
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)heading[i];
        if (isalnum(c) || c == '-' || c == '_' || c == ' ' || c > 127)
            anchor[used++] = c == ' ' ? '-' : (char)tolower(c);
    }
    anchor[used] = '\0';
    return anchor;
}

/* The heading, below the page's own, of the first section that names the step; NULL when none does. */
static const char *section_naming(const char *page, const char *id)
{
    const char *heading = NULL;
    bool in_code = false;
    for (const char *line = page; *line; line = next_line(line)) {
        in_code ^= !strncmp(line, "```", 3);
        if (!in_code && line[0] == '#')
            heading = line[1] == '#' ? line : NULL;
        if (heading && names_step(line, id))
            return heading;
    }
    return NULL;
}

/* The number of the page whose section explains the step, and the section, "README.md#the-anchor", in *section (NULL:
 * not asked for); pages->count when none does. */
static size_t find_section(const cli_lab *lab, const cli_names *pages, const char *id, char **section)
{
    for (size_t i = 0; i < pages->count; i++) {
        char *path = page_path(lab, pages->names[i]), *page = cli_read_file(path);
        const char *heading = page ? section_naming(page, id) : NULL;
        if (heading && section) {
            char *anchor = anchor_of(heading);
            *section = cli_format("labs/%s/%s#%s", lab->name, pages->names[i], anchor);
            free(anchor);
        }
        free(page);
        free(path);
        if (heading)
            return i;
    }
    return pages->count;
}

char *cli_section_of(const cli_lab *lab, const char *step_id)
{
    cli_names pages = pages_of(lab);
    char *section = NULL;
    if (find_section(lab, &pages, step_id, &section) == pages.count)
        section = cli_format("labs/%s/README.md", lab->name);
    cli_names_free(&pages);
    return section;
}

/* ---- time ---- */

static bool next_word(const char **at, char *word, size_t bytes)
{
    *at += strspn(*at, " \r\n");
    const size_t length = strcspn(*at, " \r\n");
    size_t letters = length;
    while (letters && strchr(":,.;", (*at)[letters - 1]))
        letters--;
    snprintf(word, bytes, "%.*s", (int)letters, *at);
    *at += length;
    return length > 0;
}

static double number_named(const char *word)
{
    static const char *const names[] = {"",      "one",   "two",  "three", "four",   "five",  "six",
                                        "seven", "eight", "nine", "ten",   "eleven", "twelve"};
    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(word, names[i]))
            return (double)i;
    if (!strcmp(word, "half"))
        return 0.5;
    return isdigit((unsigned char)word[0]) ? strtod(word, NULL) : 0;
}

/* "90 minutes", "four hours", "three and a half hours", "an hour and a half", "three quarters of an hour", as the words
 * behind "bout": in minutes; 0 where they say no time. */
static double minutes_said(const char *at)
{
    enum { MOST_WORDS = 7 };
    char word[16];
    double number = 0, unit = 0;
    for (int i = 0; i < MOST_WORDS && next_word(&at, word, sizeof word); i++) {
        if (!strncmp(word, "minute", 6) || !strncmp(word, "hour", 4)) {
            unit = word[0] == 'm' ? 1 : 60;
            number = number > 0 ? number : 1; /* an hour */
            if (!strncmp(at, " and a half", 11))
                number += 0.5;
            break;
        }
        if (!strncmp(word, "quarter", 7))
            number = (number > 0 ? number : 1) / 4;
        else
            number += number_named(word);
    }
    return number * unit;
}

/* What a page says near its beginning: "About four hours: 25 minutes to read, ..." */
static double minutes_of(const char *page)
{
    enum { BEGINNING = 600 };
    const char *about = strstr(page, "About ");
    return about && about - page < BEGINNING ? minutes_said(about + strlen("About")) : 0;
}

cli_minutes cli_minutes_of(const cli_lab *lab, const cli_progress *progress)
{
    cli_names pages = pages_of(lab);
    size_t *all = cli_grow(NULL, pages.count + 1, sizeof *all), *open = cli_grow(NULL, pages.count + 1, sizeof *open);
    memset(all, 0, (pages.count + 1) * sizeof *all);
    memset(open, 0, (pages.count + 1) * sizeof *open);
    for (size_t i = 0; i < progress->steps.count; i++) {
        const size_t page = find_section(lab, &pages, progress->steps.steps[i].id, NULL);
        all[page]++;
        open[page] += progress->states[i] != CLI_PASSED && progress->states[i] != CLI_NOT_CHECKED;
    }
    cli_minutes minutes = {0, 0};
    for (size_t i = 0; i < pages.count; i++) {
        char *path = page_path(lab, pages.names[i]), *page = cli_read_file(path);
        const double said = page ? minutes_of(page) : 0;
        minutes.all += said;
        minutes.left += all[i] ? said * (double)open[i] / (double)all[i] : 0;
        free(page);
        free(path);
    }
    free(open);
    free(all);
    cli_names_free(&pages);
    return minutes;
}
