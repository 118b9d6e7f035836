// The simple cell: h_t = f(x_t W + h_{t-1} U + b).
#pragma once
#include "activations.hpp"
#include "steps.hpp"

namespace {

template <class real>
INLINE Vec<real> activate(int activation, Vec<real> a) {
    switch (activation) {
        case LOGISTIC: return sigmoid<real>(a);
        case RELU: return a < 0 ? Vec<real>{} : a;  // NaN is not less than 0
        case TANH: return tanh<real>(a);
        default: return a;
    }
}

// f'(a) as a function of h = f(a).
template <class real>
INLINE Vec<real> derivative(int activation, Vec<real> h) {
    switch (activation) {
        case LOGISTIC: return h * (1 - h);
        case RELU: return h > 0 ? broadcast(real(1)) : Vec<real>{};
        case TANH: return 1 - h * h;
        default: return broadcast(real(1));
    }
}

template <class number>
struct SimpleCell {
    using real = number;
    static constexpr const char *NAME = "rnn";
    static constexpr int N_STATES = 1, N_GATES = 1, N_SUMS = 1, N_SAVED = 0, N_KEPT = 0, N_DELTAS = 1;
    static constexpr bool HAS_RECURRENT_BIAS = false, HAS_ACTIVATIONS = true;
    static constexpr bool STATE_DECAYS = false;  // d_h_{t-1} comes only through U
    static constexpr int VECTORS = 4;            // vectors of units in a forward panel

    template <class Vector>
    static INLINE void forward_gates(const ForwardStep<real> &step, const Vector &at, real *, Vec<real> *) {
        at.store_to(step.h, step.h_stride, activate<real>(step.activation, at.sum(0)));
    }

    template <class Vector>
    static INLINE void forward_state(const ForwardStep<real> &, const Vector &, real *, const Vec<real> *) {}

    // delta_t = d_h_t f'(a_t)
    template <class Vector>
    static INLINE void backward_epilogue(const BackwardStep<real> &step, const Vector &at, Vec<real> d_h,
                                         const real *) {
        const Vec<real> h = at.load_from(step.h, step.h_stride);
        at.store_to(step.delta, step.delta_stride, d_h * derivative<real>(step.activation, h));
    }
};

}  // namespace
