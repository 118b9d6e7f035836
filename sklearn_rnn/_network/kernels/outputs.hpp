// The output layer of predictions: scores = h V + c. The bits of a row do not depend on the other rows: a sequence has
// the same scores alone, in any batch, and step by step.
#pragma once
#include "kernels.h"
#include "tiles.hpp"

namespace {

template <class real>
int64_t output_panels_size(int64_t n_hidden, int64_t n_outputs) {
    const int64_t n_vectors = (n_outputs + LANES<real> - 1) / LANES<real>;
    return n_vectors * LANES<real> * (1 + n_hidden);
}

// A panel holds the biases, then the weights of every unit.
template <class real>
void pack_output(int64_t n_hidden, int64_t n_outputs, const void *weight, const void *bias, void *panels) {
    PanelWriter<real> panel{static_cast<real *>(panels)};
    const auto pack_row = [&](const void *row, int64_t column, int n_vectors) {
        for (int v = 0; v < n_vectors; v++)
            panel.write(static_cast<const real *>(row), column + v * LANES<real>, n_outputs);
    };
    for_groups<4, real>(n_outputs, [&](auto columns, int64_t column) {
        pack_row(bias, column, columns.n);
        for (int64_t k = 0; k < n_hidden; k++)
            pack_row(static_cast<const real *>(weight) + k * n_outputs, column, columns.n);
    });
}

template <class real, int M, int N>
NOINLINE void output_tile(int64_t n_hidden, int64_t n_outputs, const real *panel, const real *hidden, real *scores,
                          int64_t n_left) {
    Tile<real, M, N> tile;
    tile.multiply(n_hidden, hidden, n_hidden, tile.begin_with(panel));
    Sums<real, M, N> sums;
    tile.write(sums.values);
    for (int i = 0; i < M; i++)
        for (int v = 0; v < N; v++) {
            const int lanes = static_cast<int>(smaller<int64_t>(LANES<real>, n_left - v * LANES<real>));
            store_first<real>(scores + i * n_outputs + v * LANES<real>, sums.at(i, v), lanes);
        }
}

template <class real>
void output(int64_t n_rows, int64_t n_hidden, int64_t n_outputs, const void *panels, const void *hidden,
            void *scores) {
    const SubnormalsAreZero mode;
    const real *panel = static_cast<const real *>(panels), *row = static_cast<const real *>(hidden);
    real *score = static_cast<real *>(scores);
    for_groups<4, real>(n_outputs, [&](auto columns, int64_t column) {
        constexpr int N = columns.n;
        for_rows<N>(0, n_rows, [&](auto rows, int64_t first) {
            output_tile<real, rows.n, N>(n_hidden, n_outputs, panel, row + first * n_hidden,
                                         score + first * n_outputs + column, n_outputs - column);
        });
        panel += (1 + n_hidden) * N * LANES<real>;
    });
}

}  // namespace
