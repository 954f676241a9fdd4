/* What `asm` prints: of a compiler's or disassembler's whole listing the kernel, with its lines of source. */
#include "asm_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* ---- PTX ---- */

/* A line of source that nvcc wrote into the PTX, "///path/optimized.cu:58 code", as "// optimized.cu:58 code". */
static void print_ptx_line(const char *line, size_t length)
{
    if (length >= 3 && !strncmp(line, "///", 3)) {
        const char *colon = memchr(line, ':', length), *name = line + 2;
        for (const char *at = line + 2; colon && at < colon; at++)
            name = *at == '/' ? at + 1 : name;
        for (length -= (size_t)(name - line); length && name[length - 1] == ' ';)
            length--;
        printf("// %.*s\n", (int)length, name);
    } else if (length && !(length > 4 && !strncmp(line, "\t.loc", 5))) {
        printf("%.*s\n", (int)length, line);
    }
}

/* What ptxas says of the symbol: registers, shared memory, spills. */
static void print_resources(const char *said, const char *symbol, size_t length, const char *arch)
{
    char *properties = cli_format("Function properties for %.*s\n", (int)length, symbol);
    const char *at = strstr(said, properties);
    at = at ? at + strlen(properties) : NULL;
    const char *used = at ? strstr(at, "Used ") : NULL;
    if (used)
        cli_say(2, "%s: %.*s; %.*s", arch, (int)strcspn(used, "\n"), used, (int)strcspn(at + strspn(at, " "), "\n"),
                at + strspn(at, " "));
    free(properties);
}

/* Is it the kernel's symbol: its name behind the number of its letters, _Z10axpy_fusediif? */
static bool is_symbol_of(const char *symbol, size_t length, const char *kernel)
{
    char *mangled = cli_format("%zu%s", strlen(kernel), kernel), *name = cli_copy(symbol, length);
    const char *at = strstr(name, mangled);
    const bool is = at && at > name && !isdigit((unsigned char)at[-1]);
    free(name);
    free(mangled);
    return is;
}

bool asm_print_ptx(const char *ptx, const char *said, const char *kernel, const char *arch)
{
    static const char entry[] = ".entry ";
    bool found = false;
    for (const char *at = strstr(ptx, entry); at; at = strstr(at + 1, entry)) {
        const char *symbol = at + strlen(entry), *end = strstr(symbol, "\n}");
        const size_t length = strcspn(symbol, "(");
        if (!end || !is_symbol_of(symbol, length, kernel))
            continue;
        printf("%s", found ? "\n" : "");
        print_resources(said, symbol, length, arch);
        for (const char *line = at; line < end + 2; line += strcspn(line, "\n") + 1)
            print_ptx_line(line, strcspn(line, "\n"));
        found = true;
    }
    return found;
}

/* ---- machine code: SASS ---- */

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

/* Of a source file, in new memory; "" where there is none such. */
static char *line_of(const char *path, int number)
{
    char *source = cli_read_file(path);
    const char *line = source ? source : "";
    for (int i = 1; i < number && *line; i++)
        line = next_line(line);
    char *text = cli_copy(line, strcspn(line, "\n"));
    free(source);
    return text;
}

/* A path of `length` letters, which may begin at the repository, and a line's number: "// optimized.cu:58     y++;". */
static void print_source_line(const char *from, size_t length, int number)
{
    char *given = cli_copy(from, length),
         *path = *given == '/' ? cli_copy(given, length) : cli_format("%s/%s", cli_source(), given);
    char *text = line_of(path, number);
    printf("// %s:%d%s%s\n", strrchr(path, '/') + 1, number, *text ? " " : "", text);
    free(text);
    free(path);
    free(given);
}

/* A mark of nvdisasm's, `//## File "PATH", line 58`, perhaps with where that was inlined. */
static bool print_mark(const char *line)
{
    static const char mark[] = "\t//## File \"", behind[] = "\", line ";
    if (strncmp(line, mark, strlen(mark)) != 0)
        return false;
    const char *path = line + strlen(mark), *end = path + strcspn(path, "\"\n");
    if (!strncmp(end, behind, strlen(behind)))
        print_source_line(path, (size_t)(end - path), (int)strtol(end + strlen(behind), NULL, 10));
    return true;
}

/* ".type", ".size" and ".other" of a symbol: nothing that runs. */
static bool is_about_symbol(const char *line)
{
    line += strspn(line, " \t");
    return !strncmp(line, ".type", 5) || !strncmp(line, ".size", 5) || !strncmp(line, ".other", 6);
}

void asm_print_sass(const char *listing, const char *kernel, const char *arch)
{
    static const char head[] = ".text.", next[] = "//-----";
    bool inside = false;
    for (const char *line = listing; *line; line = next_line(line)) {
        const size_t length = strcspn(line, "\n");
        if (!strncmp(line, next, strlen(next)))
            inside = false;
        if (!strncmp(line, head, strlen(head)) && line[length - 1] == ':') {
            inside = is_symbol_of(line + strlen(head), length - strlen(head) - 1, kernel);
            if (inside)
                printf("\nMachine code of %s\n", arch);
        }
        if (inside && !is_about_symbol(line) && !print_mark(line))
            printf("%.*s\n", (int)length, line);
    }
}

