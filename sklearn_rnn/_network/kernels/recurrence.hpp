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

// The first `n` units of a vector of one row.
template <class real>
struct PartOfVector {
    int64_t row, unit;
    const real *sums;
    int n;

    INLINE Vec<real> sum(int s) const { return load<real>(sums + s * LANES<real>); }
    INLINE Vec<real> load_from(const real *array, int64_t stride) const {
        return load_first(array + row * stride + unit, n);
    }
    INLINE void store_to(real *array, int64_t stride, Vec<real> v) const {
        store_first<real>(array + row * stride + unit, v, n);
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

    INLINE Factor<real> inputs() const { return {n_features, x, n_features}; }
    INLINE Factor<real> states() const { return {n_units, previous_h, n_units}; }
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
INLINE int64_t record_at(const PartOfVector<real> &at, int64_t n) {
    return record_at<Cell>(WholeVector<real>{at.row, at.unit, nullptr}, n);
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

template <class Cell>
int64_t transposed_panels_size(int64_t n_rows, int64_t n_units) {
    using real = typename Cell::real;
    const int64_t n_vectors = (n_rows + LANES<real> - 1) / LANES<real>;
    return n_vectors * LANES<real> * Cell::N_GATES * n_units;
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
template <class Cell>
void pack_transposed(int64_t n_rows, int64_t n_units, const void *all_weights, void *panels) {
    using real = typename Cell::real;
    const int64_t n_columns = Cell::N_GATES * n_units;
    const real *weights = static_cast<const real *>(all_weights);
    real *panel = static_cast<real *>(panels);
    for_transposed_panels<real>(n_rows, [&](int n_vectors, int64_t row) {
        const int width = n_vectors * LANES<real>;
        for (int lane = 0; lane < width; lane++)
            for (int64_t k = 0; k < n_columns; k++)
                panel[k * width + lane] = row + lane < n_rows ? weights[(row + lane) * n_columns + k] : 0;
        panel += n_columns * width;
    });
}

// ---- Forward -------------------------------------------------------------------------------------------------------

// The epilogues of a tile of rows, and of a block of the last units. Passes with and without a tape share one
// instantiation, because two could round differently. The state has a loop of its own: h depends on the gates through
// two exponentials, one after the other, and a processor looks only a few rows ahead for other work. HAS_PARTS: the last
// vector may be less than whole.
template <class Cell, bool HAS_PARTS = !HAS_TAIL_PANEL<Cell>, class real>
NOINLINE void forward_rows(const ForwardStep<real> &step, int64_t n, int64_t first, int n_rows, int64_t unit,
                           int n_vectors, const real *sums) {
    Vec<real> all_kept[TILE_ROWS * Cell::N_KEPT + 1];
    const auto for_vectors = [&](const auto &function) INLINE_LAMBDA {
        Vec<real> *kept = all_kept;
        const real *sums_at = sums;
        for (int64_t row = first; row < first + n_rows; row++)
            for (int v = 0; v < (Cell::VECTORS > 1 ? n_vectors : 1); v++) {
                const WholeVector<real> at = {row, unit + v * LANES<real>, sums_at};
                real *tape = step.tape ? step.tape + record_at<Cell>(at, n) : nullptr;
                const int64_t n_left = step.n_units - at.unit;
                if (!HAS_PARTS || n_left >= LANES<real>)
                    function(at, tape, kept);
                else if constexpr (HAS_PARTS)
                    function(PartOfVector<real>{row, at.unit, sums_at, static_cast<int>(n_left)}, tape, kept);
                sums_at += Cell::N_SUMS * LANES<real>, kept += Cell::N_KEPT;
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

template <class Cell, class real>
void forward_whole(const ForwardStep<real> &step, int64_t n, const ForwardPanel &shape, const real *panel) {
    constexpr int N_SUMS = Cell::N_SUMS, N_GATES = Cell::N_GATES;
    const Product<real> product{panel, 0, {step.inputs(), step.states()}, panel + shape.biases * LANES<real>};
    const int n_sums = shape.n * N_SUMS;
    Sums<real> sums;
    for_rows(n_sums, 0, n, [&](int n_rows, int64_t first) {
        if constexpr (HAS_TWO_LAST_SUMS<Cell>)
            with_index<MOST_ROWS[N_SUMS]>(n_rows, [&](auto rows) INLINE_LAMBDA {
                product_tile<real, rows.value, N_SUMS, N_GATES>(product, first, sums.values, N_SUMS * LANES<real>);
            });
        else
            multiply_tile(product, n_sums, first, n_rows, sums.values, n_sums * LANES<real>);
        forward_rows<Cell>(step, n, first, n_rows, shape.unit, shape.n, sums.values);
    });
}

// The sums of a block of the last units. A row of sums has `shape.n` vectors, or twice as many if the last gate has two
// sums: those of x, then those of h.
template <class Cell, class real>
void forward_tail_sums(const ForwardStep<real> &step, int64_t row, int64_t n_rows, const ForwardPanel &shape,
                       const real *panel, real *sums) {
    const int n = shape.n, width = n * LANES<real>;
    const Factor<real> x = step.inputs().from(row), h = step.states().from(row);
    const real *weights = panel + shape.biases * LANES<real>;
    if (!HAS_TWO_LAST_SUMS<Cell>) return multiply_rows<real>({panel, 0, {x, h}, weights}, n, n_rows, sums, width);
    real *sums_of_h = sums + width;
    multiply_rows<real>({panel, 0, {x, NO_FACTOR<real>}, weights}, n, n_rows, sums, 2 * width);
    for (int v = 0; v < n; v++) {
        const Vec<real> biases = load<real>(panel + (n + v) * LANES<real>);
        const auto is_replaced = load<real>(panel + (2 * n + v) * LANES<real>) != 0;
        for (int64_t r = 0; r < n_rows; r++) {
            const int64_t at = 2 * r * width + v * LANES<real>;
            store<real>(sums_of_h + at, is_replaced ? biases : load<real>(sums + at));
        }
    }
    multiply_rows<real>({sums_of_h, 2 * width, {h, NO_FACTOR<real>}, weights + x.n * width}, n, n_rows, sums_of_h,
                        2 * width);
}

// The epilogue of a block comes after the products of the next one: a processor waits before it reads a vector of parts
// that were only just written.
template <class Cell, class real>
void forward_tail(const ForwardStep<real> &step, int64_t n, const ForwardPanel &shape, const real *panel) {
    constexpr int COPIES = HAS_TWO_LAST_SUMS<Cell> ? 2 : 1;
    const int width = shape.n * LANES<real>, stride = COPIES * width;
    alignas(VECTOR_BYTES) real sums[2][LANES<real> * COPIES * Cell::N_GATES * LANES<real>];
    int places[Cell::N_SUMS];
    for (int s = 0; s < Cell::N_SUMS; s++) places[s] = (COPIES - 1) * width + s * step.tail->n;
    if (HAS_TWO_LAST_SUMS<Cell>) {
        places[Cell::N_GATES] = places[Cell::N_GATES - 1];
        places[Cell::N_GATES - 1] -= width;
    }
    const auto block_at = [&](int64_t row) INLINE_LAMBDA {
        const int n_rows = static_cast<int>(smaller<int64_t>(LANES<real>, n - row));
        return TailVector<real>{*step.tail, row, shape.unit, n_rows, 0, sums[row / LANES<real> % 2], stride, places};
    };
    for (int64_t row = 0; row < n; row += LANES<real>) {
        const int64_t n_rows = smaller<int64_t>(LANES<real>, n - row);
        forward_tail_sums<Cell>(step, row, n_rows, shape, panel, sums[row / LANES<real> % 2]);
        if (row) forward_block<Cell>(step, n, block_at(row - LANES<real>));
    }
    if (n) forward_block<Cell>(step, n, block_at((n - 1) / LANES<real> * LANES<real>));
}

template <class Cell, class real>
void step_forward(const ForwardStep<real> &step, int64_t n, const real *panel) {
    for_panels<Cell>(step.n_units, [&](const ForwardPanel &shape) {
        if (!shape.is_tail)
            forward_whole<Cell>(step, n, shape, panel);
        else if constexpr (HAS_TAIL_PANEL<Cell>)
            forward_tail<Cell>(step, n, shape, panel);
        panel += shape.vectors(step.n_features, step.n_units) * LANES<real>;
    });
}

// Copies the states of the sequences that have ended, `n` to `n_before - 1`, to the final state.
template <class real>
INLINE void keep_final(real *final_state, const real *state, int64_t n, int64_t n_before, int64_t n_units) {
    if (n < n_before)
        memcpy(final_state + n * n_units, state + n * n_units, (n_before - n) * n_units * sizeof(real));
}

// Calls run_step(step, number of rows) for every step. It writes h, c and the tape.
template <class Cell, class RunStep>
INLINE void forward_steps(const Recurrence &size, const ForwardArrays &arrays, const RunStep &run_step) {
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
        run_step(step, n);
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

template <class Cell>
void forward(const Recurrence &size, const ForwardArrays &arrays) {
    using real = typename Cell::real;
    forward_steps<Cell>(size, arrays, [&](const ForwardStep<real> &step, int64_t n) {
        step_forward<Cell>(step, n, static_cast<const real *>(arrays.panels));
    });
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

// The error that step t + 1 passes back through U, of all rows.
template <class Cell, class real>
INLINE Product<real> backward_product(const BackwardStep<real> &step, const real *panel) {
    const Factor<real> deltas{Cell::N_GATES * step.n_units, step.next_delta, step.delta_stride};
    return {ZEROS<real>, 0, {deltas, NO_FACTOR<real>}, panel};
}

// The same for the last units of rows of a block. The simple cell has too few deltas for a sum with rows as lanes.
template <class Cell, class real>
void backward_tail_sums(const BackwardStep<real> &step, int64_t row, int64_t stop, const real *panel, real *sums) {
    Product<real> product = backward_product<Cell>(step, panel);
    const Factor<real> deltas = product.factors[0] = product.factors[0].from(row);
    if (Cell::N_GATES > 1 && stop - row == LANES<real> && step.tail->n <= MOST_FEW_COLUMNS<real>)
        return multiply_by_few<MOST_FEW_COLUMNS<real>>(step.tail->n, deltas.n, deltas.rows, deltas.stride, panel, sums);
    multiply_rows(product, 1, stop - row, sums, LANES<real>);
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
                            int n_vectors, const real *sums) {
    for (int64_t row = first; row < stop; row++)
        for (int v = 0; v < n_vectors; v++) {
            const int64_t u = unit + v * LANES<real>, n_left = step.n_units - u;
            const real *sums_at = IS_LAST ? nullptr : sums + ((row - first) * n_vectors + v) * LANES<real>;
            if (HAS_MASKS || n_left >= LANES<real>)
                backward_vector<Cell, IS_STEP, IS_LAST>(step, WholeVector<real>{row, u, sums_at}, n);
            else if constexpr (!HAS_MASKS)
                backward_vector<Cell, IS_STEP, IS_LAST>(
                    step, PartOfVector<real>{row, u, sums_at, static_cast<int>(n_left)}, n);
        }
}

// Rows 0 to n_next - 1 have a step t + 1, whose deltas are known; rows n_next to n - 1 are at their last step.
template <class Cell, bool IS_STEP, class real>
void backward_panel(const BackwardStep<real> &step, int64_t n_next, int64_t n, int64_t unit, int n_vectors,
                    const real *panel) {
    const Product<real> product = backward_product<Cell>(step, panel);
    Sums<real> sums;
    for_rows(n_vectors, 0, n_next, [&](int n_rows, int64_t first) {
        multiply_tile(product, n_vectors, first, n_rows, sums.values, n_vectors * LANES<real>);
        backward_rows<Cell, IS_STEP, false>(step, n, first, first + n_rows, unit, n_vectors, sums.values);
    });
    backward_rows<Cell, IS_STEP, true>(step, n, n_next, n, unit, n_vectors, static_cast<const real *>(nullptr));
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
    alignas(VECTOR_BYTES) real sums[2][LANES<real> * LANES<real>];
    const int place = 0;
    const auto block_at = [&](int64_t row) INLINE_LAMBDA {
        const int n_rows = static_cast<int>(smaller<int64_t>(LANES<real>, n - row));
        return TailVector<real>{*step.tail, row, unit, n_rows, 0, sums[row / LANES<real> % 2], LANES<real>, &place};
    };
    for (int64_t row = 0; row < n; row += LANES<real>) {
        const int64_t stop = smaller<int64_t>(row + LANES<real>, n);
        real *values = sums[row / LANES<real> % 2];
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
    const int64_t n_whole = units_before_tail<real>(step.n_units);
    for_groups<real>(4, n_whole, [&](int n_vectors, int64_t unit) {
        backward_panel<Cell, IS_STEP>(step, n_next, n, unit, n_vectors, panel);
        panel += Cell::N_GATES * step.n_units * n_vectors * LANES<real>;
    });
    if constexpr (HAS_MASKS)
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

// d_x = delta W^T of `n_rows` rows.
template <class Cell, class real>
void compute_d_x(const Recurrence &size, int64_t n_rows, const real *delta, const real *panel, real *d_x) {
    const int64_t n_features = size.n_features, stride = delta_row_size<Cell>(size.n_units);
    Product<real> product{ZEROS<real>, 0, {NO_FACTOR<real>, NO_FACTOR<real>}, panel};
    Factor<real> *factor = product.factors;
    for_segments<Cell>(size.n_units, [&](int64_t, int64_t delta_column, int64_t n_columns) {
        *factor++ = {n_columns, delta + delta_column, stride};
    });
    Sums<real> sums;
    for_transposed_panels<real>(n_features, [&](int n_vectors, int64_t feature) {
        const int width = n_vectors * LANES<real>;
        for_rows(n_vectors, 0, n_rows, [&](int n, int64_t first) {
            multiply_tile(product, n_vectors, first, n, sums.values, width);
            store_sums(sums.values, n, n_vectors, d_x + first * n_features + feature, n_features, n_features - feature);
        });
        product.panel += Cell::N_GATES * size.n_units * width;
    });
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
    if (arrays.d_x)
        compute_d_x<Cell>(size, n_rows, delta, static_cast<const real *>(arrays.input_panels),
                          static_cast<real *>(arrays.d_x) + row * n_features);
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
