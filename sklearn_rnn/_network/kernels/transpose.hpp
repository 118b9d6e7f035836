// Rows to columns.
#pragma once
#include "tiles.hpp"

namespace {

#if defined(__AVX512F__)
// columns[k]: element k of each of 16 rows. The rows are contiguous only along k: 4 elements of 4 rows are loaded into
// a quarter of a vector, and transposed there. The masks keep GCC from warnings about its own headers.
INLINE void load_transposed(const float *rows, int64_t stride, Vec<float> columns[4]) {
    __m512 quarters[4];
    unrolled<4>([&](auto j) INLINE_LAMBDA {
        const auto row = [&](int i) INLINE_LAMBDA { return _mm_loadu_ps(rows + (4 * i + j.value) * stride); };
        __m512 v = _mm512_castps128_ps512(row(0));
        v = _mm512_insertf32x4(v, row(1), 1);
        v = _mm512_insertf32x4(v, row(2), 2);
        quarters[j.value] = _mm512_insertf32x4(v, row(3), 3);
    });
    const __m512d a = (__m512d)_mm512_maskz_unpacklo_ps(0xffff, quarters[0], quarters[1]);
    const __m512d b = (__m512d)_mm512_maskz_unpacklo_ps(0xffff, quarters[2], quarters[3]);
    const __m512d c = (__m512d)_mm512_maskz_unpackhi_ps(0xffff, quarters[0], quarters[1]);
    const __m512d d = (__m512d)_mm512_maskz_unpackhi_ps(0xffff, quarters[2], quarters[3]);
    columns[0] = (Vec<float>)_mm512_maskz_unpacklo_pd(0xff, a, b);
    columns[1] = (Vec<float>)_mm512_maskz_unpackhi_pd(0xff, a, b);
    columns[2] = (Vec<float>)_mm512_maskz_unpacklo_pd(0xff, c, d);
    columns[3] = (Vec<float>)_mm512_maskz_unpackhi_pd(0xff, c, d);
}

// The columns of LANES rows, one after the other: column k begins at to[k * width].
INLINE void transpose(int64_t n_columns, const float *rows, int64_t stride, float *to, int64_t width) {
    int64_t k = 0;
    for (; k + 4 <= n_columns; k += 4) {
        Vec<float> columns[4];
        load_transposed(rows + k, stride, columns);
        for (int j = 0; j < 4; j++) store<float>(to + (k + j) * width, columns[j]);
    }
    for (int lane = 0; lane < LANES<float>; lane++)
        for (int64_t j = k; j < n_columns; j++) to[j * width + lane] = rows[lane * stride + j];
}
#endif

template <class real>
INLINE void transpose(int64_t n_columns, const real *rows, int64_t stride, real *to, int64_t width) {
    for (int lane = 0; lane < LANES<real>; lane++)
        for (int64_t k = 0; k < n_columns; k++) to[k * width + lane] = rows[lane * stride + k];
}

}  // namespace
