// A prototype of steps whose weights have fewer bits. reduced_precision.py compiles it once for each FORM.
//
// As in the kernels of the package, the sums of x W + h U + b of one vector of units stay in registers until the gates
// are computed. The weights of x in the first layer are float32 in all forms: they are few, and x has no bounds.
#include <immintrin.h>

#include <cstdlib>
#include <vector>

#include "activations.hpp"

#define FLOAT32 0     // one weight in 4 bytes
#define BFLOAT16 1    // two weights in 4 bytes; a shift and a mask make floats of them
#define INT8_PAIRS 2  // widened to 16 bits; one instruction (pmaddwd) multiplies and adds pairs
#define INT8_FOURS 3  // one instruction (vpdpbusd) multiplies and adds fours: of the activations' high, then low bytes
#define INT8_BYTES 4  // the same with activations of one byte

namespace {

constexpr bool HAS_INTEGERS = FORM >= INT8_PAIRS;
constexpr int LANE = LANES<float>, GATE_SUMS = 4, ROWS = FORM == INT8_FOURS ? TILE_ROWS / 2 : TILE_ROWS;
constexpr int32_t LARGEST = FORM == INT8_BYTES ? 127 : 32767;  // integer of an activation
typedef Vec<float> Floats;
typedef int32_t Ints __attribute__((vector_size(VECTOR_BYTES)));

#if defined(__AVX512BW__)
INLINE Ints widened(const int8_t *from) {
    return (Ints)_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
}
INLINE Ints add_pairs(Ints sum, Ints a, Ints b) { return sum + (Ints)_mm512_madd_epi16((__m512i)a, (__m512i)b); }
INLINE Floats to_floats(Ints a) { return _mm512_cvtepi32_ps((__m512i)a); }
INLINE Ints rounded(Floats a) { return (Ints)_mm512_cvtps_epi32(a); }
#else
INLINE Ints widened(const int8_t *from) {
    return (Ints)_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
}
INLINE Ints add_pairs(Ints sum, Ints a, Ints b) { return sum + (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
INLINE Floats to_floats(Ints a) { return _mm256_cvtepi32_ps((__m256i)a); }
INLINE Ints rounded(Floats a) { return (Ints)_mm256_cvtps_epi32(a); }
#endif
#if FORM >= INT8_FOURS
INLINE Ints add_fours(Ints sum, Ints unsigned_bytes, Ints bytes) {
    return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)unsigned_bytes, (__m512i)bytes);
}
#endif

template <class Value>
Value *aligned(size_t n) {
    return static_cast<Value *>(aligned_alloc(64, (n * sizeof(Value) + 63) / 64 * 64));
}

// Weights k to k + TOGETHER - 1 of a column are side by side.
constexpr int TOGETHER = FORM == FLOAT32 ? 1 : FORM >= INT8_FOURS ? 4 : 2;
constexpr int WEIGHT_BYTES = FORM == FLOAT32 ? 4 : FORM == BFLOAT16 ? 2 : 1;

// Activations of a step, (n_rows, n), and the same as integers of 16 bits: value = scale * integer, with a scale for
// each row; in fours, value = scale * (256 * high + low - 32768); in
// bytes, value = scale * (high - 128).
struct Activations {
    int64_t n_rows, n;  // n is a multiple of LANE, but in the first layer's x, which stays float32
    const float *values;
    int16_t *integers;
    uint8_t *high, *low;
    float *scales;

    Activations(int64_t n_rows, int64_t n)
        : n_rows(n_rows), n(n), integers(aligned<int16_t>(n_rows * n)), high(aligned<uint8_t>(n_rows * n)),
          low(aligned<uint8_t>(n_rows * n)), scales(aligned<float>(n_rows)) {}

    void read(const float *from) {
        values = from;
        if (!HAS_INTEGERS) return;
        for (int64_t row = 0; row < n_rows; row++) {
            const float *value = from + row * n, largest = largest_of(value), factor = LARGEST / largest;
            scales[row] = largest / LARGEST;
            for (int64_t k = 0; k < n; k += LANE) write(row * n + k, rounded(load<float>(value + k) * factor));
        }
    }

