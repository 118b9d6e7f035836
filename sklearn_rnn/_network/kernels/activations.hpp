// The logistic function and tanh of a vector, accurate to 4 units in the last place (ulp) everywhere; NaN stays NaN.
#pragma once
#include "vectors.hpp"

namespace {

template <class real>
struct ExpConstants;

template <>
struct ExpConstants<float> {
    static constexpr float LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;  // Cephes, expf.c
    static constexpr float ROUND = 12582912.f;                                  // 1.5 * 2^23
    static constexpr int MANTISSA_BITS = 23, BIAS = 127;
    static constexpr float ZERO_BELOW = -104.f;      // exp rounds to 0 below
    static constexpr int SCALE = 64;                 // 2^(n + SCALE) is a normal number from ZERO_BELOW on
    static constexpr float UNSCALE = 0x1p-64f;
    static constexpr float TANH_IS_1 = 10.f;
    // (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2, highest power first: Cephes, expf.c.
    static constexpr float POLYNOMIAL[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                           4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
};

template <>
struct ExpConstants<double> {
    static constexpr double LN2_HIGH = 6.93145751953125e-1, LN2_LOW = 1.42860682030941723212e-6;  // Cephes, exp.c
    static constexpr double ROUND = 6755399441055744.;                                            // 1.5 * 2^52
    static constexpr int MANTISSA_BITS = 52, BIAS = 1023;
    static constexpr double ZERO_BELOW = -746.;
    static constexpr int SCALE = 512;
    static constexpr double UNSCALE = 0x1p-512;
    static constexpr double TANH_IS_1 = 20.;
    // Taylor's series, 1/13! to 1/2!: its remainder is less than 2^-57 r.
    static constexpr double POLYNOMIAL[] = {1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800,
                                            1. / 362880,     1. / 40320,     1. / 5040,     1. / 720,
                                            1. / 120,        1. / 24,        1. / 6,        1. / 2};
};

// exp(x) = 2^n (1 + p) with p = exp(r) - 1, x = n ln(2) + r, |r| <= ln(2) / 2.
template <class real>
struct ReducedExp {
    Vec<real> p;
    UVec<real> rounded;  // the low bits are the integer n

    // 2^(n + shift), which must be a normal number.
    INLINE Vec<real> power(int shift) const {
        using C = ExpConstants<real>;
        return (Vec<real>)((rounded + (C::BIAS + shift)) << C::MANTISSA_BITS);
    }

    // exp(x), also if it is subnormal.
    INLINE Vec<real> exp() const {
        using C = ExpConstants<real>;
#if defined(__AVX512F__)
        return scaled(p + 1, (Vec<real>)rounded - C::ROUND);
#else
        const Vec<real> scaled_power = power(C::SCALE);
        return (scaled_power * p + scaled_power) * C::UNSCALE;
#endif
    }
};

template <class real>
INLINE ReducedExp<real> reduced_exp(Vec<real> x) {
    using C = ExpConstants<real>;
    constexpr real LOG2_E = real(1.442695040888963407359924681);
    // The sum with 1.5 * 2^23 (double: 1.5 * 2^52) has no bits for fractions: it is rounded, and its lowest bits are
    // the integer.
    Vec<real> rounded = x * LOG2_E + C::ROUND, n = rounded - C::ROUND;
    Vec<real> r = x - n * C::LN2_HIGH - n * C::LN2_LOW;
    Vec<real> p = broadcast(C::POLYNOMIAL[0]);
    for (unsigned k = 1; k < sizeof C::POLYNOMIAL / sizeof(real); k++) p = p * r + C::POLYNOMIAL[k];
    return {p * (r * r) + r, (UVec<real>)rounded};
}

// 1 / (1 + exp(-x)), as e / (1 + e) if x < 0, with e = exp(-|x|): nothing overflows; subnormal results are accurate.
template <class real>
INLINE Vec<real> sigmoid(Vec<real> x) {
    using C = ExpConstants<real>;
    Vec<real> minus_magnitude = (Vec<real>)((UVec<real>)x | (UVec<real>)broadcast(real(-0.)));
    Vec<real> e = reduced_exp<real>(at_least<real>(C::ZERO_BELOW, minus_magnitude)).exp();
    return (x < 0 ? e : broadcast(real(1))) / (e + 1);
}

// (exp(2x) - 1) / (exp(2x) + 1). exp(2x) - 1 is computed as 2^n p + (2^n - 1): no cancellation near 0.
template <class real>
INLINE Vec<real> tanh(Vec<real> x) {
    using C = ExpConstants<real>;
    Vec<real> clamped = at_least<real>(-C::TANH_IS_1, at_most<real>(C::TANH_IS_1, x));
    ReducedExp<real> reduced = reduced_exp<real>(clamped + clamped);
    Vec<real> power = reduced.power(0);
    Vec<real> exp_minus_1 = power * reduced.p + (power - 1);
    return exp_minus_1 / (exp_minus_1 + 2);
}

}  // namespace
