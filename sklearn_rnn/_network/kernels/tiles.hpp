// Weights packed into panels, and the register tile that multiplies rows by a panel.
#pragma once
#include "vectors.hpp"

namespace {

// A panel holds all weights of N vectors of columns, in the order in which a tile reads them: for each k, N vectors. A
// tile reads the panel once for TILE_ROWS sequences. Lanes after the matrix's last column are 0.

template <class real>
struct PanelWriter {
    real *to;

    INLINE void write(const real *from) {
        store<real>(to, load<real>(from));
        to += LANES<real>;
    }

    // Writes the vector that begins at `column` of a row of `n_columns`.
    INLINE void write(const real *row, int64_t column, int64_t n_columns) {
        const int64_t n_left = n_columns - column;
        if (n_left >= LANES<real>) return write(row + column);
        store<real>(to, load_first(row + column, static_cast<int>(n_left)));
        to += LANES<real>;
    }

    // Writes `n` numbers, or as many zeros if `from` is null.
    INLINE void write_few(const real *from, int n) {
        for (int i = 0; i < n; i++) *to++ = from ? from[i] : 0;
    }
};

// Calls function(Index<0>) to function(Index<N - 1>). The loop is unrolled before the compiler allocates registers: an
// array with a variable index at that time would be put into memory.
template <int I>
struct Index {
    static constexpr int value = I;
};

template <int N, int I = 0, class Function>
INLINE void unrolled(const Function &function) {
    if constexpr (I < N) {
        function(Index<I>{});
        unrolled<N, I + 1>(function);
    }
}

// One factor of a product of rows with a panel: `n` columns of rows that are `stride` numbers apart.
template <class real>
struct Factor {
    int64_t n;
    const real *rows;
    int64_t stride;

    INLINE Factor from(int64_t row) const { return {n, rows + row * stride, stride}; }
};

// Many products of rows with a panel: the sums of a row begin with the vectors of `start`. The products of the first
// factor are added, then those of the second, whose weights follow in the panel.
template <class real>
struct Product {
    const real *start;
    int64_t start_stride;  // 0: all rows begin with the same vectors
    Factor<real> factors[2];
    const real *panel;
};

template <class real>
constexpr Factor<real> NO_FACTOR{0, nullptr, 0};

// The start of sums that begin with 0.
template <class real>
alignas(VECTOR_BYTES) constexpr real ZEROS[4 * LANES<real>] = {};

// The register tile: M rows times N columns of vectors. The sums of a row run over k in the same order for any M: their
// bits do not depend on the rows that share the tile.
template <class real, int M, int N>
struct Tile {
    Vec<real> sums[M][N];

    // Every row begins with N vectors; the next row's are `stride` numbers further.
    INLINE void begin_with(const real *start, int64_t stride) {
        unrolled<M>([&](auto i) INLINE_LAMBDA {
            unrolled<N>([&](auto c) INLINE_LAMBDA {
                sums[i.value][c.value] = load<real>(start + i.value * stride + c.value * LANES<real>);
            });
        });
    }

    INLINE void begin_with_zeros() {
        unrolled<M>([&](auto i) INLINE_LAMBDA {
            unrolled<N>([&](auto c) INLINE_LAMBDA { sums[i.value][c.value] = Vec<real>{}; });
        });
    }

    // sums[i][c] += sum over k of rows[i][k] * panel[k][c]. The panel has C columns; the last one adds to
    // sums[i][LAST]. Returns the panel behind them.
    template <int C = N, int LAST = C - 1>
    INLINE const real *multiply(const Factor<real> &factor, const real *panel) {
        for (int64_t k = 0; k < factor.n; k++, panel += C * LANES<real>)
            unrolled<M>([&](auto i) INLINE_LAMBDA {
                const Vec<real> number = broadcast(factor.rows[i.value * factor.stride + k]);
                unrolled<C>([&](auto c) INLINE_LAMBDA {
                    constexpr int sum = c.value == C - 1 ? LAST : c.value;
                    sums[i.value][sum] += number * load<real>(panel + c.value * LANES<real>);
                });
            });
        return panel;
    }

    // sums[i][c] += sum over k of a[k][i] * b[k][c].
    INLINE void add_outer_products(int64_t n, const real *a, int64_t stride_a, const real *b, int64_t stride_b) {
        for (int64_t k = 0; k < n; k++, a += stride_a, b += stride_b) {
            Vec<real> columns[N];
            unrolled<N>([&](auto c) INLINE_LAMBDA { columns[c.value] = load<real>(b + c.value * LANES<real>); });
            unrolled<M>([&](auto i) INLINE_LAMBDA {
                const Vec<real> factor = broadcast(a[i.value]);
                unrolled<N>([&](auto c) INLINE_LAMBDA { sums[i.value][c.value] += factor * columns[c.value]; });
            });
        }
    }