    // Writes the integers of one vector.
    INLINE void write(int64_t at, Ints integer) {
#if FORM >= INT8_FOURS
        const Ints moved = integer + (LARGEST + 1);
        const Ints highs = FORM == INT8_FOURS ? moved >> 8 : moved;
        _mm_storeu_si128(reinterpret_cast<__m128i *>(high + at), _mm512_cvtepi32_epi8((__m512i)highs));
        if (FORM == INT8_FOURS)
            _mm_storeu_si128(reinterpret_cast<__m128i *>(low + at), _mm512_cvtepi32_epi8((__m512i)moved));
#else
        for (int lane = 0; lane < LANE; lane++) integers[at + lane] = static_cast<int16_t>(integer[lane]);
#endif
    }

    // Magnitudes have the order of their bits as integers.
    float largest_of(const float *value) const {
        Ints largest{};
        for (int64_t k = 0; k < n; k += LANE) {
            const Ints magnitude = (Ints)load<float>(value + k) & 0x7fffffff;
            largest = magnitude > largest ? magnitude : largest;
        }
        int32_t result = 0;
        for (int lane = 0; lane < LANE; lane++) result = result < largest[lane] ? largest[lane] : result;
        float number;
        memcpy(&number, &result, 4);
        return number < 1e-30f ? 1e-30f : number;
    }

};

// All weights of one matrix for one vector of units.
struct Panel {
    uint8_t *weights;
    float *scales;    // (n_gates * LANE,): weight = scale * integer
    int32_t *totals;  // (n_gates * LANE,): 128 * the sum of a column's integers
};

uint32_t as_bfloat16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;  // round to nearest even
}

float get(const float *weights, int64_t n, int64_t n_columns, int64_t k, int64_t column) {
    return k < n ? weights[k * n_columns + column] : 0;
}

Panel pack(const float *weights, int64_t n, int64_t n_units, int n_gates, int64_t unit, bool is_float) {
    const int together = is_float ? 1 : TOGETHER, bytes = is_float ? 4 : WEIGHT_BYTES;
    const int64_t blocks = (n + together - 1) / together, n_columns = n_gates * n_units;
    Panel panel = {aligned<uint8_t>(blocks * n_gates * LANE * together * bytes), aligned<float>(n_gates * LANE),
                   aligned<int32_t>(n_gates * LANE)};
    for (int gate = 0; gate < n_gates; gate++)
        for (int lane = 0; lane < LANE; lane++) {
            const int64_t column = gate * n_units + unit + lane;
            float largest = 1e-30f;
            for (int64_t k = 0; k < n; k++) {
                const float magnitude = __builtin_fabsf(weights[k * n_columns + column]);
                largest = largest < magnitude ? magnitude : largest;
            }
            panel.scales[gate * LANE + lane] = largest / 127;
            int32_t total = 0;
            for (int64_t k = 0; k < blocks * together; k++) {
                const float weight = get(weights, n, n_columns, k, column);
                const int64_t at = ((k / together * n_gates + gate) * LANE + lane) * together + k % together;
                if (bytes == 4) memcpy(panel.weights + 4 * at, &weight, 4);
                if (bytes == 2) {
                    const uint16_t rounded = static_cast<uint16_t>(as_bfloat16(weight));
                    memcpy(panel.weights + 2 * at, &rounded, 2);
                }
                if (bytes == 1) {
                    const int8_t integer = static_cast<int8_t>(__builtin_rintf(weight * (127 / largest)));
                    memcpy(panel.weights + at, &integer, 1);
                    total += integer;
                }
            }
            panel.totals[gate * LANE + lane] = 128 * total;
        }
    return panel;
}

// ---- Products: sums[i][c] += row i * column c, for C gates; the last gate adds to sum LAST --------------------------

