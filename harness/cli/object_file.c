/* ELF of 64 bits, this machine's byte order: what its compiler writes. Every place in it is held against its size. */
#include "object_file.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct image {
    const char *bytes;
    size_t count;
    const Elf64_Shdr *sections;
    size_t section_count;
} image;

static const void *part(const image *of, size_t at, size_t bytes)
{
    return at <= of->count && bytes <= of->count - at ? of->bytes + at : NULL;
}

static const void *part_of_section(const image *of, const Elf64_Shdr *section)
{
    return part(of, section->sh_offset, section->sh_size);
}

/* A string of a string table; "" where there is none. */
static const char *string_at(const image *of, const Elf64_Shdr *strings, size_t at)
{
    const char *text = part_of_section(of, strings);
    if (!text || at >= strings->sh_size || !memchr(text + at, '\0', strings->sh_size - at))
        return "";
    return text + at;
}

static bool open_image(image *of, const char *bytes, size_t count)
{
    *of = (image){bytes, count, NULL, 0};
    const Elf64_Ehdr *head = part(of, 0, sizeof *head);
    if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_ident[EI_CLASS] != ELFCLASS64 ||
        head->e_type != ET_REL || head->e_shentsize != sizeof *of->sections)
        return false;
    const Elf64_Shdr *first = part(of, head->e_shoff, sizeof *first);
    if (!first)
        return false;
    of->section_count = head->e_shnum ? head->e_shnum : first->sh_size; /* more than 65279 of them */
    of->sections =
        of->section_count <= count / sizeof *first ? part(of, head->e_shoff, of->section_count * sizeof *first) : NULL;
    return of->sections != NULL;
}

/* An inline function or a template's instance: many files have it, and one is taken. */
static bool is_shared(const Elf64_Sym *symbol, const char *name)
{
    const unsigned binding = ELF64_ST_BIND(symbol->st_info);
    return (binding == STB_WEAK || binding == STB_GNU_UNIQUE) && (!strncmp(name, "_Z", 2) || !strncmp(name, "DW.", 3));
}

static bool read_symbols(object_file *object, const image *of, const Elf64_Shdr *section)
{
    const Elf64_Sym *symbols = part_of_section(of, section);
    if (!symbols || section->sh_link >= of->section_count)
        return false;
    for (size_t i = 1; i < section->sh_size / sizeof *symbols; i++) {
        const char *name = string_at(of, &of->sections[section->sh_link], symbols[i].st_name);
        if (ELF64_ST_BIND(symbols[i].st_info) == STB_LOCAL || !*name)
            continue;
        if (symbols[i].st_shndx == SHN_UNDEF)
            cli_names_add(&object->needed, name);
        else if (!is_shared(&symbols[i], name))
            cli_names_add(&object->defined, name);
    }
    return true;
}

static bool begins(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

static void read_section(object_file *object, const image *of, const Elf64_Shdr *section, const Elf64_Shdr *names)
{
    const char *name = string_at(of, names, section->sh_name);
    if (section->sh_type == SHT_INIT_ARRAY || section->sh_type == SHT_PREINIT_ARRAY || begins(name, ".init") ||
        begins(name, ".preinit") || begins(name, ".ctors"))
        object->begin_bytes += section->sh_size;
    if (section->sh_type == SHT_FINI_ARRAY || begins(name, ".fini") || begins(name, ".dtors"))
        object->end_bytes += section->sh_size;
}

static bool read_image(object_file *object, const image *of)
{
    const Elf64_Ehdr *head = (const void *)of->bytes;
    const size_t names = head->e_shstrndx == SHN_XINDEX ? of->sections[0].sh_link : head->e_shstrndx;
    if (names >= of->section_count)
        return false;
    bool whole = true;
    for (size_t i = 0; i < of->section_count; i++) {
        read_section(object, of, &of->sections[i], &of->sections[names]);
        if (of->sections[i].sh_type == SHT_SYMTAB)
            whole = read_symbols(object, of, &of->sections[i]) && whole;
    }
    return whole;
}

pk_status object_file_read(object_file *object, const char *path)
{
    image of;
    size_t count = 0;
    *object = (object_file){{NULL, 0}, {NULL, 0}, 0, 0};
    char *bytes = cli_read_bytes(path, &count);
    if (!bytes)
        return pk_fail(PK_USAGE, "%s: cannot read: %s", path, strerror(errno));
    const bool whole = open_image(&of, bytes, count) && read_image(object, &of);
    free(bytes);
    if (whole)
        return PK_OK;
    object_file_free(object);
    return pk_fail(PK_USAGE, "%s: is no object file of this machine: build anew", path);
}

void object_file_free(object_file *object)
{
    cli_names_free(&object->defined);
    cli_names_free(&object->needed);
}