    // Copies the sums from registers to memory, row by row, for a loop over rows and columns: a row every `stride`
    // numbers.
    INLINE void write(real *to, int64_t stride) const {
        unrolled<M>([&](auto i) INLINE_LAMBDA {
            unrolled<N>([&](auto c) INLINE_LAMBDA {
                store<real>(to + i.value * stride + c.value * LANES<real>, sums[i.value][c.value]);
            });
        });
    }
};

// Rows of a tile with `n` vectors for each: fewer vectors leave registers for more rows.
constexpr int MOST_ROWS[] = {0, 2 * TILE_ROWS, 2 * TILE_ROWS, 4 * TILE_ROWS / 3, TILE_ROWS};

// The sums of a tile, row by row, between the registers and the epilogue.
template <class real>
struct Sums {
    alignas(VECTOR_BYTES) real values[4 * TILE_ROWS * LANES<real>];
};

// Splits rows `start` to `stop - 1` into tiles of nearly equal size, with `n_vectors` vectors for each row; calls
// function(number of rows, first row) for each.
template <class Function>
INLINE void for_rows(int n_vectors, int64_t start, int64_t stop, const Function &function) {
    const int64_t most = MOST_ROWS[n_vectors];
    for (int64_t n_tiles = (stop - start + most - 1) / most; n_tiles > 0; n_tiles--) {
        const int64_t n = (stop - start + n_tiles - 1) / n_tiles;
        function(static_cast<int>(n), start);
        start += n;
    }
}

// Calls function(Index<M>{}) with M = n, which is from 1 to MOST.
template <int MOST, class Function>
INLINE void with_index(int n, const Function &function) {
    if (n == MOST)
        function(Index<MOST>{});
    else if constexpr (MOST > 1)
        with_index<MOST - 1>(n, function);
}

// Calls function(Index<M>{}, Index<N>{}) for a tile of M = n_rows rows of N = n_vectors vectors.
template <class Function>
INLINE void with_tile(int n_rows, int n_vectors, const Function &function) {
    with_index<4>(n_vectors, [&](auto vectors) INLINE_LAMBDA {
        with_index<MOST_ROWS[vectors.value]>(n_rows, [&](auto rows) INLINE_LAMBDA { function(rows, vectors); });
    });
}

// M rows of N sums, with C columns in the panel. If C is less, the last column belongs to sum C - 1 in the products of
// the first factor, and to the last sum in those of the second.
template <class real, int M, int N, int C>
NOINLINE void product_tile(const Product<real> &product, int64_t row, real *sums, int64_t stride) {
    Tile<real, M, N> tile;
    tile.begin_with(product.start + row * product.start_stride, product.start_stride);
    const real *panel = product.panel;
    if constexpr (C == N) {
        for (const Factor<real> &factor : product.factors) panel = tile.multiply(factor.from(row), panel);
    } else {
        panel = tile.template multiply<C>(product.factors[0].from(row), panel);
        tile.template multiply<C, N - 1>(product.factors[1].from(row), panel);
    }
    tile.write(sums, stride);
}

// The sums of a tile of rows; `sums` has a row every `stride` numbers. All layers and passes share these functions:
// those of a cell or of a pass alone would take three times as long to compile.
template <class real>
NOINLINE void multiply_tile(const Product<real> &product, int n_vectors, int64_t row, int n_rows, real *sums,
                            int64_t stride) {
    with_tile(n_rows, n_vectors, [&](auto rows, auto vectors) INLINE_LAMBDA {
        product_tile<real, rows.value, vectors.value, vectors.value>(product, row, sums, stride);
    });
}

// The same for rows 0 to `n_rows` - 1, any number of them.
template <class real>
void multiply_rows(const Product<real> &product, int n_vectors, int64_t n_rows, real *sums, int64_t stride) {
    for_rows(n_vectors, 0, n_rows, [&](int n, int64_t row) {
        multiply_tile(product, n_vectors, row, n, sums + row * stride, stride);
    });
}

// Copies rows of sums to rows that have `n_columns` columns from there on.
template <class real>
NOINLINE void store_sums(const real *sums, int n_rows, int n_vectors, real *to, int64_t stride, int64_t n_columns) {
    for (int i = 0; i < n_rows; i++)
        for (int v = 0; v < n_vectors; v++, sums += LANES<real>) {
            const int64_t n_left = n_columns - v * LANES<real>;
            real *at = to + i * stride + v * LANES<real>;
            if (n_left >= LANES<real>)
                store<real>(at, load<real>(sums));
            else
                store_first<real>(at, load<real>(sums), static_cast<int>(n_left));
        }
}

// Rows `start` to `stop` - 1 of the sums of a panel of `n_vectors` vectors: columns of to (n_rows, n_columns), from
// `column` on.
template <class real>
void multiply_panel(const Product<real> &product, int n_vectors, int64_t start, int64_t stop, real *to, int64_t column,
                    int64_t n_columns) {
    Sums<real> sums;
    for_rows(n_vectors, start, stop, [&](int n, int64_t first) {
        multiply_tile(product, n_vectors, first, n, sums.values, n_vectors * LANES<real>);
        store_sums(sums.values, n, n_vectors, to + first * n_columns + column, n_columns, n_columns - column);
    });
}

// Splits units into groups of up to `most` vectors; calls group(number of vectors, first unit) for each. The last
// vector may be less than whole.
template <class real, class Group>
INLINE void for_groups(int64_t most, int64_t n_units, const Group &group) {
    int64_t unit = 0, n_vectors = (n_units + LANES<real> - 1) / LANES<real>;
    while (n_vectors > 0) {
        const int64_t n = smaller(most, n_vectors);
        group(static_cast<int>(n), unit);
        n_vectors -= n, unit += n * LANES<real>;
    }
}

}  // namespace
