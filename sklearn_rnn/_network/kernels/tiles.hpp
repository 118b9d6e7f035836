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

// The register tile: M rows times N columns of vectors. The sums of a row run over k in the same order for any M: their
// bits do not depend on the rows that share the tile.
template <class real, int M, int N>
struct Tile {
    Vec<real> sums[M][N];

    // Starts every row's sums with the same N vectors; returns the panel behind them.
    INLINE const real *begin_with(const real *panel) {
        unrolled<M>([&](auto i) INLINE_LAMBDA {
            unrolled<N>([&](auto c) INLINE_LAMBDA {
                sums[i.value][c.value] = load<real>(panel + c.value * LANES<real>);
            });
        });
        return panel + N * LANES<real>;
    }

    // Replaces every row's sums in the lanes in which `mask` is not 0.
    INLINE void begin_again(const real *values, const real *mask) {
        unrolled<N>([&](auto c) INLINE_LAMBDA {
            const Vec<real> value = load<real>(values + c.value * LANES<real>);
            const auto is_replaced = load<real>(mask + c.value * LANES<real>) != 0;
            unrolled<M>([&](auto i) INLINE_LAMBDA {
                sums[i.value][c.value] = is_replaced ? value : sums[i.value][c.value];
            });
        });
    }

    INLINE void begin_with_zeros() {
        unrolled<M>([&](auto i) INLINE_LAMBDA {
            unrolled<N>([&](auto c) INLINE_LAMBDA { sums[i.value][c.value] = Vec<real>{}; });
        });
    }

    // sums[i][c] += sum over k of rows[i][k] * panel[k][c]. The panel has C columns; the last one adds to
    // sums[i][LAST].
    template <int C = N, int LAST = C - 1>
    INLINE const real *multiply(int64_t n, const real *rows, int64_t stride, const real *panel) {
        for (int64_t k = 0; k < n; k++, panel += C * LANES<real>)
            unrolled<M>([&](auto i) INLINE_LAMBDA {
                const Vec<real> factor = broadcast(rows[i.value * stride + k]);
                unrolled<C>([&](auto c) INLINE_LAMBDA {
                    constexpr int sum = c.value == C - 1 ? LAST : c.value;
                    sums[i.value][sum] += factor * load<real>(panel + c.value * LANES<real>);
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
    // vectors.
    INLINE void write(real *to, int stride = N) const {
        unrolled<M>([&](auto i) INLINE_LAMBDA {
            unrolled<N>([&](auto c) INLINE_LAMBDA {
                store<real>(to + (i.value * stride + c.value) * LANES<real>, sums[i.value][c.value]);
            });
        });
    }
};

// The sums of M rows of N vectors, between the registers and the epilogue.
template <class real, int M, int N>
struct Sums {
    alignas(VECTOR_BYTES) real values[M * N * LANES<real>];

    INLINE Vec<real> at(int row, int column) const { return load<real>(values + (row * N + column) * LANES<real>); }
};

// Rows of a tile with N vectors for each: fewer vectors leave registers for more rows.
template <int N>
constexpr int MOST_ROWS = TILE_ROWS * 4 / N < TILE_ROWS * 2 ? TILE_ROWS * 4 / N : TILE_ROWS * 2;

// Splits rows `start` to `stop - 1` into tiles of nearly equal size, with N vectors for each row; calls
// function(Rows<M>{}, first row) for each.
template <int M>
struct Rows {
    static constexpr int n = M;
};

template <int M, class Function>
INLINE void tile_of(int64_t n, int64_t start, const Function &function) {
    if (n == M)
        function(Rows<M>{}, start);
    else if constexpr (M > 1)
        tile_of<M - 1>(n, start, function);
}

template <int N, class Function>
INLINE void for_rows(int64_t start, int64_t stop, const Function &function) {
    for (int64_t n_tiles = (stop - start + MOST_ROWS<N> - 1) / MOST_ROWS<N>; n_tiles > 0; n_tiles--) {
        const int64_t n = (stop - start + n_tiles - 1) / n_tiles;
        tile_of<MOST_ROWS<N>>(n, start, function);
        start += n;
    }
}

// Splits units into groups of up to N vectors; calls group(Columns<N>{}, first unit) for each. The last vector may be
// less than whole.
template <int N>
struct Columns {
    static constexpr int n = N;
};

template <int N, class real, class Group>
INLINE void last_group(int64_t unit, int64_t n_vectors, const Group &group) {
    if (n_vectors == N)
        group(Columns<N>{}, unit);
    else if constexpr (N > 1)
        last_group<N - 1, real>(unit, n_vectors, group);
}

template <int N, class real, class Group>
INLINE void for_groups(int64_t n_units, const Group &group) {
    int64_t unit = 0, n_vectors = (n_units + LANES<real> - 1) / LANES<real>;
    for (; n_vectors >= N; n_vectors -= N, unit += N * LANES<real>) group(Columns<N>{}, unit);
    last_group<N, real>(unit, n_vectors, group);
}

}  // namespace
