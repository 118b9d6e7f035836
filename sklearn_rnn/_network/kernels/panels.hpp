// How the recurrent layers' weights are packed for the passes.
#pragma once
#include "transpose.hpp"

namespace {

// In GRU the last gate has two sums: one of x, one of h.
template <class Cell>
constexpr bool HAS_TWO_LAST_SUMS = Cell::N_SUMS > Cell::N_GATES;

// Units of whole vectors, if the last units, which are less than a vector, have a path of their own. Without masks this
// path takes more time than it saves.
template <class real>
INLINE int64_t units_before_tail(int64_t n_units) {
    return HAS_MASKS ? n_units / LANES<real> * LANES<real> : n_units;
}

// In the forward pass of the simple cell, the last units stay in a panel with the vectors before them: a single gate
// leaves no columns to pack, and a sequence alone would wait for the sums of one more panel.
template <class Cell>
constexpr bool HAS_TAIL_PANEL = HAS_MASKS && Cell::N_GATES > 1;

// A panel of `n` vectors of units from `unit` on; or of the last units, whose columns of all gates are packed into n
// vectors. It holds `biases` vectors, then `columns` vectors for every feature and for every unit.
struct ForwardPanel {
    int64_t unit;
    bool is_tail;
    int n, biases, columns;

    int64_t vectors(int64_t n_features, int64_t n_units) const { return biases + columns * (n_features + n_units); }
};

// Calls function(ForwardPanel) for each panel. The last units of a cell with two last sums have as many sums as
// columns, twice: after the product with x, and after that with h. Their panel has a second row of biases between the
// two, and a row with 1 in the lanes that it replaces.
template <class Cell, class Function>
INLINE void for_panels(int64_t n_units, const Function &function) {
    using real = typename Cell::real;
    const int64_t n_whole = HAS_TAIL_PANEL<Cell> ? units_before_tail<real>(n_units) : n_units;
    const int64_t n_left = n_units - n_whole;
    for_groups<real>(Cell::VECTORS, n_whole, [&](int n, int64_t unit) {
        function(ForwardPanel{unit, false, n, n * Cell::N_SUMS, n * Cell::N_GATES});
    });
    if (n_left == 0) return;
    const int n = static_cast<int>((n_left * Cell::N_GATES + LANES<real> - 1) / LANES<real>);
    function(ForwardPanel{n_whole, true, n, HAS_TWO_LAST_SUMS<Cell> ? 3 * n : n, n});
}

template <class Cell>
int64_t forward_panels_size(int64_t n_features, int64_t n_units) {
    int64_t vectors = 0;
    for_panels<Cell>(n_units, [&](const ForwardPanel &shape) { vectors += shape.vectors(n_features, n_units); });
    return vectors * LANES<typename Cell::real>;
}

template <class Cell, class real>
void pack_row(const ForwardPanel &shape, PanelWriter<real> &panel, const real *row, int64_t n_units) {
    if (!shape.is_tail) {
        for (int v = 0; v < shape.n; v++)
            for (int gate = 0; gate < Cell::N_GATES; gate++)
                panel.write(row + gate * n_units, shape.unit + v * LANES<real>, n_units);
        return;
    }
    const int n = static_cast<int>(n_units - shape.unit);
    for (int gate = 0; gate < Cell::N_GATES; gate++) panel.write_few(row + gate * n_units + shape.unit, n);
    panel.write_few(nullptr, shape.n * LANES<real> - Cell::N_GATES * n);
}

template <class Cell, class real>
void pack_recurrent_bias(const ForwardPanel &shape, PanelWriter<real> &panel, const real *recurrent_bias,
                         int64_t n_units) {
    if (!shape.is_tail) return panel.write(recurrent_bias, shape.unit, n_units);
    const int n = static_cast<int>(n_units - shape.unit), n_before = (Cell::N_GATES - 1) * n;
    real ones[LANES<real>];
    for (real &one : ones) one = 1;
    const real *const rows[] = {recurrent_bias + shape.unit, ones};
    for (const real *values : rows) {
        panel.write_few(nullptr, n_before);
        panel.write_few(values, n);
        panel.write_few(nullptr, shape.n * LANES<real> - n_before - n);
    }
}

template <class Cell>
void pack_forward(int64_t n_features, int64_t n_units, const void *input, const void *recurrent, const void *bias,
                  const void *recurrent_bias, void *panels) {
    using real = typename Cell::real;
    const real *w = static_cast<const real *>(input), *u = static_cast<const real *>(recurrent);
    const real *b = static_cast<const real *>(bias), *b_hn = static_cast<const real *>(recurrent_bias);
    const int64_t n_columns = Cell::N_GATES * n_units;
    PanelWriter<real> panel{static_cast<real *>(panels)};
    for_panels<Cell>(n_units, [&](const ForwardPanel &shape) {
        pack_row<Cell>(shape, panel, b, n_units);
        if (Cell::HAS_RECURRENT_BIAS) pack_recurrent_bias<Cell>(shape, panel, b_hn, n_units);
        for (int64_t k = 0; k < n_features; k++) pack_row<Cell>(shape, panel, w + k * n_columns, n_units);
        for (int64_t k = 0; k < n_units; k++) pack_row<Cell>(shape, panel, u + k * n_columns, n_units);
    });
}

template <class real>
int64_t transposed_size(int64_t n_rows, int64_t n_columns) {
    const int64_t n_vectors = (n_rows + LANES<real> - 1) / LANES<real>;
    return n_vectors * LANES<real> * n_columns;
}

template <class Cell>
int64_t transposed_panels_size(int64_t n_rows, int64_t n_units) {
    return transposed_size<typename Cell::real>(n_rows, Cell::N_GATES * n_units);
}

// Calls function(number of vectors, first unit) for each panel of transposed weights: up to 4 whole vectors of units,
// then the last units.
template <class real, class Function>
INLINE void for_transposed_panels(int64_t n_units, const Function &function) {
    const int64_t n_whole = units_before_tail<real>(n_units);
    for_groups<real>(4, n_whole, function);
    if (n_whole < n_units) function(1, n_whole);
}

// Panels of transposed weights. A row is a unit or a feature.
template <class real>
void pack_transposed_weights(int64_t n_rows, int64_t n_columns, const real *weights, real *panel) {
    for_transposed_panels<real>(n_rows, [&](int n_vectors, int64_t row) {
        const int width = n_vectors * LANES<real>;
        for (int first = 0; first < width; first += LANES<real>) {
            const int64_t n_left = n_rows - row - first;
            const real *from = weights + (row + first) * n_columns;
            if (n_left >= LANES<real>) {
                transpose(n_columns, from, n_columns, panel + first, width);
                continue;
            }
            for (int lane = 0; lane < LANES<real>; lane++)
                for (int64_t k = 0; k < n_columns; k++)
                    panel[k * width + first + lane] = lane < n_left ? from[lane * n_columns + k] : 0;
        }
        panel += n_columns * width;
    });
}

template <class Cell>
void pack_transposed(int64_t n_rows, int64_t n_units, const void *weights, void *panels) {
    using real = typename Cell::real;
    pack_transposed_weights(n_rows, Cell::N_GATES * n_units, static_cast<const real *>(weights),
                            static_cast<real *>(panels));
}

}  // namespace
