// The loops over time that all cells share: forward over a packed batch, backward over ranges of its steps.
#pragma once
#include "kernels.h"
#include "products.hpp"

namespace {

// The arrays of one step, each at its first row; row i belongs to sequence i.
template <class real>
struct ForwardStep {
    int64_t n_features, n_units;
    int activation;
    const real *x, *previous_h;
    real *h, *c, *tape;  // c is updated in place; tape may be null
};

template <class real>
struct BackwardStep {
    int64_t n_units;
    int activation;
    const real *h, *previous_h, *tape, *d_hidden;
    int64_t d_hidden_stride;
    const real *next_delta;
    real *d_h, *d_c, *delta;
};

// The sums of a tile, between the registers and the epilogue.
template <class real>
struct Scratch {
    Vec<real> sums[TILE_ROWS * 4];
};

// The tape of a step holds, for each vector of units and each row, a record of N_SAVED vectors. Both passes go through
// it from one end to the other. In other orders the distance between rows is a power of two, which made the passes up
// to a third slower with 512 units. All vectors are whole, also the last one of a row.
template <class Cell>
int64_t tape_row_size(int64_t n_units) {
    constexpr int lanes = LANES<typename Cell::real>;
    return (n_units + lanes - 1) / lanes * lanes * Cell::N_SAVED;
}

// The place of the record of units `u` to `u + LANES - 1` of a row, in the tape of a step of `n` rows.
template <class Cell>
INLINE int64_t record_at(int64_t row, int64_t u, int64_t n) {
    return (u * n + row * LANES<typename Cell::real>) * Cell::N_SAVED;
}

template <class real, class... Vectors>
INLINE void write_record(real *tape, Vectors... vectors) {
    (..., (store<real>(tape, vectors), tape += LANES<real>));
}

template <class real>
INLINE Vec<real> record(const real *tape, int place) {
    return load<real>(tape + place * LANES<real>);
}

// ---- Packing -------------------------------------------------------------------------------------------------------

template <class real>
struct ForwardWeights {
    int64_t n_features, n_units;
    const real *input, *recurrent, *bias, *recurrent_bias;
};

// A forward panel holds the biases, `sums` vectors; then `columns` vectors for every feature and for every unit. The
// last column is added to sum `columns - 1` in the product with a feature, and to sum `last` in the product with h.
struct PanelShape {
    int sums, columns, last;

