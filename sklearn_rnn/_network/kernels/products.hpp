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

// Rows of a and of b: c[i][j] += sum over k of a[k][i] * b[k][j].
template <class real>
struct RowPairs {
    int64_t n;
    const real *a;
    int64_t stride_a;
    const real *b;
    int64_t stride_b;
};

// M columns of a, from `first` on, times N vectors of columns of b.
template <class real, int M, int N>
NOINLINE void outer_product_tile(const RowPairs<real> (&parts)[2], int64_t first, real *sums) {
    Tile<real, M, N> tile;
    tile.begin_with_zeros();
    for (const RowPairs<real> &part : parts)
        tile.add_outer_products(part.n, part.a + first, part.stride_a, part.b, part.stride_b);
    tile.write(sums, N * LANES<real>);
}

// c += sums, of which the last vector has `lanes` columns.
template <class real>
NOINLINE void add_sums(const real *sums, int n_rows, int n_vectors, int lanes, real *c, int64_t stride) {
    for (int i = 0; i < n_rows; i++)
        for (int v = 0; v < n_vectors; v++, sums += LANES<real>) {
            const int n = v < n_vectors - 1 ? LANES<real> : lanes;
            real *to = c + i * stride + v * LANES<real>;
            if (n == LANES<real>)
                store<real>(to, load<real>(to) + load<real>(sums));
            else
                store_first<real>(to, load_first(to, n) + load<real>(sums), n);
        }
}

// c^T += sums.
template <class real>
NOINLINE void add_transposed_sums(const real *sums, int n_rows, int n_vectors, int lanes, real *c, int64_t stride) {
    const int n = (n_vectors - 1) * LANES<real> + lanes;
    for (int i = 0; i < n_rows; i++, sums += n_vectors * LANES<real>)
        for (int j = 0; j < n; j++) c[j * stride + i] += sums[j];
}

template <class real>
void add_all_tiles(bool is_transposed, int64_t n_rows, int64_t n_a, int64_t n_b, const real *a, int64_t stride_a,
                   const real *b, int64_t stride_b, real *c, int64_t stride_c) {
    Sums<real> sums;
    real last_rows[LANES<real> * 4 * LANES<real>];
    for_groups<real>(4, n_b, [&](int n_vectors, int64_t column) {
        const int width = n_vectors * LANES<real>;
        const int n_columns = static_cast<int>(smaller<int64_t>(width, n_b - column));
        const int lanes = n_columns - (n_vectors - 1) * LANES<real>;
        const int64_t n_whole = lanes == LANES<real> ? n_rows : rows_to_read_past<real>(n_rows, lanes, stride_b);
        for (int64_t k = n_whole; k < n_rows; k++) {  // a whole vector of them would end outside the array
            real *row = last_rows + (k - n_whole) * width;
            memset(row, 0, width * sizeof(real));
            memcpy(row, b + k * stride_b + column, n_columns * sizeof(real));
        }
        const RowPairs<real> parts[2] = {{n_whole, a, stride_a, b + column, stride_b},
                                         {n_rows - n_whole, a + n_whole * stride_a, stride_a, last_rows, width}};
        for_rows(n_vectors, 0, n_a, [&](int n, int64_t first) {
            if (!is_transposed)  // they are in a slower cache, until add_sums needs them
                for (int i = 0; i < n; i++)
                    for (int v = 0; v < n_vectors; v++)
                        __builtin_prefetch(c + (first + i) * stride_c + column + v * LANES<real>, 1);
            with_tile(n, n_vectors, [&](auto rows, auto vectors) INLINE_LAMBDA {
                outer_product_tile<real, rows.value, vectors.value>(parts, first, sums.values);
            });
            if (is_transposed)
                add_transposed_sums(sums.values, n, n_vectors, lanes, c + column * stride_c + first, stride_c);
            else
                add_sums(sums.values, n, n_vectors, lanes, c + first * stride_c + column, stride_c);
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
    add_all_tiles(false, n_rows, n_a, n_first, a, stride_a, b, stride_b, c, stride_c);
    if (n_first < n_b)
        add_all_tiles(true, n_rows, n_b - n_first, n_a, b + n_first, stride_b, a, stride_a, c + n_first, stride_c);
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
