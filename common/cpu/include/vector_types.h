/* CUDA's vector types with CUDA's alignments, and dim3. */
#ifndef PK_CPU_VECTOR_TYPES_H
#define PK_CPU_VECTOR_TYPES_H

#define PK_CPU_VECTORS_(name, type)                                                                                    \
    struct name##1                                                                                                     \
    {                                                                                                                  \
        type x;                                                                                                        \
    };                                                                                                                 \
    struct __attribute__((aligned(2 * sizeof(type)))) name##2                                                          \
    {                                                                                                                  \
        type x, y;                                                                                                     \
    };                                                                                                                 \
    struct name##3                                                                                                     \
    {                                                                                                                  \
        type x, y, z;                                                                                                  \
    };                                                                                                                 \
    struct __attribute__((aligned(sizeof(type) < 4 ? 4 * sizeof(type) : 16))) name##4                                  \
    {                                                                                                                  \
        type x, y, z, w;                                                                                               \
    };                                                                                                                 \
    static inline name##1 make_##name##1(type x)                                                                       \
    {                                                                                                                  \
        return {x};                                                                                                    \
    }                                                                                                                  \
    static inline name##2 make_##name##2(type x, type y)                                                               \
    {                                                                                                                  \
        return {x, y};                                                                                                 \
    }                                                                                                                  \
    static inline name##3 make_##name##3(type x, type y, type z)                                                       \
    {                                                                                                                  \
        return {x, y, z};                                                                                              \
    }                                                                                                                  \
    static inline name##4 make_##name##4(type x, type y, type z, type w)                                               \
    {                                                                                                                  \
        return {x, y, z, w};                                                                                           \
    }

PK_CPU_VECTORS_(char, signed char)
PK_CPU_VECTORS_(uchar, unsigned char)
PK_CPU_VECTORS_(short, short)
PK_CPU_VECTORS_(ushort, unsigned short)
PK_CPU_VECTORS_(int, int)
PK_CPU_VECTORS_(uint, unsigned)
PK_CPU_VECTORS_(long, long)
PK_CPU_VECTORS_(ulong, unsigned long)
PK_CPU_VECTORS_(longlong, long long)
PK_CPU_VECTORS_(ulonglong, unsigned long long)
PK_CPU_VECTORS_(float, float)
PK_CPU_VECTORS_(double, double)
#undef PK_CPU_VECTORS_

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z)
    {
    }
    constexpr operator uint3() const
    {
        return uint3{x, y, z};
    }
};

#endif