/* ---- machine code: AMD's ---- */

/* The number behind `words` in a text that ends at `end`, or that is so long; "?" where it is not said. */
static char *number_behind(const char *text, const char *end, const char *words)
{
    const char *at = text ? strstr(text, words) : NULL;
    return at && at < end ? cli_format("%ld", strtol(at + strlen(words), NULL, 10)) : cli_copy("?", 1);
}

/* What the compiler says behind a kernel; and of spills in the notes at the end of its listing, by the kernel's name.
 */
static void print_amd_resources(const char *assembly, const char *behind, const char *symbol, size_t length,
                                const char *arch)
{
    static const char *const words[] = {"; NumSgprs: ",  "; NumVgprs: ",        "; LDSByteSize: ",    "; ScratchSize: ",
                                        "; Occupancy: ", ".sgpr_spill_count: ", ".vgpr_spill_count: "};
    enum { NUMBERS = sizeof words / sizeof words[0], IN_NOTES = 5 };
    const char *end = strstr(behind, "-- Begin function");
    char *name = cli_format(".name:           %.*s\n", (int)length, symbol), *number[NUMBERS];
    const char *notes = strstr(assembly, name), *notes_end = notes ? notes + strlen(notes) : NULL;
    for (size_t i = 0; i < NUMBERS; i++)
        number[i] = i < IN_NOTES ? number_behind(behind, end ? end : behind + strlen(behind), words[i])
                                 : number_behind(notes, notes_end, words[i]);
    cli_say(
        2, "%s: %s SGPRs, %s VGPRs, %s bytes of LDS, %s bytes of scratch, %s waves a SIMD; spilled: %s SGPRs, %s VGPRs",
        arch, number[0], number[1], number[2], number[3], number[4], number[5], number[6]);
    for (size_t i = 0; i < NUMBERS; i++)
        free(number[i]);
    free(name);
}

/* A line of the listing; ".loc 3 60 30 ; PATH:60:30" as the line of source. Without what is for the assembler alone. */
static void print_amd_line(const char *line, size_t length)
{
    static const char *const left_out[] = {"\t.cfi", "\t.file", ".Ltmp", ".Lfunc_begin", "; %bb."};
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
        if (!strncmp(line, left_out[i], strlen(left_out[i])))
            return;
    const char *path = !strncmp(line, "\t.loc", 5) ? memchr(line, ';', length) : NULL;
    if (!path) {
        printf("%.*s\n", (int)length, line);
        return;
    }
    path += 1 + strspn(path + 1, " ");
    const char *colon = strchr(path, ':');
    const int number = colon ? (int)strtol(colon + 1, NULL, 10) : 0;
    if (number > 0)
        print_source_line(path, (size_t)(colon - path), number);
}

bool asm_print_amd(const char *assembly, const char *kernel, const char *arch)
{
    bool found = false;
    for (const char *line = assembly; *line; line = next_line(line)) {
        const size_t length = strcspn(line, ":\n");
        const char *end = line[length] == ':' ? strstr(line, "\t.section") : NULL;
        if (*line != '_' || !end || !is_symbol_of(line, length, kernel))
            continue;
        printf("%s", found ? "\n" : "");
        print_amd_resources(assembly, end, line, length, arch);
        for (const char *at = line; at < end; at = next_line(at))
            print_amd_line(at, strcspn(at, "\n"));
        found = true;
    }
    return found;
}

/* ---- the host's ---- */

/* "0000000000000040 <axpy_step(int, ...)>:" */
static bool heads_function(const char *line)
{
    const size_t digits = strspn(line, "0123456789abcdef");
    return digits >= 8 && !strncmp(line + digits, " <", 2);
}

/* "<axpy_step(int, ...)>:" or "<void stream_chain<1>(...)>:" at the head of a listing. */
static bool heads_kernel(const char *line, const char *kernel)
{
    const size_t end = strcspn(line, "\n"), length = strlen(kernel);
    for (const char *at = strstr(line, kernel); at && at < line + end; at = strstr(at + 1, kernel))
        if (strchr("< :", at[-1]) && strchr("(<", at[length]))
            return true;
    return false;
}

bool asm_print_host(const char *listing, const char *kernel)
{
    bool inside = false, found = false;
    for (const char *line = listing; *line; line = next_line(line)) {
        const size_t length = strcspn(line, "\n");
        if (heads_function(line)) {
            inside = heads_kernel(line, kernel);
            if (inside && !found)
                cli_say(
                    2,
                    "CPU device: machine code of this host, which is no GPU's. It has no registers, shared memory or "
                    "spills of a GPU to tell.\n");
            found |= inside;
        }
        if (inside)
            printf("%.*s\n", (int)length, line);
    }
    return found;
}
