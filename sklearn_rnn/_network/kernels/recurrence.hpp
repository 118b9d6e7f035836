// The loops over time that all cells share: forward over a packed batch, backward over ranges of its steps.
#pragma once
#include "few_columns.hpp"
#include "kernels.h"
#include "products.hpp"

namespace {

// One vector of units of one row, as an epilogue reads and writes it.
template <class real>
struct WholeVector {
    int64_t row, unit;
    const real *sums;  // of this vector

    INLINE Vec<real> sum(int s) const { return load<real>(sums + s * LANES<real>); }
    INLINE Vec<real> load_from(const real *array, int64_t stride) const {
        return load<real>(array + row * stride + unit);
    }
    INLINE void store_to(real *array, int64_t stride, Vec<real> v) const {
        store<real>(array + row * stride + unit, v);
    }
};

// The last units, if they are less than a vector: `n` of them for each row. A block of LANES rows has n vectors of
// them, in which the units of its rows follow each other. So no lane is idle, except in a step's last block.
template <class real>
struct TailLayout {
    struct RowPiece {
        Piece<real> lanes;
        int row, lane;  // of the row's first unit, which may be in the vector before: then it is negative
    };
    int n = 0;
    int ends[LANES<real> + 1];  // of each vector's pieces
    RowPiece pieces[2 * LANES<real>];

    // For `n_units` units and at most `most_rows` rows.
    TailLayout(int64_t n_units, int64_t most_rows) : n(static_cast<int>(n_units % LANES<real>)) {
        const int n_rows = static_cast<int>(smaller<int64_t>(most_rows, LANES<real>));
        int n_pieces = 0;
        for (int v = 0; v * LANES<real> < n * n_rows; v++) {
            int row = v * LANES<real> / n, lane = row * n - v * LANES<real>;
            for (; lane < LANES<real> && row < n_rows; row++, lane += n) {
                const int first = lane < 0 ? 0 : lane, stop = smaller(lane + n, LANES<real>);
                pieces[n_pieces++] = {{first, stop - first}, row, lane};
            }
            ends[v] = n_pieces;
        }
    }
};

template <class real>
struct TailVector {
    const TailLayout<real> &layout;
    int64_t row, unit;  // of the block
    int n_rows;         // of the block
    int vector;         // number of the vector in the block
    const real *sums;   // of the block, a row every `sums_stride` numbers
    int sums_stride;
    const int *places;  // of each sum in a row

