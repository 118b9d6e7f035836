// Long short-term memory; gates in the order i, f, g, o.
#pragma once
#include "activations.hpp"
#include "steps.hpp"

namespace {

template <class number>
struct LSTMCell {
    using real = number;
    static constexpr const char *NAME = "lstm";
    static constexpr int N_STATES = 2, N_GATES = 4, N_SUMS = 4, N_SAVED = 5, N_KEPT = 2, N_DELTAS = 4;
    static constexpr bool HAS_RECURRENT_BIAS = false, HAS_ACTIVATIONS = false;
    static constexpr bool STATE_DECAYS = false;
    static constexpr int VECTORS = 1;

    // c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)
    template <class Vector>
    static INLINE void forward_gates(const ForwardStep<real> &step, const Vector &at, real *tape, Vec<real> *kept) {
        const Vec<real> i = sigmoid<real>(at.sum(0)), f = sigmoid<real>(at.sum(1));
        const Vec<real> g = tanh<real>(at.sum(2)), o = sigmoid<real>(at.sum(3));
        const Vec<real> c_before = at.load_from(step.c, step.n_units), c = f * c_before + i * g;
        at.store_to(step.c, step.n_units, c);
        kept[0] = o, kept[1] = c;
        if (tape) write_record<real>(tape, i, f, g, o, c_before);
    }

    template <class Vector>
    static INLINE void forward_state(const ForwardStep<real> &step, const Vector &at, real *, const Vec<real> *kept) {
        at.store_to(step.h, step.h_stride, kept[0] * tanh<real>(kept[1]));
    }

    // d_c_t = d_h_t o (1 - tanh(c_t)^2) + d_c_{t+1} f_{t+1};   a delta is the gradient of a gate's argument.
    template <class Vector>
    static INLINE void backward_epilogue(const BackwardStep<real> &step, const Vector &at, Vec<real> d_h,
                                         const real *tape) {
        const int64_t n_units = step.n_units, stride = step.delta_stride;
        const Vec<real> i = record<real>(tape, 0), f = record<real>(tape, 1), g = record<real>(tape, 2);
        const Vec<real> o = record<real>(tape, 3), c_before = record<real>(tape, 4);
        const Vec<real> tanh_c = tanh<real>(f * c_before + i * g);  // recomputed: faster than a read from memory
        const Vec<real> d_c = d_h * o * (1 - tanh_c * tanh_c) + at.load_from(step.d_c, n_units);
        at.store_to(step.delta, stride, d_c * g * i * (1 - i));
        at.store_to(step.delta + n_units, stride, d_c * c_before * f * (1 - f));
        at.store_to(step.delta + 2 * n_units, stride, d_c * i * (1 - g * g));
        at.store_to(step.delta + 3 * n_units, stride, d_h * tanh_c * o * (1 - o));
        at.store_to(step.d_c, n_units, d_c * f);
    }
};

}  // namespace
