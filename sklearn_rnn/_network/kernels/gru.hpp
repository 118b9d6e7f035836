// The gated recurrent unit with the reset after the product; gates in the order r, z, n.
#pragma once
#include "activations.hpp"
#include "steps.hpp"

namespace {

template <class number>
struct GRUCell {
    using real = number;
    // Saved: r, z, n and q. Deltas: of h_{t-1} U + b_hn: those of r, z and q (the delta of n times r); then of the
    // argument of n.
    static constexpr const char *NAME = "gru";
    static constexpr int N_STATES = 1, N_GATES = 3, N_SUMS = 4, N_SAVED = 4, N_KEPT = 2, N_DELTAS = 4;
    static constexpr bool HAS_RECURRENT_BIAS = true, HAS_ACTIVATIONS = false;
    static constexpr bool STATE_DECAYS = true;  // d_h_{t-1} has a part through z_t
    static constexpr int VECTORS = 1;

    // q_t = h_{t-1} U_n + b_hn,   n_t = tanh(x_t W_n + b_n + r q_t),   h_t = n_t + z (h_{t-1} - n_t)
    // The sums: r, z, n without r q, and q.
    template <class Vector>
    static INLINE void forward_gates(const ForwardStep<real> &, const Vector &at, real *tape, Vec<real> *kept) {
        // The argument of n comes first: behind z, GCC 12 rounds the product and the sum apart at level v3.
        const Vec<real> r = sigmoid<real>(at.sum(0)), q = at.sum(3), n_argument = at.sum(2) + r * q;
        const Vec<real> z = sigmoid<real>(at.sum(1));
        kept[0] = z, kept[1] = n_argument;
        if (tape) write_record<real>(tape, r, z, Vec<real>{}, q);
    }

    template <class Vector>
    static INLINE void forward_state(const ForwardStep<real> &step, const Vector &at, real *tape,
                                     const Vec<real> *kept) {
        const Vec<real> z = kept[0], n = tanh<real>(kept[1]);
        at.store_to(step.h, step.h_stride, n + z * (at.load_from(step.previous_h, step.h_stride) - n));
        if (tape) store<real>(tape + 2 * LANES<real>, n);
    }

    // delta_n = d_h (1 - z) (1 - n^2),  delta_z = d_h (h_{t-1} - n) z (1 - z),  delta_r = delta_n q r (1 - r)
    template <class Vector>
    static INLINE void backward_epilogue(const BackwardStep<real> &step, const Vector &at, Vec<real> d_h,
                                         const real *tape) {
        const int64_t n_units = step.n_units, stride = step.delta_stride;
        const Vec<real> r = record<real>(tape, 0), z = record<real>(tape, 1);
        const Vec<real> n = record<real>(tape, 2), q = record<real>(tape, 3);
        const Vec<real> h_before = at.load_from(step.previous_h, step.h_stride);
        const Vec<real> delta_n = d_h * (1 - z) * (1 - n * n);
        at.store_to(step.delta, stride, delta_n * q * r * (1 - r));
        at.store_to(step.delta + n_units, stride, d_h * (h_before - n) * z * (1 - z));
        at.store_to(step.delta + 2 * n_units, stride, delta_n * r);
        at.store_to(step.delta + 3 * n_units, stride, delta_n);
        at.store_to(step.d_h, n_units, d_h * z);
    }
};

}  // namespace