template <int M, int C, int LAST>
INLINE void multiply_floats(Floats (&sums)[M][GATE_SUMS], int64_t n, const float *rows, const Panel &panel) {
    const float *weights = reinterpret_cast<const float *>(panel.weights);
    for (int64_t k = 0; k < n; k++, weights += C * LANE)
        for (int i = 0; i < M; i++)
            for (int c = 0; c < C; c++)
                sums[i][c == C - 1 ? LAST : c] += broadcast(rows[i * n + k]) * load<float>(weights + c * LANE);
}

// One row has a second set of sums in the following functions: a sum waits 4 cycles for its last product.
template <int M>
constexpr int SETS = M == 1 ? 2 : 1;

template <int M, int C, int LAST>
INLINE void multiply_bfloat16(Floats (&sums)[M][GATE_SUMS], const Activations &a, int64_t row, const Panel &panel) {
    const float *rows = a.values + row * a.n;
    const uint8_t *weights = panel.weights;
    Floats odd_sums[M][C] = {};
    for (int64_t k = 0; k < a.n; k += 2, weights += C * VECTOR_BYTES)
        for (int c = 0; c < C; c++) {
            const int sum = c == C - 1 ? LAST : c;
            Ints pair;
            memcpy(&pair, weights + c * VECTOR_BYTES, sizeof pair);
            const Floats even = (Floats)(pair << 16), odd = (Floats)(pair & static_cast<int32_t>(0xffff0000));
            for (int i = 0; i < M; i++) sums[i][sum] += broadcast(rows[i * a.n + k]) * even;
            for (int i = 0; i < M; i++)
                (SETS<M> == 2 ? odd_sums[i][c] : sums[i][sum]) += broadcast(rows[i * a.n + k + 1]) * odd;
        }
    if (SETS<M> == 2)
        for (int c = 0; c < C; c++) sums[0][c == C - 1 ? LAST : c] += odd_sums[0][c];
}

template <class Value>
INLINE Ints four_bytes(const Value *from) {
    int32_t value;
    memcpy(&value, from, 4);
    return value - Ints{};
}

template <int M, int C, int LAST>
INLINE void multiply_pairs(Floats (&sums)[M][GATE_SUMS], const Activations &a, int64_t row, const Panel &panel) {
    Ints totals[SETS<M>][M][C] = {};
    const int8_t *weights = reinterpret_cast<const int8_t *>(panel.weights);
    for (int64_t k = 0; k < a.n; k += 2 * SETS<M>)
        for (int set = 0; set < SETS<M>; set++)
            for (int c = 0; c < C; c++, weights += VECTOR_BYTES / 2) {
                const Ints wide = widened(weights);
                for (int i = 0; i < M; i++)
                    totals[set][i][c] = add_pairs(totals[set][i][c],
                                                  four_bytes(a.integers + (row + i) * a.n + k + 2 * set), wide);
            }
    for (int i = 0; i < M; i++)
        for (int c = 0; c < C; c++) {
            const Ints total = SETS<M> == 2 ? totals[0][i][c] + totals[SETS<M> - 1][i][c] : totals[0][i][c];
            const Floats scales = load<float>(panel.scales + c * LANE) * a.scales[row + i];
            sums[i][c == C - 1 ? LAST : c] += to_floats(total) * scales;
        }
}

