/* The program's own symbols. A __shared__ variable is a thread_local one, and a kernel's are its local statics: the
 * compiler names them after the kernel (Itanium C++ ABI, "Local names"), so the symbol table tells how much static
 * shared memory a kernel has, and which variable an address is. A stripped program tells nothing: 0, null. */
#include "symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    uintptr_t load_address;
    size_t tls_bytes, tls_align;
    const Elf64_Sym *symbols;
    size_t n_symbols;
    const char *names;
    char path[512];
} program;

static int find_program(struct dl_phdr_info *info, size_t, void *)
{
    program.load_address = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; ++i)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            program.tls_bytes = info->dlpi_phdr[i].p_memsz;
            program.tls_align = info->dlpi_phdr[i].p_align;
        }
    return 1; /* the first one is the program */
}

static void read_symbols(void)
{
    struct stat status;
    dl_iterate_phdr(find_program, nullptr);
    const ssize_t length = readlink("/proc/self/exe", program.path, sizeof(program.path) - 1);
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    if (length > 0 && fstat(file, &status) == 0) {
        const char *image = (const char *)mmap(nullptr, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (image != MAP_FAILED) {
            const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
            const Elf64_Shdr *sections = (const Elf64_Shdr *)(image + header->e_shoff);
            for (unsigned i = 0; header->e_ident[EI_CLASS] == ELFCLASS64 && i < header->e_shnum; ++i) {
                if (sections[i].sh_type != SHT_SYMTAB)
                    continue;
                program.symbols = (const Elf64_Sym *)(image + sections[i].sh_offset);
                program.n_symbols = sections[i].sh_size / sizeof(Elf64_Sym);
                program.names = image + sections[sections[i].sh_link].sh_offset;
            }
        }
    }
    close(file);
}

static void need_symbols(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_symbols);
}

/* The function that holds the address, or null. */
static const Elf64_Sym *function_at(const void *address)
{
    const uintptr_t value = (uintptr_t)address - program.load_address;
    for (size_t i = 0; i < program.n_symbols; ++i) {
        const Elf64_Sym *symbol = &program.symbols[i];
        if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && value >= symbol->st_value &&
            value < symbol->st_value + (symbol->st_size ? symbol->st_size : 1))
            return symbol;
    }
    return nullptr;
}

static bool is_local_variable(const Elf64_Sym *symbol)
{
    return ELF64_ST_TYPE(symbol->st_info) == STT_TLS && strncmp(program.names + symbol->st_name, "_ZZ", 3) == 0;
}

size_t pk_static_shared_bytes(const void *function)
{
    need_symbols();
    const Elf64_Sym *kernel = function_at(function);
    if (!kernel || strncmp(program.names + kernel->st_name, "_Z", 2) != 0)
        return 0;
    const char *name = program.names + kernel->st_name + 2;
    const size_t length = strlen(name);
    size_t bytes = 0;
    for (size_t i = 0; i < program.n_symbols; ++i) {
        const Elf64_Sym *symbol = &program.symbols[i];
        const char *local = program.names + symbol->st_name + 3;
        if (is_local_variable(symbol) && strncmp(local, name, length) == 0 && local[length] == 'E')
            bytes += symbol->st_size;
    }
    return (bytes + 15) / 16 * 16;
}

/* Where the calling OS thread has the program's thread-local variables: below the thread pointer on x86-64 and above
 * its header on AArch64 (ELF Handling for Thread-Local Storage, variants II and I). */
static char *tls_begin(void)
{
    const size_t align = program.tls_align ? program.tls_align : 1;
    char *pointer = (char *)__builtin_thread_pointer();
#if defined(__aarch64__)
    return pointer + (16 + align - 1) / align * align;
#else
    return pointer - (program.tls_bytes + align - 1) / align * align;
#endif
}

void pk_shared_visit(void (*visit)(char *variable, size_t bytes, void *data), void *data)
{
    need_symbols();
    char *begin = tls_begin();
    for (size_t i = 0; i < program.n_symbols; ++i)
        if (is_local_variable(&program.symbols[i]))
            visit(begin + program.symbols[i].st_value, program.symbols[i].st_size, data);
}

const char *pk_shared_variable(const void *address, size_t *offset)
{
    need_symbols();
    const size_t at = (size_t)((const char *)address - tls_begin());
    for (size_t i = 0; i < program.n_symbols; ++i) {
        const Elf64_Sym *symbol = &program.symbols[i];
        if (!is_local_variable(symbol) || at < symbol->st_value || at >= symbol->st_value + symbol->st_size)
            continue;
        *offset = at - symbol->st_value;
        static __thread char name[128];
        int failed = 1;
        char *readable = abi::__cxa_demangle(program.names + symbol->st_name, nullptr, nullptr, &failed);
        const char *last = readable ? strrchr(readable, ':') : nullptr;
        snprintf(name, sizeof(name), "%s", last ? last + 1 : program.names + symbol->st_name);
        free(readable);
        return name;
    }
    return nullptr;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* One of this device's, whose inline functions stand between a program and what it asked for. */
static bool is_own_header(const char *path)
{
    return strstr(path, "cpu/include/") || strncmp(base_name(path), "pk_atomic.h:", 12) == 0 ||
           strncmp(base_name(path), "pk_gpu.h:", 9) == 0;
}

/* Ask addr2line, with the lines that an inline function was called from, innermost first: it reads the debug
 * information; where it or that is missing, the function's name has to do. An address is where a call returns to, maybe
 * on the next line already, or a function's own. */
void pk_describe_code(const void *address, char *text, size_t bytes)
{
    need_symbols();
    char command[700], line[512] = "";
    snprintf(text, bytes, "%p", address);
    const Elf64_Sym *function = function_at(address);
    const bool begins = function && function->st_value == (uintptr_t)address - program.load_address;
    if (function) {
        int failed = 1;
        char *readable = abi::__cxa_demangle(program.names + function->st_name, nullptr, nullptr, &failed);
        const char *name = readable ? readable : program.names + function->st_name;
        snprintf(text, bytes, "%.*s", (int)strcspn(name, "("), name);
        free(readable);
    }
    if (strchr(program.path, '\''))
        return;
    snprintf(command, sizeof(command), "addr2line -i -e '%s' %#zx 2>/dev/null", program.path,
             (size_t)((uintptr_t)address - program.load_address) - (begins ? 0 : 1));
    FILE *pipe = popen(command, "re");
    if (!pipe)
        return;
    bool found = false, own = true;
    while (own && fgets(line, sizeof(line), pipe) && line[0] != '?') {
        line[strcspn(line, "\n (")] = '\0';
        if (strstr(line, ":?") != nullptr)
            continue;
        own = is_own_header(line);
        if (!found || !own)
            snprintf(text, bytes, "%s", base_name(line));
        found = true;
    }
    while (fgets(line, sizeof(line), pipe)) /* or addr2line would write to nobody */
        ;
    pclose(pipe);
}
