// A step of Adam in one pass over its four vectors, because with hundreds of units they do not fit into a cache.
#pragma once
#include "kernels.h"
#include "vectors.hpp"

namespace {

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

}  // namespace