#if FORM >= INT8_FOURS
template <int M, int C, int LAST>
INLINE void multiply_fours(Floats (&sums)[M][GATE_SUMS], const Activations &a, int64_t row, const Panel &panel) {
    Ints high[SETS<M>][M][C] = {}, low[SETS<M>][M][C] = {};
    const uint8_t *weights = panel.weights;
    for (int64_t k = 0; k < a.n; k += 4 * SETS<M>)
        for (int set = 0; set < SETS<M>; set++)
            for (int c = 0; c < C; c++, weights += VECTOR_BYTES) {
                Ints four;
                memcpy(&four, weights, sizeof four);
                for (int i = 0; i < M; i++) {
                    const int64_t at = (row + i) * a.n + k + 4 * set;
                    high[set][i][c] = add_fours(high[set][i][c], four_bytes(a.high + at), four);
                    if (FORM == INT8_FOURS) low[set][i][c] = add_fours(low[set][i][c], four_bytes(a.low + at), four);
                }
            }
    for (int i = 0; i < M; i++)
        for (int c = 0; c < C; c++) {
            Ints total;
            memcpy(&total, panel.totals + c * LANE, sizeof total);
            Ints highs = high[0][i][c] - total, lows = low[0][i][c];
            if (SETS<M> == 2) highs += high[SETS<M> - 1][i][c], lows += low[SETS<M> - 1][i][c];
            const Floats product = to_floats(highs) * (FORM == INT8_FOURS ? 256.f : 1.f) + to_floats(lows);
            const Floats scales = load<float>(panel.scales + c * LANE) * a.scales[row + i];
            sums[i][c == C - 1 ? LAST : c] += product * scales;
        }
}
#endif

template <int M, int C, int LAST>
INLINE void multiply(Floats (&sums)[M][GATE_SUMS], const Activations &a, int64_t row, const Panel &panel) {
#if FORM == FLOAT32
    multiply_floats<M, C, LAST>(sums, a.n, a.values + row * a.n, panel);
#elif FORM == BFLOAT16
    multiply_bfloat16<M, C, LAST>(sums, a, row, panel);
#elif FORM == INT8_PAIRS
    multiply_pairs<M, C, LAST>(sums, a, row, panel);
#else
    multiply_fours<M, C, LAST>(sums, a, row, panel);
#endif
}

// ---- Steps ----------------------------------------------------------------------------------------------------------

struct Layer {
    int64_t n_sequences, n_features, n_units;
    bool is_first;
    std::vector<Panel> input, recurrent;
    float *biases;  // GATE_SUMS vectors for each vector of units
    float *h, *c, *next_h;
    Activations x, before;
};

template <bool IS_LSTM, int M>
NOINLINE void sums_of(const Layer &layer, int64_t vector, int64_t row, Floats (&sums)[M][GATE_SUMS]) {
    constexpr int C = IS_LSTM ? 4 : 3;
    Floats tile[M][GATE_SUMS];
    const float *bias = layer.biases + vector * GATE_SUMS * LANE;
    for (int i = 0; i < M; i++)
        for (int c = 0; c < GATE_SUMS; c++) tile[i][c] = load<float>(bias + c * LANE);
#ifndef WITHOUT_PRODUCTS
    if (layer.is_first)
        multiply_floats<M, C, C - 1>(tile, layer.n_features, layer.x.values + row * layer.n_features,
                                     layer.input[vector]);
    else
        multiply<M, C, C - 1>(tile, layer.x, row, layer.input[vector]);
    multiply<M, C, GATE_SUMS - 1>(tile, layer.before, row, layer.recurrent[vector]);
#endif
    for (int i = 0; i < M; i++)
        for (int c = 0; c < GATE_SUMS; c++) sums[i][c] = tile[i][c];
}

template <bool IS_LSTM, int M>
void tile_step(Layer &layer, int64_t vector, int64_t row) {
    Floats sums[M][GATE_SUMS];
    sums_of<IS_LSTM, M>(layer, vector, row, sums);
    for (int i = 0; i < M; i++) {
        const int64_t at = (row + i) * layer.n_units + vector * LANE;
        const Floats *a = sums[i];
        if (IS_LSTM) {
            const Floats before = load<float>(layer.c + at);
            const Floats c = sigmoid<float>(a[1]) * before + sigmoid<float>(a[0]) * tanh<float>(a[2]);
            store<float>(layer.c + at, c);
            store<float>(layer.next_h + at, sigmoid<float>(a[3]) * tanh<float>(c));
        } else {
            const Floats n = tanh<float>(a[2] + sigmoid<float>(a[0]) * a[3]);
            store<float>(layer.next_h + at, n + sigmoid<float>(a[1]) * (load<float>(layer.h + at) - n));
        }
    }
}

