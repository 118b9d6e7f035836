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
    for_groups<real>(4, n_outputs, [&](int n_vectors, int64_t column) {
        pack_row(bias, column, n_vectors);
        for (int64_t k = 0; k < n_hidden; k++)
            pack_row(static_cast<const real *>(weight) + k * n_outputs, column, n_vectors);
    });
}

template <class real>
void output(int64_t n_rows, int64_t n_hidden, int64_t n_outputs, const void *panels, const void *hidden,
            void *scores) {
    const SubnormalsAreZero mode;
    const real *panel = static_cast<const real *>(panels);
    const Factor<real> rows{n_hidden, static_cast<const real *>(hidden), n_hidden};
    real *score = static_cast<real *>(scores);
    Sums<real> sums;
    for_groups<real>(4, n_outputs, [&](int n_vectors, int64_t column) {
        const int width = n_vectors * LANES<real>;
        const Product<real> product{panel, 0, {rows, NO_FACTOR<real>}, panel + width};
        for_rows(n_vectors, 0, n_rows, [&](int n, int64_t first) {
            multiply_tile(product, n_vectors, first, n, sums.values, width);
            store_sums(sums.values, n, n_vectors, score + first * n_outputs + column, n_outputs, n_outputs - column);
        });
        panel += (1 + n_hidden) * width;
    });
}

}  // namespace
