// The simple cell: h_t = f(x_t W + h_{t-1} U + b).
#pragma once
#include "activations.hpp"
#include "recurrence.hpp"

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
    static constexpr int N_STATES = 1, N_GATES = 1, N_SAVED = 0, N_DELTAS = 1, FIRST_RECURRENT_DELTA = 0;
    static constexpr bool HAS_RECURRENT_BIAS = false, HAS_ACTIVATIONS = true;
    static constexpr bool STATE_DECAYS = false;  // d_h_{t-1} comes only through U
    static constexpr int VECTORS = 4;            // vectors of units in a forward panel
    template <int N>
    static constexpr PanelShape PANEL = {N, N, N - 1};

    template <int N>
    static void pack_row(PanelWriter<real> &panel, const real *row, int64_t unit, int64_t n_units) {
        for (int v = 0; v < N; v++) panel.write(row, unit + v * LANES<real>, n_units);
    }

    template <int N>
    static void pack_biases(PanelWriter<real> &panel, const ForwardWeights<real> &weights, int64_t unit) {
        pack_row<N>(panel, weights.bias, unit, weights.n_units);
    }

    template <bool FULL>
    static INLINE void forward_epilogue(const ForwardStep<real> &step, int64_t row, int64_t u, int n,
                                        const Vec<real> *a, real *) {
        store<FULL>(step.h + row * step.n_units + u, activate<real>(step.activation, *a), n);
    }

    // delta_t = d_h_t f'(a_t)
    template <bool FULL>
    static INLINE void backward_epilogue(const BackwardStep<real> &step, int64_t row, int64_t u, int n, Vec<real> d_h,
                                         const real *) {
        const int64_t at = row * step.n_units + u;
        const Vec<real> h = load<FULL>(step.h + at, n);
        store<FULL>(step.delta + at, d_h * derivative<real>(step.activation, h), n);
    }
};

}  // namespace