template <bool IS_LSTM, int M>
void rows_step(Layer &layer, int64_t vector, int64_t row, int64_t n) {
    if (n == M)
        tile_step<IS_LSTM, M>(layer, vector, row);
    else if constexpr (M > 1)
        rows_step<IS_LSTM, M - 1>(layer, vector, row, n);
}

template <bool IS_LSTM>
void step(Layer &layer, const float *x) {
    layer.is_first ? void(layer.x.values = x) : layer.x.read(x);
    layer.before.read(layer.h);
    for (int64_t vector = 0; vector < layer.n_units / LANE; vector++) {
        const int64_t n_tiles = (layer.n_sequences + ROWS - 1) / ROWS;
        for (int64_t tile = 0, row = 0; tile < n_tiles; tile++) {
            const int64_t n = (layer.n_sequences - row + n_tiles - tile - 1) / (n_tiles - tile);
            rows_step<IS_LSTM, ROWS>(layer, vector, row, n);
            row += n;
        }
    }
    float *h = layer.h;
    layer.h = layer.next_h, layer.next_h = h;
}

struct Network {
    bool is_lstm;
    std::vector<Layer> layers;
};

}  // namespace

extern "C" {

void *new_network(int is_lstm) { return new Network{is_lstm != 0, {}}; }

// Weights (n_features or n_units, n_gates * n_units), biases (n_gates * n_units,), and for GRU (n_units,).
void add_layer(void *network, int64_t n_sequences, int64_t n_features, int64_t n_units, const float *input,
               const float *recurrent, const float *bias, const float *recurrent_bias) {
    Network &to = *static_cast<Network *>(network);
    const int n_gates = to.is_lstm ? 4 : 3;
    const int64_t size = n_sequences * n_units;
    Layer layer = {n_sequences, n_features, n_units, to.layers.empty(), {}, {}, aligned<float>(GATE_SUMS * n_units),
                   aligned<float>(size), aligned<float>(size), aligned<float>(size),
                   Activations(n_sequences, n_features), Activations(n_sequences, n_units)};
    for (float *state : {layer.h, layer.c, layer.next_h}) memset(state, 0, size * sizeof(float));
    for (int64_t unit = 0; unit < n_units; unit += LANE) {
        layer.input.push_back(pack(input, n_features, n_units, n_gates, unit, layer.is_first));
        layer.recurrent.push_back(pack(recurrent, n_units, n_units, n_gates, unit, false));
        for (int gate = 0; gate < GATE_SUMS; gate++)
            for (int lane = 0; lane < LANE; lane++)
                layer.biases[GATE_SUMS * unit + gate * LANE + lane] =
                    gate < n_gates ? bias[gate * n_units + unit + lane] : recurrent_bias[unit + lane];
    }
    to.layers.push_back(layer);
}

void reset(void *network) {
    for (Layer &layer : static_cast<Network *>(network)->layers) {
        const int64_t n_bytes = layer.n_sequences * layer.n_units * static_cast<int64_t>(sizeof(float));
        memset(layer.h, 0, n_bytes), memset(layer.c, 0, n_bytes);
    }
}

// x (n_steps, n_sequences, n_features); writes the last layer's h (n_sequences, n_units).
void run_steps(void *network, int64_t n_steps, const float *x, float *h) {
    const SubnormalsAreZero mode;
    Network &net = *static_cast<Network *>(network);
    const Layer &first = net.layers.front();
    for (int64_t t = 0; t < n_steps; t++) {
        const float *from = x + t * first.n_sequences * first.n_features;
        for (Layer &layer : net.layers) {
            net.is_lstm ? step<true>(layer, from) : step<false>(layer, from);
            from = layer.h;
        }
    }
    const Layer &last = net.layers.back();
    memcpy(h, last.h, last.n_sequences * last.n_units * sizeof(float));
}
}