    // Calls function(lanes, row of the block, address of lane 0 relative to the row's first unit) for each row.
    template <class Function>
    INLINE void for_pieces(const Function &function) const {
        const auto *piece = layout.pieces + (vector ? layout.ends[vector - 1] : 0);
        const auto *const end = layout.pieces + layout.ends[vector];
        for (; piece < end && piece->row < n_rows; piece++) function(piece->lanes, piece->row, -piece->lane);
    }
    INLINE Vec<real> gather(const real *from, int64_t stride) const {
        Vec<real> v{};
        for_pieces([&](auto lanes, int64_t r, int at) INLINE_LAMBDA { v = lanes.load(v, from + r * stride + at); });
        return v;
    }
    INLINE Vec<real> sum(int s) const { return gather(sums + places[s], sums_stride); }
    INLINE Vec<real> load_from(const real *array, int64_t stride) const {
        return gather(array + row * stride + unit, stride);
    }
    INLINE void store_to(real *array, int64_t stride, Vec<real> v) const {
        real *to = array + row * stride + unit;
        for_pieces([&](auto lanes, int64_t r, int at) INLINE_LAMBDA { lanes.store(to + r * stride + at, v); });
    }
};

// Calls function(TailVector) for each vector of a block of the last units.
template <class real, class Function>
INLINE void for_tail_vectors(TailVector<real> block, const Function &function) {
    const int n_lanes = block.layout.n * block.n_rows;
    for (block.vector = 0; block.vector * LANES<real> < n_lanes; block.vector++) function(block);
}

// The arrays of one step, each at its first row; row i belongs to sequence i.
template <class real>
struct ForwardStep {
    int64_t n_features, n_units;
    int activation;
    const real *x, *previous_h;
    real *h, *c, *tape;  // c is updated in place; tape may be null
    const TailLayout<real> *tail;
};

template <class real>
struct BackwardStep {
    int64_t n_units;
    int activation;
    const real *h, *previous_h, *tape, *d_hidden;
    int64_t d_hidden_stride, delta_stride;
    const real *next_delta;
    real *d_h, *d_c, *delta;
    const TailLayout<real> *tail;
};

// The tape of a step holds, for each vector of units and each row, a record of N_SAVED vectors; for the last units,
// one for each vector of a block. Both passes go through it from one end to the other. In other orders the distance
// between rows is a power of two, which made the passes up to a third slower with 512 units. All vectors are whole.
template <class Cell>
int64_t tape_row_size(int64_t n_units) {
    constexpr int lanes = LANES<typename Cell::real>;
    return (n_units + lanes - 1) / lanes * lanes * Cell::N_SAVED;
}

// The place of a record in the tape of a step of `n` rows.
template <class Cell, class real>
INLINE int64_t record_at(const WholeVector<real> &at, int64_t n) {
    return (at.unit * n + at.row * LANES<real>) * Cell::N_SAVED;
}

template <class Cell, class real>
INLINE int64_t record_at(const TailVector<real> &at, int64_t n) {
    return (at.unit * n + at.row * at.layout.n + at.vector * LANES<real>) * Cell::N_SAVED;
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

// A forward panel holds the biases, `sums` vectors; then `columns` vectors for every feature and for every unit. The
// last column is added to sum `columns - 1` in the product with a feature, and to sum `last` in the product with h.
struct PanelShape {
    int sums, columns, last;

    constexpr int64_t vectors(int64_t n_features, int64_t n_units) const {
        return sums + columns * (n_features + n_units);
    }
};

// A panel of N whole vectors of units; and a panel of the last units, whose columns of all gates are packed into N
// vectors.
template <int N>
struct Whole {};

template <int N>
struct Tail {};

// In GRU the last gate has two sums: one of x, one of h.
template <class Cell>
constexpr bool HAS_TWO_LAST_SUMS = Cell::N_SUMS > Cell::N_GATES;

// The last units of such a cell have as many sums as columns, twice: after the product with x, and after that with h.
// The panel has a second row of biases between the two, and a row with 1 in the lanes that it replaces.
template <class Cell, int N>
constexpr PanelShape shape_of(Whole<N>) {
    return {N * Cell::N_SUMS, N * Cell::N_GATES, N * Cell::N_SUMS - 1};
}

template <class Cell, int N>
constexpr PanelShape shape_of(Tail<N>) {
    return {HAS_TWO_LAST_SUMS<Cell> ? 3 * N : N, N, N - 1};
}

// Calls function(Columns<N>{}) with N = n, which is from 1 to MOST.
template <int MOST, class Function>
INLINE void with_columns(int64_t n, const Function &function) {
    if (n == MOST)
        function(Columns<MOST>{});
    else if constexpr (MOST > 1)
        with_columns<MOST - 1>(n, function);
}

template <class real>
INLINE int64_t whole_units(int64_t n_units) {
    return n_units / LANES<real> * LANES<real>;
}

// Calls function(Whole<N>{} or Tail<N>{}, first unit) for each forward panel.
template <class Cell, class Function>
INLINE void for_panels(int64_t n_units, const Function &function) {
    using real = typename Cell::real;
    const int64_t n_whole = whole_units<real>(n_units), n_left = n_units - n_whole;
    for_groups<Cell::VECTORS, real>(n_whole, [&](auto columns, int64_t unit) { function(Whole<columns.n>{}, unit); });
    if (n_left == 0) return;
    with_columns<Cell::N_GATES>((n_left * Cell::N_GATES + LANES<real> - 1) / LANES<real>,
                                [&](auto columns) { function(Tail<columns.n>{}, n_whole); });
}

template <class Cell>
int64_t forward_panels_size(int64_t n_features, int64_t n_units) {
    int64_t vectors = 0;
    for_panels<Cell>(n_units, [&](auto units, int64_t) {
        vectors += shape_of<Cell>(units).vectors(n_features, n_units);
    });
    return vectors * LANES<typename Cell::real>;
}

template <class Cell, int N, class real>
void pack_row(Whole<N>, PanelWriter<real> &panel, const real *row, int64_t unit, int64_t n_units) {
    for (int v = 0; v < N; v++)
        for (int gate = 0; gate < Cell::N_GATES; gate++) panel.write(row + gate * n_units + unit + v * LANES<real>);
}

template <class Cell, int N, class real>
void pack_row(Tail<N>, PanelWriter<real> &panel, const real *row, int64_t unit, int64_t n_units) {
    const int n = static_cast<int>(n_units - unit);
    for (int gate = 0; gate < Cell::N_GATES; gate++) panel.write_few(row + gate * n_units + unit, n);
    panel.write_few(nullptr, N * LANES<real> - Cell::N_GATES * n);
}

template <class Cell, int N, class real>
void pack_recurrent_bias(Whole<N>, PanelWriter<real> &panel, const real *recurrent_bias, int64_t unit, int64_t) {
    panel.write(recurrent_bias + unit);
}

template <class Cell, int N, class real>
void pack_recurrent_bias(Tail<N>, PanelWriter<real> &panel, const real *recurrent_bias, int64_t unit,
                         int64_t n_units) {
    const int n = static_cast<int>(n_units - unit), n_before = (Cell::N_GATES - 1) * n;
    real ones[LANES<real>];
    for (real &one : ones) one = 1;
    const auto write = [&](const real *values) {
        panel.write_few(nullptr, n_before);
        panel.write_few(values, n);
        panel.write_few(nullptr, N * LANES<real> - n_before - n);
    };
    write(recurrent_bias + unit);
    write(ones);
}

template <class Cell>
void pack_forward(int64_t n_features, int64_t n_units, const void *input, const void *recurrent, const void *bias,
                  const void *recurrent_bias, void *panels) {
    using real = typename Cell::real;
    const real *w = static_cast<const real *>(input), *u = static_cast<const real *>(recurrent);
    const real *b = static_cast<const real *>(bias), *b_hn = static_cast<const real *>(recurrent_bias);
    const int64_t n_columns = Cell::N_GATES * n_units;
    PanelWriter<real> panel{static_cast<real *>(panels)};
    for_panels<Cell>(n_units, [&](auto units, int64_t unit) {
        pack_row<Cell>(units, panel, b, unit, n_units);
        if (Cell::HAS_RECURRENT_BIAS) pack_recurrent_bias<Cell>(units, panel, b_hn, unit, n_units);
        for (int64_t k = 0; k < n_features; k++) pack_row<Cell>(units, panel, w + k * n_columns, unit, n_units);
        for (int64_t k = 0; k < n_units; k++) pack_row<Cell>(units, panel, u + k * n_columns, unit, n_units);
    });
}

template <class Cell>
int64_t transposed_panels_size(int64_t n_rows, int64_t n_units) {
    using real = typename Cell::real;
    const int64_t n_vectors = (n_rows + LANES<real> - 1) / LANES<real>;
    return n_vectors * LANES<real> * Cell::N_GATES * n_units;
}

// Calls function(Columns<N>{}, first unit) for each panel of transposed weights: up to 4 whole vectors of units, then
// the last units.
template <class real, class Function>
INLINE void for_transposed_panels(int64_t n_units, const Function &function) {
    const int64_t n_whole = whole_units<real>(n_units);
    for_groups<4, real>(n_whole, function);
    if (n_whole < n_units) function(Columns<1>{}, n_whole);
}

// Panels of transposed weights. A row is a unit or a feature.
template <class Cell>
void pack_transposed(int64_t n_rows, int64_t n_units, const void *all_weights, void *panels) {
    using real = typename Cell::real;
    const int64_t n_columns = Cell::N_GATES * n_units;
    const real *weights = static_cast<const real *>(all_weights);
    real *panel = static_cast<real *>(panels);
    for_transposed_panels<real>(n_rows, [&](auto columns, int64_t row) {
        constexpr int width = columns.n * LANES<real>;
        for (int lane = 0; lane < width; lane++)
            for (int64_t k = 0; k < n_columns; k++)
                panel[k * width + lane] = row + lane < n_rows ? weights[(row + lane) * n_columns + k] : 0;
        panel += n_columns * width;
    });
}

// ---- Forward -------------------------------------------------------------------------------------------------------

template <class Cell, int M, int N, class real>
NOINLINE void forward_sums(Whole<N> units, const ForwardStep<real> &step, int64_t first, const real *panel,
                           real *sums) {
    constexpr PanelShape SHAPE = shape_of<Cell>(units);
    Tile<real, M, SHAPE.sums> tile;
    panel = tile.begin_with(panel);
    panel = tile.template multiply<SHAPE.columns>(step.n_features, step.x + first * step.n_features, step.n_features,
                                                  panel);
    tile.template multiply<SHAPE.columns, SHAPE.last>(step.n_units, step.previous_h + first * step.n_units,
                                                      step.n_units, panel);
    tile.write(sums);
}

// A row of sums has N vectors, or twice as many if the last gate has two sums: those of x, then those of h.
template <class Cell, int M, int N, class real>
NOINLINE void forward_sums(Tail<N>, const ForwardStep<real> &step, int64_t first, const real *panel, real *sums) {
    Tile<real, M, N> tile;
    panel = tile.begin_with(panel);
    const real *second_biases = panel;
    if (HAS_TWO_LAST_SUMS<Cell>) panel += 2 * N * LANES<real>;
    panel = tile.multiply(step.n_features, step.x + first * step.n_features, step.n_features, panel);
    if (HAS_TWO_LAST_SUMS<Cell>) {
        tile.write(sums, 2 * N);
        tile.begin_again(second_biases, second_biases + N * LANES<real>);
    }
    tile.multiply(step.n_units, step.previous_h + first * step.n_units, step.n_units, panel);
    if (HAS_TWO_LAST_SUMS<Cell>)
        tile.write(sums + N * LANES<real>, 2 * N);
    else
        tile.write(sums);
}

// The epilogues of M rows of a panel, and of a block of the last units. Passes with and without a tape share one
// instantiation, because two could round differently. The state has a loop of its own: h depends on the gates through
// two exponentials, one after the other, and a processor looks only a few rows ahead for other work.
template <class Cell, int N, class real>
NOINLINE void forward_rows(const ForwardStep<real> &step, int64_t n, int64_t first, int M, int64_t unit,
                           const real *sums) {
    Vec<real> all_kept[MOST_ROWS<N * Cell::N_SUMS> * N * Cell::N_KEPT + 1];
    const auto for_vectors = [&](auto function) INLINE_LAMBDA {
        Vec<real> *kept = all_kept;
        const real *sums_at = sums;
        for (int64_t row = first; row < first + M; row++)
            for (int v = 0; v < N; v++, sums_at += Cell::N_SUMS * LANES<real>, kept += Cell::N_KEPT) {
                const WholeVector<real> at = {row, unit + v * LANES<real>, sums_at};
                function(at, step.tape ? step.tape + record_at<Cell>(at, n) : nullptr, kept);
            }
    };
    for_vectors([&](auto at, real *tape, auto *kept) INLINE_LAMBDA { Cell::forward_gates(step, at, tape, kept); });
    if (Cell::N_KEPT)
        for_vectors([&](auto at, real *tape, auto *kept) INLINE_LAMBDA { Cell::forward_state(step, at, tape, kept); });
}

template <class Cell, class real>
NOINLINE void forward_block(const ForwardStep<real> &step, int64_t n, const TailVector<real> &block) {
    Vec<real> all_kept[LANES<real> * Cell::N_KEPT + 1];
    const auto tape_at = [&](const TailVector<real> &at) INLINE_LAMBDA {
        return step.tape ? step.tape + record_at<Cell>(at, n) : nullptr;
    };
    for_tail_vectors(block, [&](const TailVector<real> &at) INLINE_LAMBDA {
        Cell::forward_gates(step, at, tape_at(at), all_kept + at.vector * Cell::N_KEPT);
    });
    if (Cell::N_KEPT)
        for_tail_vectors(block, [&](const TailVector<real> &at) INLINE_LAMBDA {
            Cell::forward_state(step, at, tape_at(at), all_kept + at.vector * Cell::N_KEPT);
        });
}

template <class Cell, int N, class real>
void forward_panel(Whole<N>, const ForwardStep<real> &step, int64_t n, int64_t unit, const real *panel) {
    constexpr int N_SUMS = N * Cell::N_SUMS;
    for_rows<N_SUMS>(0, n, [&](auto rows, int64_t first) {
        Sums<real, rows.n, N_SUMS> sums;
        forward_sums<Cell, rows.n>(Whole<N>{}, step, first, panel, sums.values);
        forward_rows<Cell, N>(step, n, first, rows.n, unit, sums.values);
    });
}

// The epilogue of a block comes after the products of the next one: a processor waits before it reads a vector of parts
// that were only just written.
template <class Cell, int N, class real>
void forward_panel(Tail<N>, const ForwardStep<real> &step, int64_t n, int64_t unit, const real *panel) {
    constexpr int COPIES = HAS_TWO_LAST_SUMS<Cell> ? 2 : 1, STRIDE = COPIES * N * LANES<real>;
    Sums<real, LANES<real>, COPIES * N> sums[2];
    int places[Cell::N_SUMS];
    for (int s = 0; s < Cell::N_SUMS; s++) places[s] = (COPIES - 1) * N * LANES<real> + s * step.tail->n;
    if (HAS_TWO_LAST_SUMS<Cell>) {
        places[Cell::N_GATES] = places[Cell::N_GATES - 1];
        places[Cell::N_GATES - 1] -= N * LANES<real>;
    }
    const auto block_at = [&](int64_t row) INLINE_LAMBDA {
        const int n_rows = static_cast<int>(smaller<int64_t>(LANES<real>, n - row));
        return TailVector<real>{*step.tail, row, unit, n_rows, 0, sums[row / LANES<real> % 2].values, STRIDE,
                                places};
    };
    for (int64_t row = 0; row < n; row += LANES<real>) {
        real *values = sums[row / LANES<real> % 2].values;
        const int64_t stop = smaller<int64_t>(row + LANES<real>, n);
        for_rows<N>(row, stop, [&](auto rows, int64_t first) {
            forward_sums<Cell, rows.n>(Tail<N>{}, step, first, panel, values + (first - row) * STRIDE);
        });
        if (row) forward_block<Cell>(step, n, block_at(row - LANES<real>));
    }
    if (n) forward_block<Cell>(step, n, block_at((n - 1) / LANES<real> * LANES<real>));
}

template <class Cell, class real>
void step_forward(const ForwardStep<real> &step, int64_t n, const real *panel) {
    for_panels<Cell>(step.n_units, [&](auto units, int64_t unit) {
        forward_panel<Cell>(units, step, n, unit, panel);
        panel += shape_of<Cell>(units).vectors(step.n_features, step.n_units) * LANES<real>;
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
    const TailLayout<real> tail(n_units, size.n_sequences);
    ForwardStep<real> step{};
    step.tail = &tail;
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

// Elements of a row of deltas. Every row begins at a vector: the products read whole vectors of many rows.
template <class Cell>
int64_t delta_row_size(int64_t n_units) {
    constexpr int lanes = LANES<typename Cell::real>;
    return (Cell::N_DELTAS * n_units + lanes - 1) / lanes * lanes;
}

// Calls function(column of the input weights, column of the deltas, number of columns) for each range in which the two
// have the same order: one range, or two in GRU, whose last gate has its delta behind those of the recurrent weights.
template <class Cell, class Function>
INLINE void for_segments(int64_t n_units, const Function &function) {
    constexpr int n_apart = Cell::N_DELTAS - Cell::N_GATES;
    function(0, 0, (Cell::N_GATES - n_apart) * n_units);
    if (n_apart) function((Cell::N_GATES - n_apart) * n_units, Cell::N_GATES * n_units, n_apart * n_units);
}

// The error that step t + 1 passes back through U, for M rows and N vectors of units.
template <class Cell, int M, int N, class real>
NOINLINE void backward_sums(const BackwardStep<real> &step, int64_t first, const real *panel, real *sums) {
    Tile<real, M, N> tile;
    tile.begin_with_zeros();
    tile.multiply(Cell::N_GATES * step.n_units, step.next_delta + first * step.delta_stride, step.delta_stride, panel);
    tile.write(sums);
}

// The same for the last units of rows of a block. The simple cell has too few deltas for a sum with rows as lanes.
template <class Cell, class real>
void backward_tail_sums(const BackwardStep<real> &step, int64_t row, int64_t stop, const real *panel, real *sums) {
    const int64_t n = Cell::N_GATES * step.n_units, stride = step.delta_stride;
    if (Cell::N_GATES > 1 && stop - row == LANES<real> && step.tail->n <= MOST_FEW_COLUMNS<real>)
        return multiply_by_few<MOST_FEW_COLUMNS<real>>(step.tail->n, n, step.next_delta + row * stride, stride, panel,
                                                       sums);
    for_rows<1>(row, stop, [&](auto rows, int64_t first) {
        backward_sums<Cell, rows.n, 1>(step, first, panel, sums + (first - row) * LANES<real>);
    });
}

// Computes d_h_t of one vector of units, then its deltas; or, before the first step, stores d_h itself. IS_LAST: there
// is no error from step t + 1; d_h holds the error of the final state.
template <class Cell, bool IS_STEP, bool IS_LAST, class Vector, class real>
INLINE void backward_vector(const BackwardStep<real> &step, const Vector &at, int64_t n) {
    Vec<real> d_h;
    if (IS_LAST)
        d_h = at.load_from(step.d_h, step.n_units);
    else
        d_h = Cell::STATE_DECAYS ? at.load_from(step.d_h, step.n_units) + at.sum(0) : at.sum(0);
    if (step.d_hidden) d_h += at.load_from(step.d_hidden, step.d_hidden_stride);
    if (IS_STEP)
        Cell::backward_epilogue(step, at, d_h, step.tape + record_at<Cell>(at, n));
    else
        at.store_to(step.d_h, step.n_units, d_h);
}

template <class Cell, bool IS_STEP, bool IS_LAST, class real>
NOINLINE void backward_rows(const BackwardStep<real> &step, int64_t n, int64_t first, int64_t stop, int64_t unit,
                            int N, const real *sums) {
    for (int64_t row = first; row < stop; row++)
        for (int v = 0; v < N; v++) {
            const int64_t place = ((row - first) * N + v) * LANES<real>;
            backward_vector<Cell, IS_STEP, IS_LAST>(
                step, WholeVector<real>{row, unit + v * LANES<real>, IS_LAST ? nullptr : sums + place}, n);
        }
}

// Rows 0 to n_next - 1 have a step t + 1, whose deltas are known; rows n_next to n - 1 are at their last step.
template <class Cell, bool IS_STEP, int N, class real>
void backward_panel(const BackwardStep<real> &step, int64_t n_next, int64_t n, int64_t unit, const real *panel) {
    for_rows<N>(0, n_next, [&](auto rows, int64_t first) {
        Sums<real, rows.n, N> sums;
        backward_sums<Cell, rows.n, N>(step, first, panel, sums.values);
        backward_rows<Cell, IS_STEP, false>(step, n, first, first + rows.n, unit, N, sums.values);
    });
    backward_rows<Cell, IS_STEP, true>(step, n, n_next, n, unit, N, static_cast<const real *>(nullptr));
}

template <class Cell, bool IS_STEP, class real>
NOINLINE void backward_block(const BackwardStep<real> &step, int64_t n, const TailVector<real> &block) {
    for_tail_vectors(block, [&](const TailVector<real> &at) INLINE_LAMBDA {
        backward_vector<Cell, IS_STEP, false>(step, at, n);
    });
}

// The same for the last units. In place of the error from step t + 1, rows at their last step have that of the final
// state, or, if it is added anyway, -0: a sum with -0 keeps every bit.
template <class Cell, bool IS_STEP, class real>
void backward_tail(const BackwardStep<real> &step, int64_t n_next, int64_t n, int64_t unit, const real *panel) {
    Sums<real, LANES<real>, 1> sums[2];
    const int place = 0;
    const auto block_at = [&](int64_t row) INLINE_LAMBDA {
        const int n_rows = static_cast<int>(smaller<int64_t>(LANES<real>, n - row));
        return TailVector<real>{*step.tail, row, unit, n_rows, 0, sums[row / LANES<real> % 2].values, LANES<real>,
                                &place};
    };
    for (int64_t row = 0; row < n; row += LANES<real>) {
        const int64_t stop = smaller<int64_t>(row + LANES<real>, n);
        real *values = sums[row / LANES<real> % 2].values;
        backward_tail_sums<Cell>(step, row, smaller(stop, n_next), panel, values);
        for (int64_t r = row < n_next ? n_next : row; r < stop; r++) {
            const real *d_h = step.d_h + r * step.n_units + unit;
            for (int u = 0; u < step.tail->n; u++)
                values[(r - row) * LANES<real> + u] = Cell::STATE_DECAYS ? real(-0.) : d_h[u];
        }
        if (row) backward_block<Cell, IS_STEP>(step, n, block_at(row - LANES<real>));
    }
    if (n) backward_block<Cell, IS_STEP>(step, n, block_at((n - 1) / LANES<real> * LANES<real>));
}

template <class Cell, bool IS_STEP, class real>
void step_backward(const BackwardStep<real> &step, int64_t n_next, int64_t n, const real *panel) {
    const int64_t n_whole = whole_units<real>(step.n_units);
    for_groups<4, real>(n_whole, [&](auto columns, int64_t unit) {
        backward_panel<Cell, IS_STEP, columns.n>(step, n_next, n, unit, panel);
        panel += Cell::N_GATES * step.n_units * columns.n * LANES<real>;
    });
    if (n_whole < step.n_units) backward_tail<Cell, IS_STEP>(step, n_next, n, n_whole, panel);
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
    const int64_t stride = delta_row_size<Cell>(n_units);
    const TailLayout<real> tail(n_units, size.n_sequences);
    BackwardStep<real> step{};
    step.tail = &tail;
    step.n_units = n_units, step.activation = size.activation;
    step.d_hidden_stride = arrays.d_hidden_stride, step.delta_stride = stride;
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
        if (d_recurrent_bias)
            add_rows(n, n_units, step.delta + (Cell::N_GATES - 1) * n_units, stride, d_recurrent_bias);
        step.next_delta = step.delta;
        n_next = n;
    }
    step.d_hidden = nullptr;
    step_backward<Cell, false>(step, n_next, n_next, panels);
}

// d_x = delta W^T, for M rows and N vectors of features.
template <class Cell, int M, int N, class real>
NOINLINE void d_x_tile(const Recurrence &size, const real *delta, const real *panel, int64_t feature, real *d_x) {
    const int64_t stride = delta_row_size<Cell>(size.n_units);
    Tile<real, M, N> tile;
    tile.begin_with_zeros();
    for_segments<Cell>(size.n_units, [&](int64_t, int64_t delta_column, int64_t n_columns) INLINE_LAMBDA {
        panel = tile.multiply(n_columns, delta + delta_column, stride, panel);
    });
    Sums<real, M, N> sums;
    tile.write(sums.values);
    for (int i = 0; i < M; i++)
        for (int v = 0; v < N; v++) {
            const int64_t f = feature + v * LANES<real>, n_left = size.n_features - f;
            real *to = d_x + i * size.n_features + f;
            if (n_left >= LANES<real>)
                store<real>(to, sums.at(i, v));
            else
                store_first<real>(to, sums.at(i, v), static_cast<int>(n_left));
        }
}

// Adds the products of some rows' deltas to the weights' gradients; computes d_x of these rows if it is wanted.
template <class Cell, class real>
void add_products(const Recurrence &size, const BackwardArrays &arrays, int64_t row, int64_t n_rows,
                  const real *previous) {
    const int64_t n_units = size.n_units, n_features = size.n_features;
    const int64_t stride = delta_row_size<Cell>(n_units), n_columns = Cell::N_GATES * n_units;
    const real *x = static_cast<const real *>(arrays.x) + row * n_features;
    const real *delta = static_cast<const real *>(arrays.delta);
    add_product(n_rows, n_units, n_columns, previous, n_units, delta, stride,
                static_cast<real *>(arrays.d_recurrent), n_columns);
    for_segments<Cell>(n_units, [&](int64_t column, int64_t delta_column, int64_t n) {
        add_product(n_rows, n_features, n, x, n_features, delta + delta_column, stride,
                    static_cast<real *>(arrays.d_input) + column, n_columns);
    });
    if (!arrays.d_x) return;
    real *d_x = static_cast<real *>(arrays.d_x) + row * n_features;
    const real *panel = static_cast<const real *>(arrays.input_panels);
    for_transposed_panels<real>(n_features, [&](auto columns, int64_t feature) {
        constexpr int N = columns.n;
        for_rows<N>(0, n_rows, [&](auto rows, int64_t first) {
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
