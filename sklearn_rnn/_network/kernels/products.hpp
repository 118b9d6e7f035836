// c += a^T b over many rows: the sum of all steps' gradients of a weight.
#pragma once
#include "tiles.hpp"

namespace {

// Number of rows of which a whole vector can be read, although only `lanes` columns are left: the rest of the vector is
// in the next rows, and still inside the array.
template <class real>
INLINE int64_t rows_to_read_past(int64_t n_rows, int lanes, int64_t stride) {
    const int64_t n_rows_beyond = (LANES<real> - lanes + stride - 1) / stride;
    return n_rows > n_rows_beyond ? n_rows - n_rows_beyond : 0;
}

// M columns of a times N vectors of columns of b; the last vector has `lanes` columns. IS_TRANSPOSED: c is the
// transposed product.
template <class real, int M, int N, bool IS_TRANSPOSED>
NOINLINE void add_tile(int64_t n_rows, int64_t n_whole, const real *a, int64_t stride_a, const real *b,
                       int64_t stride_b, real *c, int64_t stride_c, int lanes) {
    Tile<real, M, N> tile;
    tile.begin_with_zeros();
    tile.add_outer_products(n_whole, a, stride_a, b, stride_b);
    for (int64_t k = n_whole; k < n_rows; k++) {  // the last rows: a whole vector would end outside the array
        real row[N * LANES<real>] = {};
        memcpy(row, b + k * stride_b, ((N - 1) * LANES<real> + lanes) * sizeof(real));
        tile.add_outer_products(1, a + k * stride_a, stride_a, row, 0);
    }
    Sums<real, M, N> sums;
    tile.write(sums.values);
    for (int i = 0; i < M; i++)
        for (int v = 0; v < N; v++) {
            const int n = v < N - 1 ? LANES<real> : lanes;
            real *to = c + i * stride_c + v * LANES<real>;
            if (IS_TRANSPOSED)
                for (int lane = 0; lane < n; lane++)
                    c[(v * LANES<real> + lane) * stride_c + i] += sums.values[(i * N + v) * LANES<real> + lane];
            else if (n == LANES<real>)
                store<real>(to, load<real>(to) + sums.at(i, v));
            else
                store_first<real>(to, load_first(to, n) + sums.at(i, v), n);
        }
}

template <bool IS_TRANSPOSED, class real>
void add_all_tiles(int64_t n_rows, int64_t n_a, int64_t n_b, const real *a, int64_t stride_a, const real *b,
                   int64_t stride_b, real *c, int64_t stride_c) {
    for_groups<4, real>(n_b, [&](auto columns, int64_t column) {
        constexpr int N = columns.n;
        const int64_t n_left = n_b - column - (N - 1) * LANES<real>;
        const int lanes = static_cast<int>(smaller<int64_t>(LANES<real>, n_left));
        const int64_t n_whole = lanes == LANES<real> ? n_rows : rows_to_read_past<real>(n_rows, lanes, stride_b);
        for_rows<N>(0, n_a, [&](auto rows, int64_t first) {
            real *to = IS_TRANSPOSED ? c + column * stride_c + first : c + first * stride_c + column;
            add_tile<real, rows.n, N, IS_TRANSPOSED>(n_rows, n_whole, a + first, stride_a, b + column, stride_b, to,
                                                     stride_c, lanes);
        });
    });
}

// c (n_a, n_b) += a (n_rows, n_a)^T b (n_rows, n_b); each array has its own stride. a and b are not packed: a tile
// reads a few columns of all rows from the second-level cache, which holds the rows of a range of steps. The last
// columns of b, if they are less than a vector, change places with a where this takes fewer products of vectors.
template <class real>
void add_product(int64_t n_rows, int64_t n_a, int64_t n_b, const real *a, int64_t stride_a, const real *b,
                 int64_t stride_b, real *c, int64_t stride_c) {
    const int64_t n_tail = n_b % LANES<real>, n_vectors_of_a = (n_a + LANES<real> - 1) / LANES<real>;
    const int64_t n_first = n_tail * n_vectors_of_a < n_a ? n_b - n_tail : n_b;
    add_all_tiles<false>(n_rows, n_a, n_first, a, stride_a, b, stride_b, c, stride_c);
    if (n_first < n_b)
        add_all_tiles<true>(n_rows, n_b - n_first, n_a, b + n_first, stride_b, a, stride_a, c + n_first, stride_c);
}

// sums (n_columns,) += the sum of rows (n_rows, n_columns). The rows are added up first, so that the rounding error
// does not grow with the number of steps.
template <class real>
void add_rows(int64_t n_rows, int64_t n_columns, const real *rows, int64_t stride, real *sums) {
    for (int64_t c = 0; c < n_columns; c += LANES<real>) {
        const int lanes = static_cast<int>(smaller<int64_t>(LANES<real>, n_columns - c));
        const bool is_full = lanes == LANES<real>;
        Vec<real> sum{};
        for (int64_t i = 0; i < n_rows; i++) {
            const real *at = rows + i * stride + c;
            sum += is_full ? load<real>(at) : load_first(at, lanes);
        }
        if (is_full)
            store<real>(sums + c, load<real>(sums + c) + sum);
        else
            store_first<real>(sums + c, load_first(sums + c, lanes) + sum, lanes);
    }
}

}  // namespace
