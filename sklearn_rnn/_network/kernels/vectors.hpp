// Vectors as large as a register of the instruction set that this file is compiled for: GCC's and Clang's vector
// extensions.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <xmmintrin.h>
#endif

// Everything is in an unnamed namespace: the same source is compiled for several instruction sets, and the linker must
// not merge functions of two builds. For the same reason the kernels use no template of the standard library.
namespace {

#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
#elif defined(__AVX__)
constexpr int VECTOR_BYTES = 32;
#else
constexpr int VECTOR_BYTES = 16;
#endif

// Loads and stores of some lanes take one instruction.
#if defined(__AVX512F__)
constexpr bool HAS_MASKS = true;
#else
constexpr bool HAS_MASKS = false;
#endif

// Sequences in a register tile. With 4 vectors for each, 24 of 32 registers (or 12 of 16) hold sums.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int TILE_ROWS = 6;
#else
constexpr int TILE_ROWS = 3;
#endif

template <class real>
struct Types;

template <>
struct Types<float> {
    typedef float vec __attribute__((vector_size(VECTOR_BYTES)));
    typedef uint32_t uvec __attribute__((vector_size(VECTOR_BYTES)));
};

template <>
struct Types<double> {
    typedef double vec __attribute__((vector_size(VECTOR_BYTES)));
    typedef uint64_t uvec __attribute__((vector_size(VECTOR_BYTES)));
};

template <class real>
using Vec = typename Types<real>::vec;
// The bits of a vector. They are unsigned: sums with the bits of NaN may overflow.
template <class real>
using UVec = typename Types<real>::uvec;

template <class real>
constexpr int LANES = VECTOR_BYTES / static_cast<int>(sizeof(real));

template <class number>
INLINE number smaller(number a, number b) {
    return b < a ? b : a;
}

template <class real>
INLINE Vec<real> broadcast(real value) {
    return value - Vec<real>{};  // keeps -0, NaN and inf
}

// The larger and the smaller of x and a bound; NaN stays NaN.
template <class real>
INLINE Vec<real> at_least(real bound, Vec<real> x) {
    return x < bound ? broadcast(bound) : x;
}

template <class real>
INLINE Vec<real> at_most(real bound, Vec<real> x) {
    return x > bound ? broadcast(bound) : x;
}

#if defined(__AVX512F__)
// One instruction each; the compiler would take two. The masks keep GCC from warnings about its own headers.
template <>
INLINE Vec<float> at_least(float bound, Vec<float> x) {
    return (Vec<float>)_mm512_maskz_max_ps(0xffff, (__m512)broadcast(bound), (__m512)x);
}

template <>
INLINE Vec<double> at_least(double bound, Vec<double> x) {
    return (Vec<double>)_mm512_maskz_max_pd(0xff, (__m512d)broadcast(bound), (__m512d)x);
}

template <>
INLINE Vec<float> at_most(float bound, Vec<float> x) {
    return (Vec<float>)_mm512_maskz_min_ps(0xffff, (__m512)broadcast(bound), (__m512)x);
}

template <>
INLINE Vec<double> at_most(double bound, Vec<double> x) {
    return (Vec<double>)_mm512_maskz_min_pd(0xff, (__m512d)broadcast(bound), (__m512d)x);
}

// x 2^n, also if it is subnormal.
INLINE Vec<float> scaled(Vec<float> x, Vec<float> n) {
    return (Vec<float>)_mm512_maskz_scalef_ps(0xffff, (__m512)x, (__m512)n);
}

INLINE Vec<double> scaled(Vec<double> x, Vec<double> n) {
    return (Vec<double>)_mm512_maskz_scalef_pd(0xff, (__m512d)x, (__m512d)n);
}
#endif

// Whole vectors. The memory may be unaligned, here and below.
template <class real>
INLINE Vec<real> load(const real *from) {
    Vec<real> v;
    memcpy(&v, from, sizeof v);
    return v;
}

template <class real>
INLINE void store(real *to, Vec<real> v) {
    memcpy(to, &v, sizeof v);
}

// Neighbouring lanes of a vector, `first` to `first + n - 1`. No memory of other lanes is read or written.
template <class real>
struct Piece {
    int first, n;
    uint32_t mask;  // a bit for each lane

    Piece() = default;
    Piece(int first, int n) : first(first), n(n), mask(static_cast<uint32_t>(((uint64_t(1) << n) - 1) << first)) {}

    // `from` and `to` are the addresses of lane 0, also if the piece does not have it.
    INLINE Vec<real> load(Vec<real> others, const real *from) const;
    INLINE void store(real *to, Vec<real> v) const;
};

#if defined(__AVX512F__)
template <>
INLINE Vec<float> Piece<float>::load(Vec<float> others, const float *from) const {
    return (Vec<float>)_mm512_mask_loadu_ps(others, static_cast<__mmask16>(mask), from);
}

template <>
INLINE Vec<double> Piece<double>::load(Vec<double> others, const double *from) const {
    return (Vec<double>)_mm512_mask_loadu_pd(others, static_cast<__mmask8>(mask), from);
}

template <>
INLINE void Piece<float>::store(float *to, Vec<float> v) const {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask), v);
}

template <>
INLINE void Piece<double>::store(double *to, Vec<double> v) const {
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>(mask), v);
}
#else
template <class real>
INLINE Vec<real> Piece<real>::load(Vec<real> others, const real *from) const {
    for (int lane = first; lane < first + n; lane++) others[lane] = from[lane];
    return others;
}

template <class real>
INLINE void Piece<real>::store(real *to, Vec<real> v) const {
    for (int lane = first; lane < first + n; lane++) to[lane] = v[lane];
}
#endif

// The first `n` lanes; the others are 0.
template <class real>
INLINE Vec<real> load_first(const real *from, int n) {
    return Piece<real>(0, n).load(Vec<real>{}, from);
}

template <class real>
INLINE void store_first(real *to, Vec<real> v, int n) {
    Piece<real>(0, n).store(to, v);
}

// As long as an object of this class exists, this thread treats subnormal numbers (below 1.2e-38 in float) as 0. Many
// processors are slow with them, and errors that vanish over many steps become subnormal.
class SubnormalsAreZero {
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr();

  public:
    SubnormalsAreZero() { _mm_setcsr(before | 0x8040); }  // flush to zero, denormals are zero
    ~SubnormalsAreZero() { _mm_setcsr(before); }
#elif defined(__aarch64__)
    uint64_t before;

  public:
    SubnormalsAreZero() {
        asm volatile("mrs %0, fpcr" : "=r"(before));
        asm volatile("msr fpcr, %0" : : "r"(before | (1 << 24)));  // flush to zero
    }
    ~SubnormalsAreZero() { asm volatile("msr fpcr, %0" : : "r"(before)); }
#else
  public:
    SubnormalsAreZero() {}
#endif
    SubnormalsAreZero(const SubnormalsAreZero &) = delete;
};

}  // namespace
