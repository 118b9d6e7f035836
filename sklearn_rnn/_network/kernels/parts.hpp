// How threads share the work of a pass.
#pragma once
#include "panels.hpp"
#include "steps.hpp"
#include "team.h"

namespace {

// A range of steps, `first` to `last` - 1, and its rows, from row `row` of the batch on.
struct Steps {
    int64_t first, last, row, n_rows;
};

INLINE Steps all_steps(const Recurrence &size) {
    Steps steps{0, size.n_steps, 0, 0};
    for (int64_t t = 0; t < size.n_steps; t++) steps.n_rows += size.batch_sizes[t];
    return steps;
}

// Multiplications that take some microseconds: less is not worth a thread.
constexpr int64_t SMALLEST_PART = 1 << 18;

// Into how many parts threads may share the work of `n_rows` rows. The bits do not depend on it. A single sequence stays
// in one thread: its errors are in the cache of the processor that computed them, and another would be no faster.
template <class Cell>
int count_parts(const Recurrence &size, int64_t n_rows) {
    const int64_t work = n_rows * Cell::N_GATES * size.n_units * (size.n_features + size.n_units);
    const int64_t most = smaller<int64_t>(smaller<int64_t>(size.n_threads, MOST_PARTS), work / SMALLEST_PART);
    return most < 1 ? 1 : static_cast<int>(smaller(most, size.n_sequences));
}

// The first sequence of part k, so that all parts have about the same number of rows. Parts begin at a multiple of
// `unit`.
INLINE int64_t first_of_part(const Recurrence &size, const Steps &steps, int k, int n_parts, int64_t unit) {
    if (k == n_parts) return size.n_sequences;
    const int64_t n_wanted = steps.n_rows * k / n_parts;
    int64_t sequence = 0, last = steps.last;
    for (int64_t n = 0; n < n_wanted; n += last - steps.first, sequence++)
        while (size.batch_sizes[last - 1] <= sequence) last--;
    return smaller((sequence + unit / 2) / unit * unit, size.n_sequences);
}

// Calls function(Rows) for the sequences of each part, side by side. Blocks of the last units have LANES rows.
template <class Cell, class Function>
void for_sequences(const Recurrence &size, const Steps &steps, int n_parts, const Function &function) {
    using real = typename Cell::real;
    const int64_t unit = units_before_tail<real>(size.n_units) < size.n_units ? LANES<real> : 1;
    for_parts(size.n_threads, n_parts, [&](int k) {
        const SubnormalsAreZero mode;
        const int64_t first = first_of_part(size, steps, k, n_parts, unit);
        function(Rows{first, first_of_part(size, steps, k + 1, n_parts, unit)});
    });
}

}  // namespace
