/* Warp functions: votes, shuffles, match, reduce, __syncwarp. A mask of 32 bits names lanes of a warp of 32 threads,
 * whatever PK_CPU_WARP says, as the labs' HIP header has it; a mask of 64 bits, HIP's own, names lanes of a warp of
 * warpSize threads. Source: CUDA C++ Programming Guide, "Warp Vote / Match / Reduce / Shuffle Functions". */
#ifndef PK_CPU_WARP_H
#define PK_CPU_WARP_H

#include <type_traits>

enum pk_cpu_warp_op {
    PK_WARP_SYNC,
    PK_WARP_BALLOT,
    PK_WARP_MATCH_ANY,
    PK_WARP_MATCH_ALL,
    PK_WARP_SHUFFLE,
    PK_WARP_SHUFFLE_UP,
    PK_WARP_SHUFFLE_DOWN,
    PK_WARP_SHUFFLE_XOR,
    PK_WARP_REDUCE_ADD,
    PK_WARP_REDUCE_MIN,
    PK_WARP_REDUCE_MAX,
    PK_WARP_REDUCE_AND,
    PK_WARP_REDUCE_OR,
    PK_WARP_REDUCE_XOR
};

extern "C" {
/* The threads of `mask` meet, give `value` and get the operation's result. `lanes` is the mask's width, 32 or 64;
 * `argument` of a shuffle is how far, with the width above it from bit 16 on. */
unsigned long long pk_cpu_warp(enum pk_cpu_warp_op op, unsigned long long mask, unsigned lanes,
                               unsigned long long value, int argument, const char *file, int line);
unsigned pk_cpu_activemask(const char *file, int line);
}

template <class Mask> struct pk_cpu_mask {
    static constexpr unsigned lanes = sizeof(Mask) == 8 ? 64 : 32;
    typedef typename std::conditional<sizeof(Mask) == 8, unsigned long long, unsigned>::type type;
    static unsigned long long bits(Mask mask)
    {
        return (unsigned long long)(type)mask;
    }
};

static inline unsigned __activemask(PK_CPU_PLACE_)
{
    return pk_cpu_activemask(file, line);
}

static inline void __syncwarp(unsigned mask = 0xffffffffu, PK_CPU_PLACE_)
{
    pk_cpu_warp(PK_WARP_SYNC, mask, 32, 0, 0, file, line);
}

template <class Mask> static inline typename pk_cpu_mask<Mask>::type __ballot_sync(Mask mask, int vote, PK_CPU_PLACE_)
{
    typedef pk_cpu_mask<Mask> m;
    return (typename m::type)pk_cpu_warp(PK_WARP_BALLOT, m::bits(mask), m::lanes, vote != 0, 0, file, line);
}
template <class Mask> static inline int __any_sync(Mask mask, int vote, PK_CPU_PLACE_)
{
    return __ballot_sync(mask, vote, file, line) != 0;
}
template <class Mask> static inline int __all_sync(Mask mask, int vote, PK_CPU_PLACE_)
{
    return __ballot_sync(mask, !vote, file, line) == 0;
}

template <class T> static inline unsigned long long pk_cpu_lane_value(T value)
{
    static_assert(sizeof(T) <= 8, "a lane gives at most 8 bytes");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof(value));
    return bits;
}

template <class Mask> static inline int __uni_sync(Mask mask, int vote, PK_CPU_PLACE_)
{
    typedef pk_cpu_mask<Mask> m;
    return pk_cpu_warp(PK_WARP_MATCH_ALL, m::bits(mask), m::lanes, vote != 0, 0, file, line) != 0;
}
template <class Mask, class T>
static inline typename pk_cpu_mask<Mask>::type __match_any_sync(Mask mask, T value, PK_CPU_PLACE_)
{
    typedef pk_cpu_mask<Mask> m;
    return (typename m::type)pk_cpu_warp(PK_WARP_MATCH_ANY, m::bits(mask), m::lanes, pk_cpu_lane_value(value), 0, file,
                                         line);
}
template <class Mask, class T>
static inline typename pk_cpu_mask<Mask>::type __match_all_sync(Mask mask, T value, int *all, PK_CPU_PLACE_)
{
    typedef pk_cpu_mask<Mask> m;
    const unsigned long long agree =
        pk_cpu_warp(PK_WARP_MATCH_ALL, m::bits(mask), m::lanes, pk_cpu_lane_value(value), 0, file, line);
    *all = agree != 0;
    return (typename m::type)agree;
}

#define PK_CPU_SHUFFLE_(name, op, type)                                                                                \
    template <class Mask, class T>                                                                                     \
    static inline T name(Mask mask, T value, type by, int width = pk_cpu_mask<Mask>::lanes, PK_CPU_PLACE_)             \
    {                                                                                                                  \
        typedef pk_cpu_mask<Mask> m;                                                                                   \
        const unsigned long long got = pk_cpu_warp(op, m::bits(mask), m::lanes, pk_cpu_lane_value(value),              \
                                                   width << 16 | ((int)by & 0xffff), file, line);                      \
        T result;                                                                                                      \
        memcpy(&result, &got, sizeof(result));                                                                         \
        return result;                                                                                                 \
    }
PK_CPU_SHUFFLE_(__shfl_sync, PK_WARP_SHUFFLE, int)
PK_CPU_SHUFFLE_(__shfl_up_sync, PK_WARP_SHUFFLE_UP, unsigned)
PK_CPU_SHUFFLE_(__shfl_down_sync, PK_WARP_SHUFFLE_DOWN, unsigned)
PK_CPU_SHUFFLE_(__shfl_xor_sync, PK_WARP_SHUFFLE_XOR, int)
#undef PK_CPU_SHUFFLE_

/* The device compares without a sign: signed values are shifted by half their range, there and back. */
#define PK_CPU_REDUCE_(name, op, type, bias)                                                                           \
    static inline type name(unsigned mask, type value, PK_CPU_PLACE_)                                                  \
    {                                                                                                                  \
        return (type)((unsigned)pk_cpu_warp(op, mask, 32, (unsigned)value ^ (bias), 0, file, line) ^ (bias));          \
    }
PK_CPU_REDUCE_(__reduce_add_sync, PK_WARP_REDUCE_ADD, unsigned, 0u)
PK_CPU_REDUCE_(__reduce_add_sync, PK_WARP_REDUCE_ADD, int, 0u)
PK_CPU_REDUCE_(__reduce_min_sync, PK_WARP_REDUCE_MIN, unsigned, 0u)
PK_CPU_REDUCE_(__reduce_min_sync, PK_WARP_REDUCE_MIN, int, 0x80000000u)
PK_CPU_REDUCE_(__reduce_max_sync, PK_WARP_REDUCE_MAX, unsigned, 0u)
PK_CPU_REDUCE_(__reduce_max_sync, PK_WARP_REDUCE_MAX, int, 0x80000000u)
PK_CPU_REDUCE_(__reduce_and_sync, PK_WARP_REDUCE_AND, unsigned, 0u)
PK_CPU_REDUCE_(__reduce_or_sync, PK_WARP_REDUCE_OR, unsigned, 0u)
PK_CPU_REDUCE_(__reduce_xor_sync, PK_WARP_REDUCE_XOR, unsigned, 0u)
#undef PK_CPU_REDUCE_

#endif
