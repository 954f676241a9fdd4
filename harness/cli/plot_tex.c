/* What stands below a figure in a page, and the figure as LaTeX takes it: \input{lab01-speedup}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"

char *plot_caption(const plot_drawing *drawing)
{
    const char *between = *drawing->about && *drawing->note ? "; " : "";
    if (!*drawing->says)
        return cli_format("%s%s%s", drawing->about, between, drawing->note);
    return cli_format("%s (%s%s%s)", drawing->says, drawing->about, between, drawing->note);
}

/* What a letter is in LaTeX's text; NULL where it is itself. The last two are what its older input encodings lack. */
static const char *tex_letter(const char *at, size_t *bytes)
{
    static const struct {
        const char *letter, *tex;
    } letters[] = {
        {"\\", "\\textbackslash{}"},
        {"{", "\\{"},
        {"}", "\\}"},
        {"$", "\\$"},
        {"&", "\\&"},
        {"#", "\\#"},
        {"%", "\\%"},
        {"_", "\\_"},
        {"^", "\\textasciicircum{}"},
        {"~", "\\textasciitilde{}"},
        {"<", "$<$"},
        {">", "$>$"},

        {"µ", "$\\mu$"},
        {"×", "$\\times$"},
    };
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        *bytes = strlen(letters[i].letter);
        if (!strncmp(at, letters[i].letter, *bytes))
            return letters[i].tex;
    }
    *bytes = 1;
    return NULL;
}

static char *tex_text(const char *text)
{
    enum { MOST = 20 }; /* bytes that a letter becomes */
    char *quoted = cli_grow(NULL, MOST * strlen(text) + 1, 1), *to = quoted;
    while (*text) {
        size_t bytes;
        const char *tex = tex_letter(text, &bytes);
        to += sprintf(to, "%.*s", tex ? MOST : 1, tex ? tex : text); // NOLINT(*-insecureAPI.*): as long as MOST allows
        text += bytes;
    }
    *to = '\0';
    return quoted;
}

char *plot_tex(const plot_drawing *drawing)
{
    char *caption = plot_caption(drawing), *quoted = tex_text(caption);
    char *tex = cli_format("%% \\input{%s} in a document that has \\usepackage{graphicx}\n"
                           "\\begin{figure}\n"
                           "  \\centering\n"
                           "  \\includegraphics{%s}\n"
                           "  \\caption{%s.}\n"
                           "  \\label{fig:%s}\n"
                           "\\end{figure}\n",
                           drawing->name, drawing->name, quoted, drawing->name);
    free(quoted);
    free(caption);
    return tex;
}
