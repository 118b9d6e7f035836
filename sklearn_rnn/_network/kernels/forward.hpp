// The forward pass over a packed batch, for all cells.
#pragma once
#include "parts.hpp"

namespace {

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
void forward_whole(const ForwardStep<real> &step, int64_t n, Rows rows, const ForwardPanel &shape, const real *panel) {
    constexpr int N_SUMS = Cell::N_SUMS, N_GATES = Cell::N_GATES;
    const Product<real> product{panel, 0, {step.inputs(), step.states()}, panel + shape.biases * LANES<real>};
    const int n_sums = shape.n * N_SUMS;
    Sums<real> sums;
    for_rows(n_sums, rows.start, rows.stop, [&](int n_rows, int64_t first) {
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
void forward_tail(const ForwardStep<real> &step, int64_t n, Rows rows, const ForwardPanel &shape, const real *panel) {
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
        const int n_rows = static_cast<int>(smaller<int64_t>(LANES<real>, rows.stop - row));
        return TailVector<real>{*step.tail, row, shape.unit, n_rows, 0, sums[row / LANES<real> % 2], stride, places};
    };
    for (int64_t row = rows.start; row < rows.stop; row += LANES<real>) {
        const int64_t n_rows = smaller<int64_t>(LANES<real>, rows.stop - row);
        forward_tail_sums<Cell>(step, row, n_rows, shape, panel, sums[row / LANES<real> % 2]);
        if (row > rows.start) forward_block<Cell>(step, n, block_at(row - LANES<real>));
    }
    if (rows.stop > rows.start) forward_block<Cell>(step, n, block_at(rows.last_block(LANES<real>)));
}

template <class Cell, class real>
void step_forward(const ForwardStep<real> &step, int64_t n, Rows rows, const real *panel) {
    for_panels<Cell>(step.n_units, [&](const ForwardPanel &shape) {
        if (!shape.is_tail)
            forward_whole<Cell>(step, n, rows, shape, panel);
        else if constexpr (HAS_TAIL_PANEL<Cell>)
            forward_tail<Cell>(step, n, rows, shape, panel);
        panel += shape.vectors(step.n_features, step.n_units) * LANES<real>;
    });
}

// Calls run_step(step, number of its rows, those among `rows`) for every step. It writes h, c and the tape of these.
template <class Cell, class RunStep>
INLINE void forward_steps(const Recurrence &size, const ForwardArrays &arrays, Rows rows, const RunStep &run_step) {
    using real = typename Cell::real;
    const int64_t n_units = size.n_units, state_size = size.n_sequences * n_units, stride = arrays.hidden_stride;
    const real *initial = static_cast<const real *>(arrays.initial_state);
    real *final_state = static_cast<real *>(arrays.final_state);
    if (final_state != initial)
        for (int state = 0; state < Cell::N_STATES; state++)
            copy_rows(rows, n_units, initial + state * state_size, n_units, final_state + state * state_size, n_units);
    const TailLayout<real> tail(n_units, size.n_sequences);
    ForwardStep<real> step{};
    step.tail = &tail;
    step.n_features = size.n_features, step.n_units = n_units, step.activation = size.activation;
    step.x = static_cast<const real *>(arrays.x), step.tape = static_cast<real *>(arrays.tape);
    step.c = final_state + state_size;  // updated at its final place; only LSTM has c
    step.h_stride = stride;
    real *before = static_cast<real *>(arrays.hidden);
    step.h = before + size.n_sequences * stride;
    const int64_t sign = size.is_reverse ? -1 : 1;  // of the way from a step's rows to those that are read next
    if (size.is_reverse) {  // from the last step on, with the initial h behind its rows
        const int64_t first_row = (size.n_steps - 1) * size.n_sequences;
        step.x += first_row * size.n_features;
        if (step.tape) step.tape += first_row * tape_row_size<Cell>(n_units);
        if (arrays.keeps_hidden) before = step.h + first_row * stride, step.h = before - size.n_sequences * stride;
    }
    copy_rows(rows, n_units, initial, n_units, before, stride);
    for (int64_t t = 0; t < size.n_steps; t++) {
        const int64_t n = size.batch_sizes[t];
        step.previous_h = before;
        copy_rows(rows.from(n), n_units, step.previous_h, stride, final_state, n_units);
        rows = rows.until(n);
        run_step(step, n, rows);
        step.x += sign * n * size.n_features;
        if (step.tape) step.tape += sign * n * tape_row_size<Cell>(n_units);
        // In a work array two places take turns.
        real *const next_h = arrays.keeps_hidden ? step.h + sign * n * stride : before;
        before = step.h, step.h = next_h;
    }
    copy_rows(rows, n_units, before, stride, final_state, n_units);
}

template <class Cell>
void forward(const Recurrence &size, const ForwardArrays &arrays) {
    using real = typename Cell::real;
    const Steps steps = all_steps(size);
    for_sequences<Cell>(size, steps, count_parts<Cell>(size, steps.n_rows), [&](Rows rows) {
        forward_steps<Cell>(size, arrays, rows, [&](const ForwardStep<real> &step, int64_t n, Rows rows) {
            step_forward<Cell>(step, n, rows, static_cast<const real *>(arrays.panels));
        });
    });
}

}  // namespace
