/* The variants that a lab's built program knows. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char *field(char **rest)
{
    char *begin = *rest ? *rest : "";
    *rest = *rest ? strchr(*rest, '\t') : NULL;
    if (*rest)
        *(*rest)++ = '\0';
    return begin;
}

/* It prints "role<TAB>name<TAB>summary[<TAB>options]" for each. */
cli_variants cli_variants_of(const cli_lab *lab, const char *role)
{
    cli_variants all = {NULL, NULL, 0};
    char *program = cli_format("%s/bin/%s_%s", cli_build(), lab->id, role), *rest = NULL;
    char *arguments[] = {program, "--list", NULL};
    if (cli_exists(program) && cli_capture(arguments, &all.text) == 0)
        for (char *line = strtok_r(all.text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            const char *of = field(&line), *name = field(&line), *summary = field(&line), *options = field(&line);
            if (!*summary)
                continue;
            all.variants = cli_grow(all.variants, all.count + 1, sizeof *all.variants);
            all.variants[all.count++] = (cli_variant){of, name, summary, options};
        }
    free(program);
    return all;
}

void cli_variants_free(cli_variants *all)
{
    free(all->variants);
    free(all->text);
    *all = (cli_variants){NULL, NULL, 0};
}

char *cli_options_of(const cli_lab *lab, const pk_step *step)
{
    cli_variants all = cli_variants_of(lab, "optimized");
    if (!all.count) { /* not built yet: the solution's has the same ones */
        cli_variants_free(&all);
        all = cli_variants_of(lab, "solution");
    }
    const char *options = "";
    for (size_t i = 0; i < all.count; i++)
        if (!strcmp(all.variants[i].role, "ladder") && pk_step_is_of(step, all.variants[i].name)) {
            options = all.variants[i].options;
            break;
        }
    char *found = cli_copy(options, strlen(options));
    cli_variants_free(&all);
    return found;
}
