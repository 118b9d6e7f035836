// Long short-term memory; gates in the order i, f, g, o.
#pragma once
#include "activations.hpp"
#include "recurrence.hpp"

namespace {

template <class number>
struct LSTMCell {
    using real = number;
    static constexpr const char *NAME = "lstm";
    static constexpr int N_STATES = 2, N_GATES = 4, N_SAVED = 5, N_DELTAS = 4, FIRST_RECURRENT_DELTA = 0;
    static constexpr bool HAS_RECURRENT_BIAS = false, HAS_ACTIVATIONS = false;
    static constexpr bool STATE_DECAYS = false;
    static constexpr int VECTORS = 1;
    template <int N>
    static constexpr PanelShape PANEL = {N_GATES, N_GATES, N_GATES - 1};

    template <int N>
    static void pack_row(PanelWriter<real> &panel, const real *row, int64_t unit, int64_t n_units) {
        for (int gate = 0; gate < N_GATES; gate++) panel.write(row + gate * n_units, unit, n_units);
    }

    template <int N>
    static void pack_biases(PanelWriter<real> &panel, const ForwardWeights<real> &weights, int64_t unit) {
        pack_row<N>(panel, weights.bias, unit, weights.n_units);
    }

    // c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)
    template <bool FULL>
    static INLINE void forward_epilogue(const ForwardStep<real> &step, int64_t row, int64_t u, int n,
                                        const Vec<real> *a, real *tape) {
        const int64_t n_units = step.n_units, at = row * n_units + u;
        const Vec<real> i = sigmoid<real>(a[0]), f = sigmoid<real>(a[1]), g = tanh<real>(a[2]), o = sigmoid<real>(a[3]);
        const Vec<real> c_before = load<FULL>(step.c + at, n), c = f * c_before + i * g;
        store<FULL>(step.c + at, c, n);
        store<FULL>(step.h + at, o * tanh<real>(c), n);
        if (tape) write_record<real>(tape, i, f, g, o, c_before);
    }

    // d_c_t = d_h_t o (1 - tanh(c_t)^2) + d_c_{t+1} f_{t+1};   a delta is the gradient of a gate's argument.
    template <bool FULL>
    static INLINE void backward_epilogue(const BackwardStep<real> &step, int64_t row, int64_t u, int n, Vec<real> d_h,
                                         const real *tape) {
        const int64_t n_units = step.n_units, at = row * n_units + u;
        const Vec<real> i = record<real>(tape, 0), f = record<real>(tape, 1), g = record<real>(tape, 2);
        const Vec<real> o = record<real>(tape, 3), c_before = record<real>(tape, 4);
        const Vec<real> tanh_c = tanh<real>(f * c_before + i * g);  // recomputed: faster than a read from memory
        const Vec<real> d_c = d_h * o * (1 - tanh_c * tanh_c) + load<FULL>(step.d_c + at, n);
        real *delta = step.delta + row * N_DELTAS * n_units + u;
        store<FULL>(delta, d_c * g * i * (1 - i), n);
        store<FULL>(delta + n_units, d_c * c_before * f * (1 - f), n);
        store<FULL>(delta + 2 * n_units, d_c * i * (1 - g * g), n);
        store<FULL>(delta + 3 * n_units, d_h * tanh_c * o * (1 - o), n);
        store<FULL>(step.d_c + at, d_c * f, n);
    }
};

}  // namespace
