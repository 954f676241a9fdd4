/* Which kernel a launch means, where its name alone does not say.
 *
 * A launch names a kernel and gives arguments, as a call does. Where the name stands for one function its parameters
 * are known. Where it stands for several, or for a template whose arguments follow from the call's, C++ chooses by the
 * arguments and does not tell which; and a default argument is lost when a function's type is taken. So the parameters'
 * types are sought here. The launch macro carries the name in three lambdas: `Named` gives the signature if there is
 * one function, `Exact` the signature of the function with just these parameters, and `Body` calls the kernel. Where
 * one of them does not compile, that is no error but the answer no. */
#ifndef PK_CPU_CHOICE_H
#define PK_CPU_CHOICE_H

#include <stddef.h>
#include <stdint.h>

#include <tuple>
#include <type_traits>
#include <utility>

template <class... P> struct pk_cpu_signature {
    void (*function)(P...);
};

template <class... P> pk_cpu_signature<P...> pk_cpu_signature_of(void (*function)(P...))
{
    static_assert((std::is_trivially_copyable<P>::value && ...), "kernel parameters are copied as bytes");
    return {function};
}

/* `Any` makes the call depend on the lambda's parameter, so that it may fail. */
template <class Any, class... P> pk_cpu_signature<P...> pk_cpu_signature_at(Any, void (*function)(P...))
{
    return pk_cpu_signature_of(function);
}

template <class... P> struct pk_cpu_exactly {
    pk_cpu_signature<P...> of(void (*function)(P...)) const
    {
        return {function};
    }
};

template <class... T> struct pk_cpu_types {
};

/* In the place of an argument: becomes a parameter of type X, and of no other. */
template <class X> struct pk_cpu_only {
    template <class T, class = typename std::enable_if<std::is_same<T, X>::value>::type> operator T() const;
};

/* The same for an integer that must be a null pointer: NULL or 0, passed on, is no longer one to C++. */
template <class T> struct pk_cpu_literal {
    T value;
    template <class N, class = typename std::enable_if<std::is_arithmetic<N>::value>::type> operator N() const
    {
        return (N)value;
    }
    template <class X> operator X *() const
    {
        return reinterpret_cast<X *>((uintptr_t)value);
    }
};

template <class T>
using pk_cpu_or_literal =
    typename std::conditional<std::is_same<T, int>::value || std::is_same<T, long>::value, pk_cpu_literal<T>, T>::type;

/* ---- numbers: C++ converts them, so the parameter's type is what accepts nothing else ---- */

/* Whether Body can be called with the arguments A..., an X in the place of number I. */
template <size_t I, class X, class Body, class... A, size_t... J>
constexpr bool pk_cpu_accepts(std::index_sequence<J...>)
{
    return std::is_invocable<const Body &, typename std::conditional<I == J, const X, A>::type &...>::value;
}

/* The first of the types that parameter I is, or that of its argument: as pk_cpu_types of one. */
template <size_t I, class Body, class... A>
pk_cpu_types<typename std::tuple_element<I, std::tuple<A...>>::type> pk_cpu_parameter(pk_cpu_types<>)
{
    return {};
}

template <size_t I, class Body, class... A, class First, class... Rest>
auto pk_cpu_parameter(pk_cpu_types<First, Rest...>)
{
    typedef typename std::tuple_element<I, std::tuple<A...>>::type argument;
    constexpr bool number = std::is_arithmetic<argument>::value;
    if constexpr (number && pk_cpu_accepts<I, pk_cpu_only<First>, Body, A...>(std::index_sequence_for<A...>{}))
        return pk_cpu_types<First>{};
    else if constexpr (number)
        return pk_cpu_parameter<I, Body, A...>(pk_cpu_types<Rest...>{});
    else
        return pk_cpu_parameter<I, Body, A...>(pk_cpu_types<>{});
}

typedef pk_cpu_types<int, unsigned, float, double, long, unsigned long, long long, unsigned long long, bool, char,
                     signed char, unsigned char, short, unsigned short>
    pk_cpu_numbers;

template <class T> T pk_cpu_one(pk_cpu_types<T>);

template <class Body, class... A, size_t... I>
auto pk_cpu_parameters(std::index_sequence<I...>)
    -> pk_cpu_types<decltype(pk_cpu_one(pk_cpu_parameter<I, Body, A...>(pk_cpu_numbers{})))...>;

/* ---- pointers: a parameter may promise not to write where the argument does not ---- */

template <class T, bool Const> struct pk_cpu_pointer {
    typedef T type;
};
template <class T> struct pk_cpu_pointer<T *, true> {
    typedef const T *type;
};

/* P..., with const where the bits of Which say so. */
template <size_t Which, class... P, size_t... I>
auto pk_cpu_with_const(std::index_sequence<I...>)
    -> pk_cpu_exactly<typename pk_cpu_pointer<P, (Which >> I & 1) != 0>::type...>;

/* The signature with such parameters, from the first choice of const that the name has: a pk_cpu_signature, or int. */
template <class Exact, size_t Which, class... P> auto pk_cpu_find_exact(const Exact &exact, pk_cpu_types<P...> types)
{
    typedef decltype(pk_cpu_with_const<Which, P...>(std::index_sequence_for<P...>{})) exactly;
    constexpr size_t n = sizeof...(P) < 8 ? sizeof...(P) : 8; /* pointers that are looked at */
    if constexpr (std::is_invocable<const Exact &, exactly>::value)
        return exact(exactly{});
    else if constexpr (Which + 1 < (size_t)1 << n)
        return pk_cpu_find_exact<Exact, Which + 1>(exact, types);
    else
        return 0;
}

#endif
