/* The accesses of an instrumented program. GCC and clang compile a program with -fsanitize=thread to call these
 * functions before each access; linked with them in place of ThreadSanitizer's library, every load and store of a
 * kernel comes by here with its address, size and place; an atomic one's scope is in pk_cpu_scope. Linked only into
 * programs that are compiled so. */
#include "check.h"

#define HERE __builtin_return_address(0)

extern "C" {

void __tsan_init(void)
{
    pk_access_is_seen();
}

#define PLAIN(n)                                                                                                       \
    void __tsan_read##n(void *address)                                                                                 \
    {                                                                                                                  \
        pk_check_access(address, n, false, false, HERE);                                                               \
    }                                                                                                                  \
    void __tsan_write##n(void *address)                                                                                \
    {                                                                                                                  \
        pk_check_access(address, n, true, false, HERE);                                                                \
    }                                                                                                                  \
    void __tsan_volatile_read##n(void *address)                                                                        \
    {                                                                                                                  \
        pk_check_access(address, n, false, true, HERE);                                                                \
    }                                                                                                                  \
    void __tsan_volatile_write##n(void *address)                                                                       \
    {                                                                                                                  \
        pk_check_access(address, n, true, true, HERE);                                                                 \
    }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

/* The compiler knows that these may be unaligned, so a GPU would be given bytes. */
#define UNALIGNED(n)                                                                                                   \
    void __tsan_unaligned_read##n(void *address)                                                                       \
    {                                                                                                                  \
        for (int i = 0; i < n; ++i)                                                                                    \
            pk_check_access((char *)address + i, 1, false, false, HERE);                                               \
    }                                                                                                                  \
    void __tsan_unaligned_write##n(void *address)                                                                      \
    {                                                                                                                  \
        for (int i = 0; i < n; ++i)                                                                                    \
            pk_check_access((char *)address + i, 1, true, false, HERE);                                                \
    }                                                                                                                  \
    void __tsan_unaligned_volatile_read##n(void *address)                                                              \
    {                                                                                                                  \
        for (int i = 0; i < n; ++i)                                                                                    \
            pk_check_access((char *)address + i, 1, false, true, HERE);                                                \
    }                                                                                                                  \
    void __tsan_unaligned_volatile_write##n(void *address)                                                             \
    {                                                                                                                  \
        for (int i = 0; i < n; ++i)                                                                                    \
            pk_check_access((char *)address + i, 1, true, true, HERE);                                                 \
    }
UNALIGNED(2)
UNALIGNED(4)
UNALIGNED(8)
UNALIGNED(16)

void __tsan_read_range(void *address, size_t bytes)
{
    pk_check_access(address, bytes, false, false, HERE);
}
void __tsan_write_range(void *address, size_t bytes)
{
    pk_check_access(address, bytes, true, false, HERE);
}
void __tsan_vptr_update(void **, void *)
{
}
void __tsan_vptr_read(void **)
{
}
void __tsan_func_entry(void *)
{
}
void __tsan_func_exit(void)
{
}

/* What clang, from 16 on, calls where a program copies or fills: an assignment of structures, a loop that it has seen
 * through. Nothing is said about alignment, so each byte is looked at by itself. */
static void each_byte(const void *address, size_t bytes, bool writes, const void *code)
{
    for (size_t i = 0; i < bytes; ++i)
        pk_check_access((const char *)address + i, 1, writes, false, code);
}
void *__tsan_memcpy(void *to, const void *from, size_t bytes)
{
    each_byte(from, bytes, false, HERE);
    each_byte(to, bytes, true, HERE);
    return __builtin_memcpy(to, from, bytes);
}
void *__tsan_memmove(void *to, const void *from, size_t bytes)
{
    each_byte(from, bytes, false, HERE);
    each_byte(to, bytes, true, HERE);
    return __builtin_memmove(to, from, bytes);
}
void *__tsan_memset(void *to, int byte, size_t bytes)
{
    each_byte(to, bytes, true, HERE);
    return __builtin_memset(to, byte, bytes);
}

/* Atomic operations are called, not only announced: do them, relaxed or stronger as CUDA's are not weaker. */
#define RMW(n, type, name)                                                                                             \
    type __tsan_atomic##n##_fetch_##name(volatile type *address, type value, int)                                      \
    {                                                                                                                  \
        pk_check_access(const_cast<type *>(address), sizeof(type), true, true, HERE);                                  \
        return __atomic_fetch_##name(address, value, __ATOMIC_SEQ_CST);                                                \
    }
#define ATOMIC(n, type)                                                                                                \
    type __tsan_atomic##n##_load(const volatile type *address, int)                                                    \
    {                                                                                                                  \
        pk_check_access(const_cast<type *>(address), sizeof(type), false, true, HERE);                                 \
        return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                                             \
    }                                                                                                                  \
    void __tsan_atomic##n##_store(volatile type *address, type value, int)                                             \
    {                                                                                                                  \
        pk_check_access(const_cast<type *>(address), sizeof(type), true, true, HERE);                                  \
        __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                                            \
    }                                                                                                                  \
    type __tsan_atomic##n##_exchange(volatile type *address, type value, int)                                          \
    {                                                                                                                  \
        pk_check_access(const_cast<type *>(address), sizeof(type), true, true, HERE);                                  \
        return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);                                                  \
    }                                                                                                                  \
    int __tsan_atomic##n##_compare_exchange_strong(volatile type *address, type *expected, type desired, int, int)     \
    {                                                                                                                  \
        pk_check_access(const_cast<type *>(address), sizeof(type), true, true, HERE);                                  \
        return __atomic_compare_exchange_n(address, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);     \
    }                                                                                                                  \
    int __tsan_atomic##n##_compare_exchange_weak(volatile type *address, type *expected, type desired, int, int)       \
    {                                                                                                                  \
        pk_check_access(const_cast<type *>(address), sizeof(type), true, true, HERE);                                  \
        return __atomic_compare_exchange_n(address, expected, desired, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);      \
    }                                                                                                                  \
    type __tsan_atomic##n##_compare_exchange_val(volatile type *address, type expected, type desired, int, int)        \
    {                                                                                                                  \
        pk_check_access(const_cast<type *>(address), sizeof(type), true, true, HERE);                                  \
        __atomic_compare_exchange_n(address, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);           \
        return expected;                                                                                               \
    }                                                                                                                  \
    RMW(n, type, add)                                                                                                  \
    RMW(n, type, sub)                                                                                                  \
    RMW(n, type, and)                                                                                                  \
    RMW(n, type, or)                                                                                                   \
    RMW(n, type, xor)                                                                                                  \
    RMW(n, type, nand)
ATOMIC(8, unsigned char)
ATOMIC(16, unsigned short)
ATOMIC(32, unsigned)
ATOMIC(64, unsigned long)

void __tsan_atomic_thread_fence(int)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void __tsan_atomic_signal_fence(int)
{
}
}
