// The sums and the maxima of pools over the steps of a packed batch, with the bits of the loops in readouts.py.
#pragma once
#include "kernels.h"

namespace {

template <class real>
void add_to_sum(int64_t n_steps, int64_t n_units, const int64_t *batch_sizes, const void *hidden, void *sums) {
    const real *h = static_cast<const real *>(hidden);
    real *sum = static_cast<real *>(sums);
    for (int64_t t = 0; t < n_steps; t++) {
        const int64_t n = batch_sizes[t] * n_units;
        for (int64_t i = 0; i < n; i++) sum[i] += h[i];
        h += n;
    }
}

template <class real>
void add_to_maximum(int64_t n_steps, int64_t n_units, const int64_t *batch_sizes, const void *hidden,
                    int64_t first_step, void *maxima, int32_t *step_of_maximum) {
    const real *h = static_cast<const real *>(hidden);
    real *maximum = static_cast<real *>(maxima);
    for (int64_t t = 0; t < n_steps; t++) {
        const int64_t n = batch_sizes[t] * n_units;
        const int32_t step = static_cast<int32_t>(first_step + t);
        for (int64_t i = 0; i < n; i++) {
            const real value = h[i], before = maximum[i];
            const bool is_larger = !(value <= before);  // also if one of them is NaN
            step_of_maximum[i] = is_larger ? step : step_of_maximum[i];
            maximum[i] = is_larger & (before == before) ? value : before;  // a NaN stays
        }
        h += n;
    }
}

// The errors of maxima from steps outside of this window belong to another one.
template <class real>
void add_at_maximum(int64_t n_steps, int64_t n_sequences, int64_t n_units, const int64_t *batch_sizes,
                    const int64_t *offsets, const void *d_maxima, const int32_t *step_of_maximum, int64_t first_step,
                    void *errors) {
    const real *d_maximum = static_cast<const real *>(d_maxima);
    real *error = static_cast<real *>(errors);
    for (int64_t s = 0; s < n_sequences; s++)
        for (int64_t u = 0; u < n_units; u++) {
            const int64_t i = s * n_units + u, t = step_of_maximum[i] - first_step;
            if (t < 0 || t >= n_steps || s >= batch_sizes[t]) continue;
            error[(offsets[t] + s) * n_units + u] += d_maximum[i];
        }
}

}  // namespace
