// The gated recurrent unit with the reset after the product; gates in the order r, z, n.
#pragma once
#include "activations.hpp"
#include "recurrence.hpp"

namespace {

template <class number>
struct GRUCell {
    using real = number;
    // Saved: r, z, n and q. Deltas: of the argument of n; then of h_{t-1} U + b_hn: those of r, z and q (the delta of n
    // times r).
    static constexpr const char *NAME = "gru";
    static constexpr int N_STATES = 1, N_GATES = 3, N_SAVED = 4, N_DELTAS = 4, FIRST_RECURRENT_DELTA = 1;
    static constexpr bool HAS_RECURRENT_BIAS = true, HAS_ACTIVATIONS = false;
    static constexpr bool STATE_DECAYS = true;  // d_h_{t-1} has a part through z_t
    static constexpr int VECTORS = 1;
    template <int N>
    static constexpr PanelShape PANEL = {N_GATES + 1, N_GATES, N_GATES};  // sums: r, z, n without r q, and q

    template <int N>
    static void pack_row(PanelWriter<real> &panel, const real *row, int64_t unit, int64_t n_units) {
        for (int gate = 0; gate < N_GATES; gate++) panel.write(row + gate * n_units, unit, n_units);
    }

    template <int N>
    static void pack_biases(PanelWriter<real> &panel, const ForwardWeights<real> &weights, int64_t unit) {
        pack_row<N>(panel, weights.bias, unit, weights.n_units);
        panel.write(weights.recurrent_bias, unit, weights.n_units);
    }

    // q_t = h_{t-1} U_n + b_hn,   n_t = tanh(x_t W_n + b_n + r q_t),   h_t = n_t + z (h_{t-1} - n_t)
    template <bool FULL>
    static INLINE void forward_epilogue(const ForwardStep<real> &step, int64_t row, int64_t u, int lanes,
                                        const Vec<real> *a, real *tape) {
        const int64_t n_units = step.n_units, at = row * n_units + u;
        const Vec<real> r = sigmoid<real>(a[0]), z = sigmoid<real>(a[1]), q = a[3], n = tanh<real>(a[2] + r * q);
        store<FULL>(step.h + at, n + z * (load<FULL>(step.previous_h + at, lanes) - n), lanes);
        if (tape) write_record<real>(tape, r, z, n, q);
    }

    // delta_n = d_h (1 - z) (1 - n^2),  delta_z = d_h (h_{t-1} - n) z (1 - z),  delta_r = delta_n q r (1 - r)
    template <bool FULL>
    static INLINE void backward_epilogue(const BackwardStep<real> &step, int64_t row, int64_t u, int lanes,
                                         Vec<real> d_h, const real *tape) {
        const int64_t n_units = step.n_units, at = row * n_units + u;
        const Vec<real> r = record<real>(tape, 0), z = record<real>(tape, 1);
        const Vec<real> n = record<real>(tape, 2), q = record<real>(tape, 3);
        const Vec<real> h_before = load<FULL>(step.previous_h + at, lanes);
        const Vec<real> delta_n = d_h * (1 - z) * (1 - n * n);
        real *delta = step.delta + row * N_DELTAS * n_units + u;
        store<FULL>(delta, delta_n, lanes);
        store<FULL>(delta + n_units, delta_n * q * r * (1 - r), lanes);
        store<FULL>(delta + 2 * n_units, d_h * (h_before - n) * z * (1 - z), lanes);
        store<FULL>(delta + 3 * n_units, delta_n * r, lanes);
        store<FULL>(step.d_h + at, d_h * z, lanes);
    }
};

}  // namespace
