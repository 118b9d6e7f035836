// The output layer: scores = h V + c. The bits of a row do not depend on the other rows: a sequence has the same scores
// alone, in any batch, and step by step.
#pragma once
#include "kernels.h"
#include "panels.hpp"
#include "products.hpp"

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
    for_groups<real>(4, n_outputs, [&](int n_vectors, int64_t column) {
        const int width = n_vectors * LANES<real>;
        const Product<real> product{panel, 0, {rows, NO_FACTOR<real>}, panel + width};
        multiply_panel(product, n_vectors, 0, n_rows, static_cast<real *>(scores), column, n_outputs);
        panel += (1 + n_hidden) * width;
    });
}

// The weights' gradient is summed for this number of rows at a time, which stay in the second-level cache.
constexpr int64_t ROWS_AT_ONCE = 256;

template <class real>
void pack_output_transposed(int64_t n_hidden, int64_t n_outputs, const void *weight, void *panels) {
    pack_transposed_weights(n_hidden, n_outputs, static_cast<const real *>(weight), static_cast<real *>(panels));
}

// d_hidden = d_scores V^T; d_weight += hidden^T d_scores, and d_bias += the sum of the rows of d_scores.
template <class real>
void output_backward(int64_t n_rows, int64_t n_hidden, int64_t n_outputs, const OutputBackwardArrays &arrays) {
    const SubnormalsAreZero mode;
    const real *d_scores = static_cast<const real *>(arrays.d_scores);
    const real *hidden = static_cast<const real *>(arrays.hidden);
    for (int64_t row = 0; row < n_rows; row += ROWS_AT_ONCE) {
        const int64_t n = smaller(ROWS_AT_ONCE, n_rows - row);
        add_product(n, n_hidden, n_outputs, hidden + row * n_hidden, n_hidden, d_scores + row * n_outputs, n_outputs,
                    static_cast<real *>(arrays.d_weight), n_outputs);
        add_rows(n, n_outputs, d_scores + row * n_outputs, n_outputs, static_cast<real *>(arrays.d_bias));
    }
    const Factor<real> rows{n_outputs, d_scores, n_outputs};
    Product<real> product{ZEROS<real>, 0, {rows, NO_FACTOR<real>}, static_cast<const real *>(arrays.panels)};
    for_transposed_panels<real>(n_hidden, [&](int n_vectors, int64_t unit) {
        multiply_panel(product, n_vectors, 0, n_rows, static_cast<real *>(arrays.d_hidden), unit, n_hidden);
        product.panel += n_outputs * n_vectors * LANES<real>;
    });
}

}  // namespace
