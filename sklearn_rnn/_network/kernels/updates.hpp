// A step of Adam in one pass over its four vectors, because with hundreds of units they do not fit into a cache; before
// it, one pass for the size of the step.
#pragma once
#include "kernels.h"
#include "vectors.hpp"

namespace {

struct True {
    static constexpr bool value = true;
};
struct False {
    static constexpr bool value = false;
};

INLINE float square_root(float value) { return __builtin_sqrtf(value); }
INLINE double square_root(double value) { return __builtin_sqrt(value); }

template <class real>
void adam(const Adam &settings, int64_t n, const void *gradients, void *means, void *variances, void *parameters) {
    const real *gradient = static_cast<const real *>(gradients);
    real *mean = static_cast<real *>(means), *variance = static_cast<real *>(variances);
    real *parameter = static_cast<real *>(parameters);
    const real beta_1 = static_cast<real>(settings.beta_1), beta_2 = static_cast<real>(settings.beta_2);
    const real rest_1 = static_cast<real>(1 - settings.beta_1), rest_2 = static_cast<real>(1 - settings.beta_2);
    const real step = static_cast<real>(settings.step), scale = static_cast<real>(settings.scale);
    const real epsilon = static_cast<real>(settings.epsilon);
    for (int64_t i = 0; i < n; i++) {
        const real g = gradient[i];
        mean[i] = beta_1 * mean[i] + rest_1 * g;
        variance[i] = beta_2 * variance[i] + rest_2 * g * g;
        parameter[i] -= step * mean[i] / (square_root(variance[i]) * scale + epsilon);
    }
}

// The root mean square of gradient / sqrt(variance after this step, without bias). Float sums of a few values for each
// lane are added in double.
template <class real>
double relative_size(const Adam &settings, int64_t n, const void *gradients, const void *variances) {
    constexpr int64_t CHUNK = 64 * LANES<real>;
    const real *gradient = static_cast<const real *>(gradients), *variance = static_cast<const real *>(variances);
    const real kept = static_cast<real>(settings.beta_2 * settings.scale * settings.scale);
    const real added = static_cast<real>((1 - settings.beta_2) * settings.scale * settings.scale);
    const Vec<real> smallest = broadcast(static_cast<real>(settings.epsilon * settings.epsilon));
    double total = 0;
    for (int64_t start = 0; start < n; start += CHUNK) {
        Vec<real> sum{};
        const auto add = [&](int64_t i, auto full, int lanes) INLINE_LAMBDA {
            const auto values = [&](const real *from) INLINE_LAMBDA {
                return full.value ? load<real>(from + i) : load_first(from + i, lanes);
            };
            const Vec<real> g = values(gradient), squares = g * g;
            const Vec<real> v = kept * values(variance) + added * squares;
            sum += squares / (v > smallest ? v : smallest);
        };
        const int64_t stop = smaller(start + CHUNK, n);
        int64_t i = start;
        for (; i + LANES<real> <= stop; i += LANES<real>) add(i, True{}, LANES<real>);
        if (i < stop) add(i, False{}, static_cast<int>(stop - i));
        for (int lane = 0; lane < LANES<real>; lane++) total += static_cast<double>(sum[lane]);
    }
    return __builtin_sqrt(total / static_cast<double>(n));
}

}  // namespace
