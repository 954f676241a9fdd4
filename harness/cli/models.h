/* Models for the labs that decode text: those in models/, those that can be fetched, and the Python tool that makes
 * them (common/decode/python/pk_model_tool.py). */
#ifndef CLI_MODELS_H
#define CLI_MODELS_H

#include <stdbool.h>

#include "cli.h"

/* The folder of all models; the caller frees it. */
char *cli_models_folder(void);

/* The folder of the model that --model=WORD means: WORD itself when it has a slash, models/WORD when that is there,
 * else NULL: the name of a configuration, for a program to know. The caller frees it. */
char *cli_model_folder(const char *word);

/* Is there a model of this name that can be fetched? */
bool cli_model_is_known(const char *name);

/* The command line of the tool, NULL at its end: Python, the tool, and the words given, to be freed by cli_tool_free;
 * NULL after pk_fail where there is no Python for it. */
char **cli_tool_command(const char *const *words, size_t count);
void cli_tool_free(char **command);

/* `model get` and `import` with something to do: argv[0] is "model", or another command. */
bool cli_model_needs_python(int argc, char **argv);

/* ---- cmd_text.c ---- */

/* Does the lab's folder have the source of a program labNN_text, which decodes text? */
bool cli_lab_has_text(const cli_lab *lab);

/* Does the command line ask a lab for text: --prompt or --prompt-ids? `argv`: the words after `run`. */
bool cli_wants_text(int argc, char **argv);

/* Must a prompt in it be turned into tokens, and can it be, as far as models and labs go? */
bool cli_text_needs_python(const cli_lab *lab, int argc, char **argv);

/* What has to be built for it: lab04_text, of --solution lab07_text_solution; NULL: nothing. The caller frees it. */
char *cli_text_target(const cli_lab *lab, int argc, char **argv);

/* The lab whose text `demo` shows: the first whose program is all given; NULL: none has one. */
const cli_lab *cli_lab_that_speaks(const cli_labs *labs);

/* `run NN --prompt...`; argv[0] is "run". */
int cmd_text(int argc, char **argv);

/* At the end of `demo`: a real model speaks in that lab; nothing where there is none. Fetches
 * the model if it can, and says so where it cannot. The exit code of what was run. */
int cli_demonstrate_text(const cli_labs *labs);

#endif
