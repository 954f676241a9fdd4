/* A submission's files: which of a lab's it has, and what is taken of them. Nothing in them is run here. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "grade.h"
#include "grade_source.h"
#include "quote.h"

enum { MOST_BYTES = 1 << 20 /* of a file: a student's has some 300 lines */ };

/* A file of the submission's own: no link that leads out of its folder. */
static bool is_its_own(const char *folder, const char *path)
{
    char root[PATH_MAX], real[PATH_MAX];
    const size_t length = realpath(folder, root) ? strlen(root) : 0;
    struct stat about;
    return length > 0 && realpath(path, real) && !strncmp(real, root, length) && (real[length] == '/' || length == 1) &&
           stat(real, &about) == 0 && S_ISREG(about.st_mode);
}

/* Where a submission may have a file of the lab: as a fork has it, as the lab's folder alone, or by itself. */
static char *place_of(const char *folder, const cli_lab *lab, const char *file, int place)
{
    switch (place) {
    case 0:
        return cli_format("%s/labs/%s/%s", folder, lab->name, file);
    case 1:
        return cli_format("%s/%s/%s", folder, lab->name, file);
    case 2:
        return cli_format("%s/%s/%s", folder, lab->id, file);
    default:
        return cli_format("%s/%s", folder, file);
    }
}

/* One that lies by itself may be another lab's: its steps say. */
static bool is_of_lab(const char *text, const cli_lab *lab)
{
    char *mark = cli_format("/* STEP %s.", lab->id);
    const bool is = strstr(text, mark) != NULL;
    free(mark);
    return is;
}

static pk_status read_its_own(const char *folder, const char *path, char **text)
{
    size_t bytes = 0;
    struct stat about;
    if (!is_its_own(folder, path))
        return pk_fail(PK_USAGE, "%s is no file of the submission's own: a link leads out of its folder", path);
    if (stat(path, &about) != 0 || about.st_size > MOST_BYTES)
        return pk_fail(PK_USAGE, "%s has more than %d bytes", path, MOST_BYTES);
    *text = cli_read_bytes(path, &bytes);
    if (!*text)
        return pk_fail(PK_USAGE, "%s: cannot read: %s", path, strerror(errno));
    const size_t line = cli_line_of_no_text(*text, bytes);
    return line ? pk_fail(PK_USAGE, "%s:%zu: is no text", path, line) : PK_OK;
}

/* The submission's text of a lab's file; NULL and PK_OK where it has none. */
static pk_status find_text(grade_lab *graded, const char *folder, const char *file, char **text)
{
    enum { PLACES = 4, ALONE = PLACES - 1 };
    pk_status status = PK_OK;
    *text = NULL;
    for (int place = 0; place < PLACES && !*text && status == PK_OK; place++) {
        char *path = place_of(folder, graded->lab, file, place);
        struct stat about;
        if (lstat(path, &about) == 0 && !S_ISDIR(about.st_mode))
            status = read_its_own(folder, path, text);
        if (*text && place == ALONE && !is_of_lab(*text, graded->lab)) {
            free(*text);
            *text = NULL;
        }
        if (*text)
            cli_names_add(&graded->files, path);
        free(path);
    }
    return status;
}

static pk_status take_file(grade_lab *graded, const char *folder, const char *file, char **made)
{
    char *theirs = NULL, *solution = cli_solution_file(graded->lab, file),
         *shipped = cli_student_file(graded->lab, file);
    char *ours = cli_read_file(solution);
    pk_status status = ours ? find_text(graded, folder, file, &theirs)
                            : pk_fail(PK_USAGE, "%s: cannot read: %s", solution, strerror(errno));
    if (status == PK_OK && theirs)
        status = grade_take_steps(file, ours, theirs, made);
    else if (status == PK_OK && !(*made = cli_read_file(shipped)))
        status = pk_fail(PK_USAGE, "%s: cannot read: %s", shipped, strerror(errno));
    free(theirs);
    free(ours);
    free(solution);
    free(shipped);
    return status;
}

/* `## ` headings of the work log, if there is one. */
static int count_entries(const char *folder, const cli_lab *lab)
{
    char *path = cli_format("%s/logs/%s.md", folder, lab->id), *text = NULL;
    int entries = -1;
    if (cli_exists(path) && read_its_own(folder, path, &text) == PK_OK && text) {
        entries = !strncmp(text, "## ", 3);
        for (const char *at = strstr(text, "\n## "); at; at = strstr(at + 1, "\n## "))
            entries++;
    }
    free(text);
    free(path);
    return entries;
}

/* Files that a submission does not have are as shipped: their steps are open. */
void grade_take(grade_lab *graded, const char *folder)
{
    cli_names files = cli_lab_files(graded->lab);
    pk_source *sources = cli_grow(NULL, files.count, sizeof *sources);
    pk_status status = PK_OK;
    size_t count = 0;
    graded->texts = cli_grow(NULL, files.count + 1, sizeof *graded->texts);
    memset(graded->texts, 0, (files.count + 1) * sizeof *graded->texts);
    for (; count < files.count && status == PK_OK; count++)
        status = take_file(graded, folder, files.names[count], &graded->texts[count]);
    graded->log_entries = count_entries(folder, graded->lab);
    graded->status = status == PK_OK ? "graded" : "refused";
    if (status != PK_OK) {
        graded->reason = cli_plain(pk_error_text());
    } else {
        for (size_t i = 0; i < count; i++)
            sources[i] = (pk_source){files.names[i], graded->texts[i]};
        graded->steps = pk_find_steps(sources, count);
        if (graded->files.count == 0)
            graded->status = "not submitted";
    }
    free(sources);
    cli_names_free(&files);
}
