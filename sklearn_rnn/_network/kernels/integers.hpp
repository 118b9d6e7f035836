// Products of integers of 8 bits: rows of activations times a panel of weights. Sums have 32 bits and are exact, so every
// level has the same.
#pragma once
#include "tiles.hpp"

namespace {

// A group of 4 bytes holds the activations that one instruction multiplies by the weights of one column, and adds. VNNI
// takes 4 bytes without sign: activations are stored plus 128, and sums begin with what this adds. Elsewhere these are 2
// integers of 16 bits, and the weights are widened when they are read.
#if defined(__AVX512VNNI__)
typedef uint8_t Integer;
constexpr int OFFSET = 128;
#else
typedef int16_t Integer;
constexpr int OFFSET = 0;
#endif
constexpr int GROUP = 4 / static_cast<int>(sizeof(Integer));
constexpr int INT_LANES = VECTOR_BYTES / 4, GROUP_BYTES = INT_LANES * GROUP;

typedef int32_t Ints __attribute__((vector_size(VECTOR_BYTES)));
typedef int16_t Shorts __attribute__((vector_size(VECTOR_BYTES)));

// Rows of activations and weights are filled up to two groups: a tile of few sums takes two at a time.
INLINE int64_t n_groups_of(int64_t n) {
    return (n + 2 * GROUP - 1) / (2 * GROUP) * 2;
}

// sums + the products of one group with the weights of a vector of columns. With at most 2^16 rows of weights no sum
// overflows: with VNNI, a sum is that of the products so far minus 128 times the sum of the weights that follow.
INLINE Ints add_products(Ints sums, int32_t group, const int8_t *weights) {
#if defined(__AVX512VNNI__)
    Ints four;
    memcpy(&four, weights, sizeof four);
    return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)(group - Ints{}), (__m512i)four);
#else
    typedef int8_t Bytes __attribute__((vector_size(GROUP_BYTES)));
    Bytes narrow;
    memcpy(&narrow, weights, sizeof narrow);
    const Shorts pairs = __builtin_convertvector(narrow, Shorts), activations = (Shorts)(group - Ints{});
#if defined(__AVX512BW__)
    return sums + (Ints)_mm512_madd_epi16((__m512i)activations, (__m512i)pairs);
#elif defined(__AVX2__)
    return sums + (Ints)_mm256_madd_epi16((__m256i)activations, (__m256i)pairs);
#elif defined(__SSE2__)
    return sums + (Ints)_mm_madd_epi16((__m128i)activations, (__m128i)pairs);
#else
    const Ints a = (Ints)activations, w = (Ints)pairs;
    const auto low = [](Ints pair) INLINE_LAMBDA { return (Ints)((UVec<float>)pair << 16) >> 16; };
    return sums + low(a) * low(w) + (a >> 16) * (w >> 16);
#endif
#endif
}

// The weights of one matrix in a panel: for each group, GROUP weights for each lane of `n_vectors` vectors of columns.
struct IntegerColumns {
    int n_vectors;
    const int32_t *starts;  // of the sums: (n_vectors * INT_LANES,)
    const int8_t *weights;  // (n_groups, n_vectors, INT_LANES, GROUP)
};

struct IntegerRows {
    int64_t n_groups;
    const Integer *values;  // (n_rows, n_groups * GROUP)

    INLINE int32_t group(int64_t row, int64_t k) const {
        int32_t group;
        memcpy(&group, values + (row * n_groups + k) * GROUP, sizeof group);
        return group;
    }
};

// M rows times N vectors of columns. A sum waits some cycles for its last product: few sums have a second set.
template <int M, int N>
NOINLINE void integer_tile(const IntegerRows &rows, const IntegerColumns &columns, int64_t row, int32_t *sums) {
    constexpr int SETS = M * N < 8 ? 2 : 1;
    Ints totals[SETS][M][N];
    unrolled<M>([&](auto i) INLINE_LAMBDA {
        unrolled<N>([&](auto c) INLINE_LAMBDA {
            memcpy(&totals[0][i.value][c.value], columns.starts + c.value * INT_LANES, sizeof(Ints));
            if constexpr (SETS == 2) totals[1][i.value][c.value] = Ints{};
        });
    });
    const int8_t *weights = columns.weights;
    for (int64_t k = 0; k < rows.n_groups; k += SETS)
        unrolled<SETS>([&](auto set) INLINE_LAMBDA {
            int32_t groups[M];
            unrolled<M>([&](auto i) INLINE_LAMBDA { groups[i.value] = rows.group(row + i.value, k + set.value); });
            unrolled<N>([&](auto c) INLINE_LAMBDA {
                unrolled<M>([&](auto i) INLINE_LAMBDA {
                    Ints &total = totals[set.value][i.value][c.value];
                    total = add_products(total, groups[i.value], weights + c.value * GROUP_BYTES);
                });
            });
            weights += N * GROUP_BYTES;
        });
    unrolled<M>([&](auto i) INLINE_LAMBDA {
        unrolled<N>([&](auto c) INLINE_LAMBDA {
            Ints total = totals[0][i.value][c.value];
            if constexpr (SETS == 2) total += totals[1][i.value][c.value];
            memcpy(sums + (i.value * N + c.value) * INT_LANES, &total, sizeof total);
        });
    });
}

// ---- Rounding ------------------------------------------------------------------------------------------------------

INLINE float to_nearest_even(float value) {
    return __builtin_rintf(value);
}

INLINE double to_nearest_even(double value) {
    return __builtin_rint(value);
}

template <class real>
struct BitsOf;

template <>
struct BitsOf<float> {
    typedef uint32_t type;
};

template <>
struct BitsOf<double> {
    typedef uint64_t type;
};

// The largest absolute value: NaN if there is one, else infinity. Magnitudes have the order of their bits, which a
// compiler can compare in vectors.
template <class real>
real largest_magnitude(const real *values, int64_t n) {
    using Bits = typename BitsOf<real>::type;
    Bits largest = 0;
    for (int64_t k = 0; k < n; k++) {
        Bits bits;
        memcpy(&bits, values + k, sizeof bits);
        bits &= ~Bits(0) >> 1;
        largest = bits > largest ? bits : largest;
    }
    real magnitude;
    memcpy(&magnitude, &largest, sizeof magnitude);
    return magnitude;
}

// The twin of to_int8 in int8_weights.py, with the same bits: writes the integers of a row of `n` activations, filled up
// to `size`; returns their scale.
template <class real>
NOINLINE real round_row(const real *values, int64_t n, int64_t size, Integer *integers) {
    const real largest = largest_magnitude(values, n);
    for (int64_t k = n; k < size; k++) integers[k] = OFFSET;
    if (!(largest >= real(1e-30) && largest * 0 == 0)) {
        for (int64_t k = 0; k < n; k++) integers[k] = OFFSET;
        return largest * 0;
    }
    const real factor = 127 / largest;
    for (int64_t k = 0; k < n; k++)
        integers[k] = static_cast<Integer>(static_cast<int32_t>(to_nearest_even(values[k] * factor)) + OFFSET);
    return largest / 127;
}

}  // namespace
