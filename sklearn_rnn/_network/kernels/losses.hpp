// The cross-entropy of softmax and its derivative in one pass over the scores, which are few: NumPy would take longer to
// begin its operations than to do them.
#pragma once
#include "activations.hpp"
#include "kernels.h"

namespace {

// Calls function(first column, number of columns) for each vector of a row.
template <class real, class Function>
INLINE void for_columns(int64_t n, const Function &function) {
    for (int64_t i = 0; i < n; i += LANES<real>)
        function(i, static_cast<int>(smaller<int64_t>(LANES<real>, n - i)));
}

template <class real>
INLINE real sum_of_lanes(Vec<real> v) {
    real sum = v[0];
    for (int lane = 1; lane < LANES<real>; lane++) sum += v[lane];
    return sum;
}

INLINE float logarithm(float x) { return __builtin_logf(x); }
INLINE double logarithm(double x) { return __builtin_log(x); }

// With the largest score m: log softmax(s) = s - m - log(sum of exp(s - m)). No exponential overflows.
template <class real>
void softmax_loss(int64_t n_rows, int64_t n_outputs, const void *all_scores, const void *all_targets, void *all_losses,
                  void *all_derivatives) {
    const real *scores = static_cast<const real *>(all_scores), *targets = static_cast<const real *>(all_targets);
    real *losses = static_cast<real *>(all_losses), *derivatives = static_cast<real *>(all_derivatives);
    for (int64_t row = 0; row < n_rows; row++) {
        const real *score = scores + row * n_outputs, *target = targets + row * n_outputs;
        real *derivative = derivatives + row * n_outputs;
        real largest = score[0];
        for (int64_t i = 1; i < n_outputs; i++) largest = score[i] > largest ? score[i] : largest;
        Vec<real> sum{};
        for_columns<real>(n_outputs, [&](int64_t i, int lanes) INLINE_LAMBDA {
            const Vec<real> shifted = load_first(score + i, lanes) - largest;
            const Vec<real> clamped = at_least<real>(ExpConstants<real>::ZERO_BELOW, shifted);
            store_first<real>(derivative + i, reduced_exp<real>(clamped).exp(), lanes);
            sum += load_first(derivative + i, lanes);  // without the lanes after the last column
        });
        const real total = sum_of_lanes<real>(sum), log_of_total = logarithm(total);
        sum = Vec<real>{};
        for_columns<real>(n_outputs, [&](int64_t i, int lanes) INLINE_LAMBDA {
            const Vec<real> t = load_first(target + i, lanes);
            sum += t * (load_first(score + i, lanes) - largest - log_of_total);
            store_first<real>(derivative + i, load_first(derivative + i, lanes) / total - t, lanes);
        });
        losses[row] = -sum_of_lanes<real>(sum);
    }
}

}  // namespace
