// Products of rows with a few columns, which would leave most lanes of a vector idle: here the lanes are rows.
#pragma once
#include "transpose.hpp"

namespace {

// A product of LANES rows with up to this number of columns takes less time here than in a register tile.
template <class real>
constexpr int MOST_FEW_COLUMNS = 0;

// sums[i][c] = sum over k of rows[i][k] * panel[k][c], in this order, for LANES rows i and N columns c. Rows of sums
// and of the panel are whole vectors.
template <int N, class real>
void multiply_by(int64_t n, const real *rows, int64_t stride, const real *panel, real *sums);

#if defined(__AVX512F__)
template <>
constexpr int MOST_FEW_COLUMNS<float> = 8;

template <int N>
NOINLINE void multiply_by(int64_t n, const float *rows, int64_t stride, const float *panel, float *to) {
    constexpr int L = LANES<float>;
    Vec<float> sums[N] = {}, columns[4];
    int64_t k = 0;
    const auto add = [&](auto j) INLINE_LAMBDA {
        unrolled<N>([&](auto c) INLINE_LAMBDA {
            sums[c.value] += columns[j.value] * broadcast(panel[(k + j.value) * L + c.value]);
        });
    };
    for (; k + 4 <= n; k += 4) {
        load_transposed(rows + k, stride, columns);
        unrolled<4>(add);
    }
    if (k < n) {
        float rest[L * 4] = {};
        for (int i = 0; i < L; i++)
            for (int64_t j = k; j < n; j++) rest[i * 4 + j - k] = rows[i * stride + j];
        load_transposed(rest, 4, columns);
        unrolled<3>([&](auto j) INLINE_LAMBDA {
            if (k + j.value < n) add(j);
        });
    }
    unrolled<N>([&](auto c) INLINE_LAMBDA {
        for (int i = 0; i < L; i++) to[i * L + c.value] = sums[c.value][i];
    });
}
#endif

template <int MOST, class real>
INLINE void multiply_by_few(int n_columns, int64_t n, const real *rows, int64_t stride, const real *panel,
                            real *sums) {
    if constexpr (MOST > 0) {
        if (n_columns == MOST)
            multiply_by<MOST>(n, rows, stride, panel, sums);
        else
            multiply_by_few<MOST - 1>(n_columns, n, rows, stride, panel, sums);
    }
}

}  // namespace
