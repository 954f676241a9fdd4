/* `list`: the labs, their variants and steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "pk/host.h"

/* The solution's program knows all variants, where there is none the student's. */
static void list_variants(pk_table *table, const cli_lab *lab)
{
    cli_variants all = cli_variants_of(lab, cli_has_solution(lab) ? "solution" : "optimized");
    if (!all.count)
        pk_table_row(table, (const char *[]){lab->number, "program", "", "not built: ./lab run builds it"});
    for (size_t i = 0; i < all.count; i++) {
        const cli_variant *variant = &all.variants[i];
        char *what = cli_format("%s%s%s", variant->summary, *variant->options ? "; " : "", variant->options);
        pk_table_row(table, (const char *[]){lab->number, variant->role, variant->name, what});
        free(what);
    }
    cli_variants_free(&all);
}

/* Each step under the file that it is in. */
static void list_steps(pk_table *table, const cli_lab *lab, const pk_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        const pk_step *step = &steps->steps[i];
        char *path = cli_student_file(lab, step->file);
        if (i == 0 || strcmp(step->file, steps->steps[i - 1].file) != 0)
            pk_table_row(table, (const char *[]){lab->number, "file", step->file, cli_relative(path)});
        pk_table_row(table, (const char *[]){lab->number, "step", step->id, step->title});
        free(path);
    }
}

int cmd_list(int argc, char **argv)
{
    size_t words;
    pk_status status = cli_parse(argc, argv, NULL, 0, NULL, 0, &words);
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    pk_table *table = pk_table_new(4, 0);
    pk_table_row(table, (const char *[]){"lab", "part", "name", "what it is"});
    for (size_t i = 0; i < labs.count; i++) {
        const cli_lab *lab = &labs.labs[i];
        pk_steps steps = cli_student_steps(lab);
        pk_table_row(table, (const char *[]){lab->number, "page", lab->title, lab->name});
        list_variants(table, lab);
        list_steps(table, lab, &steps);
        pk_steps_free(&steps);
    }
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    if (labs.count)
        cli_say(0, "\nBegin with labs/%s/README.md, then ./lab status", labs.labs[0].name);
    cli_labs_free(&labs);
    return 0;
}
