// Products of integers of 8 bits: rows of activations times a panel of weights. Sums have 32 bits and are exact, so every
// level has the same.
#pragma once
#include "tiles.hpp"
#if defined(__SSSE3__) && !defined(__AVX__)
#include <tmmintrin.h>
#endif

namespace {

// A group of 4 bytes holds activations of a row, which are multiplied at once by the weights of a column: 4 integers of 8
// bits, or 2 of 16 bits if there are no instructions for 4.
#if defined(__AVX512VNNI__)
typedef uint8_t Integer;
constexpr int OFFSET = 128;  // is added to activations: VNNI takes bytes without sign
#elif defined(__SSSE3__)
typedef int8_t Integer;
constexpr int OFFSET = 0;
#else
typedef int16_t Integer;
constexpr int OFFSET = 0;
#endif
constexpr int GROUP = 4 / static_cast<int>(sizeof(Integer));
constexpr int INT_LANES = VECTOR_BYTES / 4, GROUP_BYTES = INT_LANES * GROUP;

typedef int32_t Ints __attribute__((vector_size(VECTOR_BYTES)));

// Rows of activations and weights are filled up to two groups: a tile of few sums takes two at a time.
INLINE int64_t n_groups_of(int64_t n) {
    return (n + 2 * GROUP - 1) / (2 * GROUP) * 2;
}

// A group in all lanes. `add_products` returns sums + its products with the weights of a vector of columns. With at most
// 2^16 rows of weights no sum overflows: with VNNI, a sum is that of the products so far minus 128 times the sum of the
// weights that follow.
#if defined(__AVX512VNNI__)
struct Activations {
    __m512i bytes;

    explicit INLINE Activations(int32_t group) : bytes((__m512i)(group - Ints{})) {}
    INLINE Ints add_products(Ints sums, const int8_t *weights) const {
        return (Ints)_mm512_dpbusd_epi32((__m512i)sums, bytes, _mm512_loadu_si512(weights));
    }
};
#elif defined(__SSSE3__)
// One instruction multiplies bytes without sign by bytes with a sign, and adds pairs in 16 bits: 2 * 127 * 127 fits. So
// the weights take over the signs of the activations.
struct Activations {
#if defined(__AVX512BW__)
    __m512i magnitudes;
    __mmask64 is_negative;

    explicit INLINE Activations(int32_t group) {
        const __m512i bytes = (__m512i)(group - Ints{});
        magnitudes = _mm512_abs_epi8(bytes), is_negative = _mm512_movepi8_mask(bytes);
    }
    INLINE Ints add_products(Ints sums, const int8_t *weights) const {
        const __m512i bytes = _mm512_loadu_si512(weights);
        const __m512i with_signs = _mm512_mask_sub_epi8(bytes, is_negative, _mm512_setzero_si512(), bytes);
        const __m512i pairs = _mm512_maddubs_epi16(magnitudes, with_signs);
        return sums + (Ints)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
    }
#elif defined(__AVX2__)
    __m256i bytes, magnitudes;

    explicit INLINE Activations(int32_t group)
        : bytes((__m256i)(group - Ints{})), magnitudes(_mm256_abs_epi8(bytes)) {}
    INLINE Ints add_products(Ints sums, const int8_t *weights) const {
        const __m256i with_signs =
            _mm256_sign_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(weights)), bytes);
        const __m256i pairs = _mm256_maddubs_epi16(magnitudes, with_signs);
        return sums + (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    }
#else
    __m128i bytes, magnitudes;

    explicit INLINE Activations(int32_t group) : bytes((__m128i)(group - Ints{})), magnitudes(_mm_abs_epi8(bytes)) {}
    INLINE Ints add_products(Ints sums, const int8_t *weights) const {
        const __m128i with_signs = _mm_sign_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(weights)), bytes);
        const __m128i pairs = _mm_maddubs_epi16(magnitudes, with_signs);
        return sums + (Ints)_mm_madd_epi16(pairs, _mm_set1_epi16(1));
    }
#endif
};
#else
// The weights are widened to 16 bits.
struct Activations {
    typedef int16_t Shorts __attribute__((vector_size(VECTOR_BYTES)));
    typedef int8_t Bytes __attribute__((vector_size(GROUP_BYTES)));
    Shorts pairs;

    explicit INLINE Activations(int32_t group) : pairs((Shorts)(group - Ints{})) {}
    INLINE Ints add_products(Ints sums, const int8_t *weights) const {
        Bytes narrow;
        memcpy(&narrow, weights, sizeof narrow);
        const Shorts wide = __builtin_convertvector(narrow, Shorts);
#if defined(__SSE2__)
        return sums + (Ints)_mm_madd_epi16((__m128i)pairs, (__m128i)wide);
#else
        const auto low = [](Shorts v) INLINE_LAMBDA { return (Ints)((UVec<float>)v << 16) >> 16; };
        return sums + low(pairs) * low(wide) + ((Ints)pairs >> 16) * ((Ints)wide >> 16);
#endif
    }
};
#endif

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
            unrolled<M>([&](auto i) INLINE_LAMBDA {
                const Activations activations(rows.group(row + i.value, k + set.value));
                unrolled<N>([&](auto c) INLINE_LAMBDA {
                    Ints &total = totals[set.value][i.value][c.value];
                    total = activations.add_products(total, weights + c.value * GROUP_BYTES);
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