    constexpr int64_t vectors(int64_t n_features, int64_t n_units) const {
        return sums + columns * (n_features + n_units);
    }
};

template <class Cell>
int64_t forward_panels_size(int64_t n_features, int64_t n_units) {
    using real = typename Cell::real;
    int64_t vectors = 0;
    for_groups<Cell::VECTORS, real>(n_units, [&](auto columns, int64_t) {
        vectors += Cell::template PANEL<columns.n>.vectors(n_features, n_units);
    });
    return vectors * LANES<real>;
}

template <class Cell>
void pack_forward(int64_t n_features, int64_t n_units, const void *input, const void *recurrent, const void *bias,
                  const void *recurrent_bias, void *panels) {
    using real = typename Cell::real;
    const ForwardWeights<real> weights = {n_features,
                                          n_units,
                                          static_cast<const real *>(input),
                                          static_cast<const real *>(recurrent),
                                          static_cast<const real *>(bias),
                                          static_cast<const real *>(recurrent_bias)};
    const int64_t n_columns = Cell::N_GATES * n_units;
    PanelWriter<real> panel{static_cast<real *>(panels)};
    for_groups<Cell::VECTORS, real>(n_units, [&](auto columns, int64_t unit) {
        constexpr int N = columns.n;
        Cell::template pack_biases<N>(panel, weights, unit);
        for (int64_t k = 0; k < n_features; k++)
            Cell::template pack_row<N>(panel, weights.input + k * n_columns, unit, n_units);
        for (int64_t k = 0; k < n_units; k++)
            Cell::template pack_row<N>(panel, weights.recurrent + k * n_columns, unit, n_units);
    });
}

template <class Cell>
int64_t transposed_panels_size(int64_t n_rows, int64_t n_units) {
    using real = typename Cell::real;
    const int64_t n_vectors = (n_rows + LANES<real> - 1) / LANES<real>;
    return n_vectors * LANES<real> * Cell::N_GATES * n_units;
}

// Panels of transposed weights: each holds 4 vectors of rows (units or features); the last panel may hold fewer.
template <class Cell>
void pack_transposed(int64_t n_rows, int64_t n_units, const void *all_weights, void *panels) {
    using real = typename Cell::real;
    const int64_t n_columns = Cell::N_GATES * n_units;
    const real *weights = static_cast<const real *>(all_weights);
    real *panel = static_cast<real *>(panels);
    for_groups<4, real>(n_rows, [&](auto columns, int64_t row) {
        constexpr int width = columns.n * LANES<real>;
        for (int lane = 0; lane < width; lane++)
            for (int64_t k = 0; k < n_columns; k++)
                panel[k * width + lane] = row + lane < n_rows ? weights[(row + lane) * n_columns + k] : 0;
        panel += n_columns * width;
    });
}

// ---- Forward -------------------------------------------------------------------------------------------------------

template <class Cell, int M, int N, class real>
NOINLINE void forward_sums(const ForwardStep<real> &step, int64_t first, const real *panel, Scratch<real> &scratch) {
    constexpr PanelShape SHAPE = Cell::template PANEL<N>;
    Tile<real, M, SHAPE.sums> tile;
    panel = tile.begin_with(panel);
    panel = tile.template multiply<SHAPE.columns>(step.n_features, step.x + first * step.n_features, step.n_features,
                                                  panel);
    tile.template multiply<SHAPE.columns, SHAPE.last>(step.n_units, step.previous_h + first * step.n_units,
                                                      step.n_units, panel);
    tile.write(scratch.sums);
}

// The epilogue of M rows and N vectors of units; the scratch holds their sums row by row. Passes with and without a
// tape share one instantiation, because two could round differently.
template <class Cell, int N, class real>
NOINLINE void forward_rows(const ForwardStep<real> &step, int64_t n, int64_t first, int M, int64_t unit,
                           const Scratch<real> &scratch) {
    constexpr int sums_per_vector = Cell::template PANEL<N>.sums / N;
    const Vec<real> *sums = scratch.sums;
    for (int64_t row = first; row < first + M; row++)
        for (int v = 0; v < N; v++, sums += sums_per_vector) {
            const int64_t u = unit + v * LANES<real>, n_left = step.n_units - u;
            real *tape = step.tape ? step.tape + record_at<Cell>(row, u, n) : nullptr;
            if (n_left >= LANES<real>)
                Cell::template forward_epilogue<true>(step, row, u, LANES<real>, sums, tape);
            else
                Cell::template forward_epilogue<false>(step, row, u, static_cast<int>(n_left), sums, tape);
        }
}

template <class Cell, class real>
void step_forward(const ForwardStep<real> &step, int64_t n, const real *panel) {
    Scratch<real> scratch;
    for_groups<Cell::VECTORS, real>(step.n_units, [&](auto columns, int64_t unit) {
        constexpr int N = columns.n;
        for_rows(0, n, [&](auto rows, int64_t first) {
            forward_sums<Cell, rows.n, N>(step, first, panel, scratch);
            forward_rows<Cell, N>(step, n, first, rows.n, unit, scratch);
        });
        panel += Cell::template PANEL<N>.vectors(step.n_features, step.n_units) * LANES<real>;
    });
}

// Copies the states of the sequences that have ended, `n` to `n_before - 1`, to the final state.
template <class real>
INLINE void keep_final(real *final_state, const real *state, int64_t n, int64_t n_before, int64_t n_units) {
    if (n < n_before)
        memcpy(final_state + n * n_units, state + n * n_units, (n_before - n) * n_units * sizeof(real));
}

template <class Cell>
void forward(const Recurrence &size, const ForwardArrays &arrays) {
    using real = typename Cell::real;
    const SubnormalsAreZero mode;
    const int64_t n_units = size.n_units, state_size = size.n_sequences * n_units;
    const real *initial = static_cast<const real *>(arrays.initial_state);
    real *final_state = static_cast<real *>(arrays.final_state), *hidden = static_cast<real *>(arrays.hidden);
    memcpy(hidden, initial, state_size * sizeof(real));
    if (final_state != initial) memcpy(final_state, initial, Cell::N_STATES * state_size * sizeof(real));
    ForwardStep<real> step{};
    step.n_features = size.n_features, step.n_units = n_units, step.activation = size.activation;
    step.x = static_cast<const real *>(arrays.x), step.tape = static_cast<real *>(arrays.tape);
    step.previous_h = hidden, step.h = hidden + state_size;
    step.c = final_state + state_size;  // updated at its final place; only LSTM has c
    int64_t n_before = size.n_sequences;
    for (int64_t t = 0; t < size.n_steps; t++) {
        const int64_t n = size.batch_sizes[t];
        keep_final(final_state, step.previous_h, n, n_before, n_units);
        step_forward<Cell>(step, n, static_cast<const real *>(arrays.panels));
        step.x += n * size.n_features;
        step.previous_h = step.h;
        if (arrays.keeps_hidden)
            step.h += n * n_units;
        else
            step.h = step.h == hidden ? hidden + state_size : hidden;
        if (step.tape) step.tape += n * tape_row_size<Cell>(n_units);
        n_before = n;
    }
    keep_final(final_state, step.previous_h, 0, n_before, n_units);
}

// ---- Backward ------------------------------------------------------------------------------------------------------

// The row in `hidden` of the states before step t, where `row` is the first row of step t: initial states come first.
INLINE int64_t row_before(const Recurrence &size, int64_t t, int64_t row) {
    return t == 0 ? 0 : size.n_sequences + row - size.batch_sizes[t - 1];
}

// Calls function(column of the input weights, column of the deltas, number of columns) for each range in which the two
// have the same order: one range, or two in GRU, whose deltas begin with that of the candidate, the last gate.
template <class Cell, class Function>
INLINE void for_segments(int64_t n_units, const Function &function) {
    constexpr int n_in_front = Cell::FIRST_RECURRENT_DELTA;
    function(0, n_in_front * n_units, (Cell::N_GATES - n_in_front) * n_units);
    if (n_in_front) function((Cell::N_GATES - n_in_front) * n_units, 0, n_in_front * n_units);
}

// The error that step t + 1 passes back through U, for M rows and N vectors of units.
template <class Cell, int M, int N, class real>
NOINLINE void backward_sums(const BackwardStep<real> &step, int64_t first, const real *panel, Scratch<real> &scratch) {
    const int64_t stride = Cell::N_DELTAS * step.n_units;
    const real *delta = step.next_delta + first * stride + Cell::FIRST_RECURRENT_DELTA * step.n_units;
    Tile<real, M, N> tile;
    tile.begin_with_zeros();
    tile.multiply(Cell::N_GATES * step.n_units, delta, stride, panel);
    tile.write(scratch.sums);
}

// Computes d_h_t of one vector of units, then its deltas; or, before the first step, stores d_h itself. `sum` is the
// error from step t + 1; null at a sequence's last step.
template <class Cell, bool IS_STEP, bool FULL, class real>
INLINE void backward_vector(const BackwardStep<real> &step, int64_t row, int64_t u, int n, const Vec<real> *sum,
                            const real *tape) {
    real *d_h_at = step.d_h + row * step.n_units + u;
    // At a sequence's last step, d_h holds the error of the final state.
    Vec<real> d_h = sum && !Cell::STATE_DECAYS ? Vec<real>{} : load<FULL>(d_h_at, n);
    if (sum) d_h += *sum;
    if (step.d_hidden) d_h += load<FULL>(step.d_hidden + row * step.d_hidden_stride + u, n);
    if (IS_STEP)
        Cell::template backward_epilogue<FULL>(step, row, u, n, d_h, tape);
    else
        store<FULL>(d_h_at, d_h, n);
}

template <class Cell, bool IS_STEP, class real>
NOINLINE void backward_rows(const BackwardStep<real> &step, int64_t n, int64_t first, int64_t stop, int64_t unit, int N,
                            const Vec<real> *sum) {
    for (int64_t row = first; row < stop; row++)
        for (int v = 0; v < N; v++, sum += sum != nullptr) {
            const int64_t u = unit + v * LANES<real>, n_left = step.n_units - u;
            const real *tape = IS_STEP ? step.tape + record_at<Cell>(row, u, n) : nullptr;
            if (n_left >= LANES<real>)
                backward_vector<Cell, IS_STEP, true>(step, row, u, LANES<real>, sum, tape);
            else
                backward_vector<Cell, IS_STEP, false>(step, row, u, static_cast<int>(n_left), sum, tape);
        }
}

// Rows 0 to n_next - 1 have a step t + 1, whose deltas are known; rows n_next to n - 1 are at their last step.
template <class Cell, bool IS_STEP, class real>
void step_backward(const BackwardStep<real> &step, int64_t n_next, int64_t n, const real *panel) {
    Scratch<real> scratch;
    for_groups<4, real>(step.n_units, [&](auto columns, int64_t unit) {
        constexpr int N = columns.n;
        for_rows(0, n_next, [&](auto rows, int64_t first) {
            backward_sums<Cell, rows.n, N>(step, first, panel, scratch);
            backward_rows<Cell, IS_STEP, real>(step, n, first, first + rows.n, unit, N, scratch.sums);
        });
        backward_rows<Cell, IS_STEP, real>(step, n, n_next, n, unit, N, nullptr);
        panel += Cell::N_GATES * step.n_units * N * LANES<real>;
    });
}

// Computes the deltas of steps `last` - 1 to `first`. Step `first` begins at row `row` of the batch, and at row 0 of
// `delta`.
template <class Cell, class real>
void steps_backward(const Recurrence &size, const BackwardArrays &arrays, int64_t first, int64_t last, int64_t row) {
    const int64_t n_units = size.n_units, first_row = row;
    const real *hidden = static_cast<const real *>(arrays.hidden), *tape = static_cast<const real *>(arrays.tape);
    const real *d_hidden = static_cast<const real *>(arrays.d_hidden);
    const real *panels = static_cast<const real *>(arrays.panels);
    real *d_bias = static_cast<real *>(arrays.d_bias), *delta = static_cast<real *>(arrays.delta);
    real *d_recurrent_bias = static_cast<real *>(arrays.d_recurrent_bias);
    const int64_t stride = Cell::N_DELTAS * n_units;
    BackwardStep<real> step{};
    step.n_units = n_units, step.activation = size.activation;
    step.d_hidden_stride = arrays.d_hidden_stride;
    step.d_h = static_cast<real *>(arrays.d_state), step.d_c = step.d_h + size.n_sequences * n_units;
    for (int64_t t = first; t < last; t++) row += size.batch_sizes[t];
    int64_t n_next = 0;
    for (int64_t t = last - 1; t >= first; t--) {
        const int64_t n = size.batch_sizes[t];
        row -= n;
        const int64_t now = size.n_sequences + row, before = row_before(size, t, row);
        step.h = hidden + now * n_units, step.previous_h = hidden + before * n_units;
        step.tape = tape + row * tape_row_size<Cell>(n_units);
        if (d_hidden) step.d_hidden = d_hidden + row * arrays.d_hidden_stride;
        step.delta = delta + (row - first_row) * stride;
        step_backward<Cell, true>(step, n_next, n, panels);
        for_segments<Cell>(n_units, [&](int64_t column, int64_t delta_column, int64_t n_columns) {
            add_rows(n, n_columns, step.delta + delta_column, stride, d_bias + column);
        });
        if (d_recurrent_bias) add_rows(n, n_units, step.delta + stride - n_units, stride, d_recurrent_bias);
        step.next_delta = step.delta;
        n_next = n;
    }
    step.d_hidden = nullptr;
    step_backward<Cell, false>(step, n_next, n_next, panels);
}

// d_x = delta W^T, for M rows and N vectors of features.
template <class Cell, int M, int N, class real>
NOINLINE void d_x_tile(const Recurrence &size, const real *delta, const real *panel, int64_t feature, real *d_x) {
    const int64_t stride = Cell::N_DELTAS * size.n_units;
    Tile<real, M, N> tile;
    tile.begin_with_zeros();
    for_segments<Cell>(size.n_units, [&](int64_t, int64_t delta_column, int64_t n_columns) INLINE_LAMBDA {
        panel = tile.multiply(n_columns, delta + delta_column, stride, panel);
    });
    Vec<real> sums[M * N];
    tile.write(sums);
    for (int i = 0; i < M; i++)
        for (int v = 0; v < N; v++) {
            const int64_t f = feature + v * LANES<real>, n_left = size.n_features - f;
            real *to = d_x + i * size.n_features + f;
            if (n_left >= LANES<real>)
                store<real>(to, sums[i * N + v]);
            else
                store<false>(to, sums[i * N + v], static_cast<int>(n_left));
        }
}

// Adds the products of some rows' deltas to the weights' gradients; computes d_x of these rows if it is wanted.
template <class Cell, class real>
void add_products(const Recurrence &size, const BackwardArrays &arrays, int64_t row, int64_t n_rows,
                  const real *previous) {
    const int64_t n_units = size.n_units, n_features = size.n_features;
    const int64_t stride = Cell::N_DELTAS * n_units, n_columns = Cell::N_GATES * n_units;
    const real *x = static_cast<const real *>(arrays.x) + row * n_features;
    const real *delta = static_cast<const real *>(arrays.delta);
    add_product(n_rows, n_units, n_columns, previous, n_units, delta + Cell::FIRST_RECURRENT_DELTA * n_units, stride,
                static_cast<real *>(arrays.d_recurrent), n_columns);
    for_segments<Cell>(n_units, [&](int64_t column, int64_t delta_column, int64_t n) {
        add_product(n_rows, n_features, n, x, n_features, delta + delta_column, stride,
                    static_cast<real *>(arrays.d_input) + column, n_columns);
    });
    if (!arrays.d_x) return;
    real *d_x = static_cast<real *>(arrays.d_x) + row * n_features;
    const real *panel = static_cast<const real *>(arrays.input_panels);
    for_groups<4, real>(n_features, [&](auto columns, int64_t feature) {
        constexpr int N = columns.n;
        for_rows(0, n_rows, [&](auto rows, int64_t first) {
            d_x_tile<Cell, rows.n, N>(size, delta + first * stride, panel, feature, d_x + first * n_features);
        });
        panel += n_columns * N * LANES<real>;
    });
}

// h before each row of steps `first` to `last` - 1; the first of these rows is `row`.
template <class real>
const real *previous_states(const Recurrence &size, const BackwardArrays &arrays, int64_t first, int64_t last,
                            int64_t row) {
    const int64_t n_units = size.n_units;
    const real *hidden = static_cast<const real *>(arrays.hidden);
    if (size.batch_sizes[last - 1] == size.n_sequences) return hidden + row * n_units;  // every step has all sequences
    real *to = static_cast<real *>(arrays.previous);
    for (int64_t t = first; t < last; t++) {
        const int64_t n = size.batch_sizes[t];
        memcpy(to, hidden + row_before(size, t, row) * n_units, n * n_units * sizeof(real));
        to += n * n_units, row += n;
    }
    return static_cast<const real *>(arrays.previous);
}

// From the last step to the first, for a range of steps at a time: computes the deltas, then their products while the
// deltas are still in the cache.
template <class Cell>
void backward(const Recurrence &size, const BackwardArrays &arrays) {
    using real = typename Cell::real;
    const SubnormalsAreZero mode;
    int64_t row = 0, last = size.n_steps;
    for (int64_t t = 0; t < last; t++) row += size.batch_sizes[t];
    while (last > 0) {
        int64_t first = last, n_rows = 0;
        while (first > 0 && n_rows + size.batch_sizes[first - 1] <= arrays.n_delta_rows)
            n_rows += size.batch_sizes[--first];
        row -= n_rows;
        steps_backward<Cell, real>(size, arrays, first, last, row);
        add_products<Cell>(size, arrays, row, n_rows, previous_states<real>(size, arrays, first, last, row));
        last = first;
    }
}

}  // namespace
