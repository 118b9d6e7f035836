// Vectors as large as a register of the instruction set that this file is compiled for: GCC's and Clang's vector
// extensions.
#pragma once
#include <cstdint>
#include <cstring>
#ifdef __SSE2__
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

template <class real>
INLINE Vec<real> broadcast(real value) {
    return value - Vec<real>{};  // keeps -0, NaN and inf
}

// Reads the first `n` lanes; the other lanes are 0. FULL: n == LANES. The memory may be unaligned.
template <bool FULL, class real>
INLINE Vec<real> load(const real *from, int n) {
    Vec<real> v{};
    if (FULL)
        memcpy(&v, from, sizeof v);
    else
        for (int lane = 0; lane < n; lane++) v[lane] = from[lane];
    return v;
}

// Writes only the first `n` lanes. FULL: n == LANES.
template <bool FULL, class real>
INLINE void store(real *to, Vec<real> v, int n) {
    if (FULL)
        memcpy(to, &v, sizeof v);
    else
        for (int lane = 0; lane < n; lane++) to[lane] = v[lane];
}

// Whole vectors, in memory whose rows have whole vectors: panels, tape, sums.
template <class real>
INLINE Vec<real> load(const real *from) {
    return load<true>(from, LANES<real>);
}

template <class real>
INLINE void store(real *to, Vec<real> v) {
    store<true>(to, v, LANES<real>);
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

template <class number>
INLINE number smaller(number a, number b) {
    return b < a ? b : a;
}

}  // namespace
