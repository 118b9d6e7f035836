// The backward pass, over ranges of steps from the last to the first, for all cells.
#pragma once
#include "few_columns.hpp"
#include "parts.hpp"
#include "products.hpp"

namespace {

// The rows in `hidden` of the states after step t, whose first row is `row`, and of those before it: with the initial
// states, these are the rows behind them in the reverse direction, and those in front of them otherwise.
INLINE int64_t row_after(const Recurrence &size, int64_t row) { return size.is_reverse ? row : size.n_sequences + row; }

INLINE int64_t row_before(const Recurrence &size, int64_t t, int64_t row) {
    if (size.is_reverse) return row + size.n_sequences;
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

// Rows `with_next` have a step t + 1, whose deltas are known; rows `at_end`, which follow them, are at their last step.
template <class Cell, bool IS_STEP, class real>
void backward_panel(const BackwardStep<real> &step, int64_t n, Rows with_next, Rows at_end, int64_t unit,
                    int n_vectors, const real *panel) {
    const Product<real> product = backward_product<Cell>(step, panel);
    Sums<real> sums;
    for_rows(n_vectors, with_next.start, with_next.stop, [&](int n_rows, int64_t first) {
        multiply_tile(product, n_vectors, first, n_rows, sums.values, n_vectors * LANES<real>);
        backward_rows<Cell, IS_STEP, false>(step, n, first, first + n_rows, unit, n_vectors, sums.values);
    });
    backward_rows<Cell, IS_STEP, true>(step, n, at_end.start, at_end.stop, unit, n_vectors,
                                       static_cast<const real *>(nullptr));
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
void backward_tail(const BackwardStep<real> &step, int64_t n, Rows with_next, Rows at_end, int64_t unit,
                   const real *panel) {
    const Rows rows = {with_next.start, at_end.stop};
    alignas(VECTOR_BYTES) real sums[2][LANES<real> * LANES<real>];
    const int place = 0;
    const auto block_at = [&](int64_t row) INLINE_LAMBDA {
        const int n_rows = static_cast<int>(smaller<int64_t>(LANES<real>, rows.stop - row));
        return TailVector<real>{*step.tail, row, unit, n_rows, 0, sums[row / LANES<real> % 2], LANES<real>, &place};
    };
    for (int64_t row = rows.start; row < rows.stop; row += LANES<real>) {
        const int64_t stop = smaller<int64_t>(row + LANES<real>, rows.stop);
        real *values = sums[row / LANES<real> % 2];
        backward_tail_sums<Cell>(step, row, smaller(stop, with_next.stop), panel, values);
        for (int64_t r = row < at_end.start ? at_end.start : row; r < stop; r++) {
            const real *d_h = step.d_h + r * step.n_units + unit;
            for (int u = 0; u < step.tail->n; u++)
                values[(r - row) * LANES<real> + u] = Cell::STATE_DECAYS ? real(-0.) : d_h[u];
        }
        if (row > rows.start) backward_block<Cell, IS_STEP>(step, n, block_at(row - LANES<real>));
    }
    if (rows.stop > rows.start) backward_block<Cell, IS_STEP>(step, n, block_at(rows.last_block(LANES<real>)));
}

template <class Cell, bool IS_STEP, class real>
void step_backward(const BackwardStep<real> &step, int64_t n, Rows with_next, Rows at_end, const real *panel) {
    const int64_t n_whole = units_before_tail<real>(step.n_units);
    for_groups<real>(4, n_whole, [&](int n_vectors, int64_t unit) {
        backward_panel<Cell, IS_STEP>(step, n, with_next, at_end, unit, n_vectors, panel);
        panel += Cell::N_GATES * step.n_units * n_vectors * LANES<real>;
    });
    if constexpr (HAS_MASKS)
        if (n_whole < step.n_units) backward_tail<Cell, IS_STEP>(step, n, with_next, at_end, n_whole, panel);
}

// Computes the deltas of some sequences, from the last step of the range that is read to the first.
template <class Cell, class real>
void steps_backward(const Recurrence &size, const BackwardArrays &arrays, const Steps &steps, Rows rows) {
    const int64_t n_units = size.n_units, stride = delta_row_size<Cell>(n_units), h_stride = arrays.hidden_stride;
    const real *hidden = static_cast<const real *>(arrays.hidden), *tape = static_cast<const real *>(arrays.tape);
    const real *d_hidden = static_cast<const real *>(arrays.d_hidden);
    const real *panels = static_cast<const real *>(arrays.panels);
    const TailLayout<real> tail(n_units, size.n_sequences);
    BackwardStep<real> step{};
    step.tail = &tail;
    step.n_units = n_units, step.activation = size.activation;
    step.h_stride = h_stride, step.d_hidden_stride = arrays.d_hidden_stride, step.delta_stride = stride;
    step.d_h = static_cast<real *>(arrays.d_state), step.d_c = step.d_h + size.n_sequences * n_units;
    int64_t row = size.is_reverse ? steps.row : steps.row + steps.n_rows, n_next = 0;
    for (int64_t k = 0; k < steps.last - steps.first; k++) {
        const int64_t t = size.is_reverse ? steps.first + k : steps.last - 1 - k, n = size.batch_sizes[t];
        row += size.is_reverse ? n_next : -n;
        step.h = hidden + row_after(size, row) * h_stride;
        step.previous_h = hidden + row_before(size, t, row) * h_stride;
        step.tape = tape + row * tape_row_size<Cell>(n_units);
        if (d_hidden) step.d_hidden = d_hidden + row * arrays.d_hidden_stride;
        step.delta = static_cast<real *>(arrays.delta) + (row - steps.row) * stride;
        const Rows now_rows = rows.until(n);
        step_backward<Cell, true>(step, n, now_rows.until(n_next), now_rows.from(n_next), panels);
        step.next_delta = step.delta;
        n_next = n;
    }
    step.d_hidden = nullptr;
    const Rows all = rows.until(n_next);
    step_backward<Cell, false>(step, n_next, all, all.from(n_next), panels);
}

// Adds some columns of the deltas, summed over the rows of a step, for one step after another from the last.
template <class real>
void add_biases(const Recurrence &size, const Steps &steps, Rows columns, const real *delta, int64_t stride,
                real *d_bias) {
    int64_t row = steps.n_rows;
    for (int64_t t = steps.last - 1; t >= steps.first; t--) {
        row -= size.batch_sizes[t];
        add_rows(size.batch_sizes[t], columns.stop - columns.start, delta + row * stride + columns.start, stride,
                 d_bias + columns.start);
    }
}

// d_x = delta W^T of some rows.
template <class Cell, class real>
void compute_d_x(const Recurrence &size, Rows rows, const real *delta, const real *panel, real *d_x) {
    const int64_t n_features = size.n_features, stride = delta_row_size<Cell>(size.n_units);
    Product<real> product{ZEROS<real>, 0, {NO_FACTOR<real>, NO_FACTOR<real>}, panel};
    Factor<real> *factor = product.factors;
    for_segments<Cell>(size.n_units, [&](int64_t, int64_t delta_column, int64_t n_columns) {
        *factor++ = {n_columns, delta + delta_column, stride};
    });
    for_transposed_panels<real>(n_features, [&](int n_vectors, int64_t feature) {
        multiply_panel(product, n_vectors, rows.start, rows.stop, d_x, feature, n_features);
        product.panel += Cell::N_GATES * size.n_units * n_vectors * LANES<real>;
    });
}

// Adds the rows of a gradient that belong to a part of the weights, of which `n_before` rows come before its first one.
template <class real>
void add_part_of_product(int64_t n_rows, Rows part, int64_t n_before, const Factor<real> &a, int64_t n_b,
                         const real *b, int64_t stride_b, real *c, int64_t stride_c) {
    const Rows own = Rows{n_before, n_before + a.n}.from(part.start).until(part.stop);
    const int64_t n = own.stop - own.start, first = own.start - n_before;
    if (n > 0) add_product(n_rows, n, n_b, a.rows + first, a.stride, b, stride_b, c + first * stride_c, stride_c);
}

// Part k of n_parts of what the deltas of a range of steps add: its rows of the weights, the features' then the units',
// its columns of the biases, and its rows of d_x, if d_x is wanted.
template <class Cell, class real>
void add_products(const Recurrence &size, const BackwardArrays &arrays, const Steps &steps,
                  const Factor<real> &previous, int k, int n_parts) {
    const int64_t n_units = size.n_units, n_features = size.n_features, n_rows = steps.n_rows;
    const int64_t stride = delta_row_size<Cell>(n_units), n_columns = Cell::N_GATES * n_units;
    const real *delta = static_cast<const real *>(arrays.delta);
    const Factor<real> x{n_features, static_cast<const real *>(arrays.x) + steps.row * n_features, n_features};
    const auto share = [&](int64_t n) INLINE_LAMBDA { return Rows{n * k / n_parts, n * (k + 1) / n_parts}; };
    const Rows own = share(n_features + n_units);
    add_part_of_product(n_rows, own, n_features, previous, n_columns, delta, stride,
                        static_cast<real *>(arrays.d_recurrent), n_columns);
    for_segments<Cell>(n_units, [&](int64_t column, int64_t delta_column, int64_t n) {
        add_part_of_product(n_rows, own, 0, x, n, delta + delta_column, stride,
                            static_cast<real *>(arrays.d_input) + column, n_columns);
        add_biases(size, steps, share(n), delta + delta_column, stride, static_cast<real *>(arrays.d_bias) + column);
    });
    if (arrays.d_recurrent_bias)
        add_biases(size, steps, share(n_units), delta + (Cell::N_GATES - 1) * n_units, stride,
                   static_cast<real *>(arrays.d_recurrent_bias));
    if (arrays.d_x)
        compute_d_x<Cell>(size, share(n_rows), delta, static_cast<const real *>(arrays.input_panels),
                          static_cast<real *>(arrays.d_x) + steps.row * n_features);
}

// Whether h before each row of a range of steps is in `hidden`, in the order of the rows: all steps have all sequences.
INLINE bool has_previous_states(const Recurrence &size, const Steps &steps) {
    return size.batch_sizes[steps.last - 1] == size.n_sequences;
}

// h before each row of a range of steps: in `hidden`, or the copies of it.
template <class real>
Factor<real> previous_states(const Recurrence &size, const BackwardArrays &arrays, const Steps &steps) {
    const int64_t n_units = size.n_units, row = row_before(size, steps.first, steps.row), stride = arrays.hidden_stride;
    if (!has_previous_states(size, steps)) return {n_units, static_cast<const real *>(arrays.previous), n_units};
    return {n_units, static_cast<const real *>(arrays.hidden) + row * stride, stride};
}

// Copies h before each row of some sequences to `previous`.
template <class real>
void copy_previous_states(const Recurrence &size, const BackwardArrays &arrays, const Steps &steps, Rows rows) {
    const int64_t n_units = size.n_units;
    const real *hidden = static_cast<const real *>(arrays.hidden);
    real *to = static_cast<real *>(arrays.previous);
    int64_t row = steps.row;
    for (int64_t t = steps.first; t < steps.last; t++) {
        const int64_t n = size.batch_sizes[t];
        const real *before = hidden + row_before(size, t, row) * arrays.hidden_stride;
        copy_rows(rows.until(n), n_units, before, arrays.hidden_stride, to, n_units);
        to += n * n_units, row += n;
    }
}

// The range of steps that are read before another range, with at most `n_most` rows.
INLINE Steps range_before(const Recurrence &size, const Steps &other, int64_t n_most) {
    if (size.is_reverse) {
        Steps steps{other.last, other.last, other.row + other.n_rows, 0};
        for (; steps.last < size.n_steps && steps.n_rows + size.n_sequences <= n_most; steps.last++)
            steps.n_rows += size.n_sequences;
        return steps;
    }
    Steps steps{other.first, other.first, other.row, 0};
    while (steps.first > 0 && steps.n_rows + size.batch_sizes[steps.first - 1] <= n_most)
        steps.n_rows += size.batch_sizes[--steps.first];
    steps.row -= steps.n_rows;
    return steps;
}

// From the step that is read last to the first, for a range of steps at a time: computes the deltas, then their
// products while the deltas are still in the cache.
template <class Cell>
void backward(const Recurrence &size, const BackwardArrays &arrays) {
    using real = typename Cell::real;
    const bool is_reverse = size.is_reverse;
    const int64_t n_all = all_steps(size).n_rows;
    Steps steps = is_reverse ? Steps{0, 0, 0, 0} : Steps{size.n_steps, size.n_steps, n_all, 0};
    while (is_reverse ? steps.last < size.n_steps : steps.first > 0) {
        steps = range_before(size, steps, arrays.n_delta_rows);
        const int n_parts = count_parts<Cell>(size, steps.n_rows);
        for_sequences<Cell>(size, steps, n_parts, [&](Rows rows) {
            steps_backward<Cell, real>(size, arrays, steps, rows);
            if (!has_previous_states(size, steps)) copy_previous_states<real>(size, arrays, steps, rows);
        });
        for_parts(size.n_threads, n_parts, [&](int k) {
            const SubnormalsAreZero mode;
            add_products<Cell>(size, arrays, steps, previous_states<real>(size, arrays, steps), k, n_parts);
        });
    }
}

}  // namespace
