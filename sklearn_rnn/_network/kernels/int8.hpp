// Forward passes whose weights are integers of 8 bits: products with states that are rounded to 8 bits, too. Sums start
// from biases, and from the products of the first layer's inputs, in real numbers; integer sums are added to them, times
// the scales of their row and column. The gates' equations are those of the other forward passes.
#pragma once
#include "forward.hpp"
#include "integers.hpp"

namespace {

// The first elements say whether the input weights are integers, and the numbers of features and units. The panels
// follow. Each holds the biases; the input weights; the recurrent weights. Integers of a matrix have their scales, one
// for each column, and the starts of the sums in front. A last vector of units that is less than whole is filled up with
// zeros.
constexpr int64_t HEADER = 8;  // elements of int64_t

// Calls function(ForwardPanel) for each panel.
template <class Cell, class Function>
INLINE void for_int8_panels(int64_t n_units, const Function &function) {
    for_groups<typename Cell::real>(Cell::VECTORS, n_units, [&](int n, int64_t unit) {
        function(ForwardPanel{unit, false, n, n * Cell::N_SUMS, n * Cell::N_GATES});
    });
}

// Vectors of integer sums for `n` vectors of columns. A double has twice the bytes of an integer.
template <class real>
INLINE int integer_vectors(int n) {
    return (n * LANES<real> + INT_LANES - 1) / INT_LANES;
}

// Takes the parts of panels one after the other.
template <class real>
struct PanelParts {
    char *at;

    template <class Value>
    INLINE Value *take(int64_t n) {
        Value *part = reinterpret_cast<Value *>(at);
        at += n * static_cast<int64_t>(sizeof(Value));
        return part;
    }
    INLINE real *take_vectors(int64_t n) { return take<real>(n * LANES<real>); }
    INLINE int32_t *take_starts(int n_vectors) { return take<int32_t>(n_vectors * INT_LANES); }
    INLINE int8_t *take_weights(int64_t n, int n_vectors) {
        return take<int8_t>(n_groups_of(n) * n_vectors * GROUP_BYTES);
    }
};

// A matrix of `n` rows, for `columns` vectors of columns.
template <class real>
struct Int8Columns {
    int columns = 0;
    const real *scales = nullptr;
    IntegerColumns integers = {};

    Int8Columns() = default;
    Int8Columns(PanelParts<real> &parts, int64_t n, int columns) : columns(columns) {
        scales = parts.take_vectors(columns);
        integers.n_vectors = integer_vectors<real>(columns);
        integers.starts = parts.take_starts(integers.n_vectors);
        integers.weights = parts.take_weights(n, integers.n_vectors);
    }
};

// ---- Packing -------------------------------------------------------------------------------------------------------

template <class Cell>
int64_t int8_panels_size(int64_t n_features, int64_t n_units, bool has_input_scales) {
    using real = typename Cell::real;
    int64_t n_bytes = HEADER * static_cast<int64_t>(sizeof(int64_t));
    for_int8_panels<Cell>(n_units, [&](const ForwardPanel &shape) {
        const int64_t n_ints = integer_vectors<real>(shape.columns);
        const auto matrix_bytes = [&](int64_t n) {
            return shape.columns * VECTOR_BYTES + n_ints * (VECTOR_BYTES + n_groups_of(n) * GROUP_BYTES);
        };
        n_bytes += shape.biases * VECTOR_BYTES + matrix_bytes(n_units);
        n_bytes += has_input_scales ? matrix_bytes(n_features) : shape.columns * VECTOR_BYTES * n_features;
    });
    return n_bytes / static_cast<int64_t>(sizeof(int64_t));
}

// One matrix, (n, N_GATES * n_units), of integers.
template <class Cell, class real>
void pack_integers(const ForwardPanel &shape, PanelParts<real> &parts, int64_t n, int64_t n_units,
                   const int8_t *weights, const real *scales) {
    const int64_t n_columns = Cell::N_GATES * n_units, n_groups = n_groups_of(n);
    PanelWriter<real> writer{parts.take_vectors(shape.columns)};
    pack_row<Cell>(shape, writer, scales, n_units);
    const int n_vectors = integer_vectors<real>(shape.columns);
    int32_t *starts = parts.take_starts(n_vectors);
    int8_t *to = parts.take_weights(n, n_vectors);
    for (int column = 0; column < n_vectors * INT_LANES; column++) {
        const int vector = column / LANES<real>, gate = vector % Cell::N_GATES;
        const int64_t unit = shape.unit + vector / Cell::N_GATES * LANES<real> + column % LANES<real>;
        const bool is_there = vector < shape.columns && unit < n_units;
        int32_t total = 0;
        for (int64_t k = 0; k < n_groups * GROUP; k++) {
            const int8_t weight = is_there && k < n ? weights[k * n_columns + gate * n_units + unit] : int8_t(0);
            to[(k / GROUP * n_vectors * INT_LANES + column) * GROUP + k % GROUP] = weight;
            total += weight;
        }
        starts[column] = -OFFSET * total;
    }
}

template <class Cell>
void pack_int8(const Int8Weights &weights, void *panels) {
    using real = typename Cell::real;
    const int64_t n_features = weights.n_features, n_units = weights.n_units;
    PanelParts<real> parts{static_cast<char *>(panels)};
    int64_t *header = parts.template take<int64_t>(HEADER);
    memset(header, 0, HEADER * sizeof *header);
    header[0] = weights.input_scales != nullptr, header[1] = n_features, header[2] = n_units;
    for_int8_panels<Cell>(n_units, [&](const ForwardPanel &shape) {
        PanelWriter<real> biases{parts.take_vectors(shape.biases)};
        pack_row<Cell>(shape, biases, static_cast<const real *>(weights.bias), n_units);
        if (Cell::HAS_RECURRENT_BIAS)
            pack_recurrent_bias<Cell>(shape, biases, static_cast<const real *>(weights.recurrent_bias), n_units);
        if (weights.input_scales) {
            pack_integers<Cell>(shape, parts, n_features, n_units, static_cast<const int8_t *>(weights.input),
                                static_cast<const real *>(weights.input_scales));
        } else {
            PanelWriter<real> writer{parts.take_vectors(shape.columns * n_features)};
            const real *row = static_cast<const real *>(weights.input);
            for (int64_t k = 0; k < n_features; k++, row += Cell::N_GATES * n_units)
                pack_row<Cell>(shape, writer, row, n_units);
        }
        pack_integers<Cell>(shape, parts, n_units, n_units, weights.recurrent,
                            static_cast<const real *>(weights.recurrent_scales));
    });
}

// ---- Forward -------------------------------------------------------------------------------------------------------

// The rows of a step, rounded: value = scale * (integer - OFFSET).
template <class real>
struct RoundedRows {
    IntegerRows integers;
    const real *scales;  // (n_rows,)

    static int64_t n_bytes(int64_t n_rows, int64_t n) {
        return n_rows * (n_groups_of(n) * 4 + static_cast<int64_t>(sizeof(real)));
    }

    RoundedRows(const Factor<real> &values, int64_t n_rows, void *memory) {
        const int64_t n_groups = n_groups_of(values.n), size = n_groups * GROUP;
        Integer *to = static_cast<Integer *>(memory);
        real *scale = reinterpret_cast<real *>(to + n_rows * size);
        for (int64_t row = 0; row < n_rows; row++)
            scale[row] = round_row(values.rows + row * values.stride, values.n, size, to + row * size);
        integers = {n_groups, to};
        scales = scale;
    }
};

template <class Cell>
int64_t int8_work_size(int64_t n_sequences, int64_t n_features, int64_t n_units) {
    using Rows = RoundedRows<typename Cell::real>;
    const int64_t n_bytes = Rows::n_bytes(n_sequences, n_features) + Rows::n_bytes(n_sequences, n_units);
    return n_bytes / static_cast<int64_t>(sizeof(int64_t)) + 1;
}

// Adds the products of a tile of rows. A row has `stride` sums; the last column adds to sum `last`.
template <class real>
NOINLINE void add_integer_sums(const RoundedRows<real> &rows, const Int8Columns<real> &matrix, int64_t first,
                               int n_rows, int last, real *sums, int stride) {
    typedef int32_t Part __attribute__((vector_size(LANES<real> * 4)));
    const int n_vectors = matrix.integers.n_vectors;
    alignas(VECTOR_BYTES) int32_t integer_sums[4 * TILE_ROWS * INT_LANES];
    with_tile(n_rows, n_vectors, [&](auto m, auto n) INLINE_LAMBDA {
        integer_tile<m.value, n.value>(rows.integers, matrix.integers, first, integer_sums);
    });
    for (int i = 0; i < n_rows; i++)
        for (int c = 0; c < matrix.columns; c++) {
            Part integers;
            memcpy(&integers, integer_sums + i * n_vectors * INT_LANES + c * LANES<real>, sizeof integers);
            const Vec<real> scales = load<real>(matrix.scales + c * LANES<real>) * rows.scales[first + i];
            real *sum = sums + i * stride + (c == matrix.columns - 1 ? last : c) * LANES<real>;
            store<real>(sum, load<real>(sum) + __builtin_convertvector(integers, Vec<real>) * scales);
        }
}

// Biases, and x W of inputs that are not rounded: one row at a time, because first layers have few features.
template <class Cell, class real>
void start_sums(const ForwardStep<real> &step, int64_t first, int n_rows, const ForwardPanel &shape,
                const real *biases, const real *input, real *sums) {
    const int stride = shape.biases * LANES<real>;
    const Factor<real> x = input ? step.inputs() : NO_FACTOR<real>;
    const Product<real> product{biases, 0, {x, NO_FACTOR<real>}, input};
    for (int i = 0; i < n_rows; i++, sums += stride)
        with_index<4>(shape.biases, [&](auto n) INLINE_LAMBDA {
            if constexpr (!HAS_TWO_LAST_SUMS<Cell>)
                product_tile<real, 1, n.value, n.value>(product, first + i, sums, stride);
            else if constexpr (n.value == Cell::N_SUMS)
                product_tile<real, 1, Cell::N_SUMS, Cell::N_GATES>(product, first + i, sums, stride);
        });
}

// A step of `n` rows; `work` has room for both kinds of rows, of `n_sequences` sequences.
template <class Cell, class real>
void int8_step(const ForwardStep<real> &step, int64_t n, int64_t n_sequences, const void *panels, void *work) {
    PanelParts<real> parts{static_cast<char *>(const_cast<void *>(panels))};
    const bool has_input_scales = *parts.template take<int64_t>(HEADER) != 0;
    char *work_of_h = static_cast<char *>(work);
    char *work_of_x = work_of_h + RoundedRows<real>::n_bytes(n_sequences, step.n_units);
    const RoundedRows<real> h(step.states(), n, work_of_h);
    const RoundedRows<real> x(step.inputs(), has_input_scales ? n : 0, work_of_x);
    for_int8_panels<Cell>(step.n_units, [&](const ForwardPanel &shape) {
        const real *biases = parts.take_vectors(shape.biases);
        const real *input = has_input_scales ? nullptr : parts.take_vectors(shape.columns * step.n_features);
        Int8Columns<real> of_x;
        if (has_input_scales) of_x = Int8Columns<real>(parts, step.n_features, shape.columns);
        const Int8Columns<real> of_h(parts, step.n_units, shape.columns);
        const int stride = shape.biases * LANES<real>;
        Sums<real> sums;
        for_rows(shape.biases, 0, n, [&](int n_rows, int64_t first) {
            start_sums<Cell>(step, first, n_rows, shape, biases, input, sums.values);
            if (has_input_scales) add_integer_sums(x, of_x, first, n_rows, shape.columns - 1, sums.values, stride);
            add_integer_sums(h, of_h, first, n_rows, shape.biases - 1, sums.values, stride);
            forward_rows<Cell, true>(step, n, first, n_rows, shape.unit, shape.n, sums.values);
        });
    });
}

template <class Cell>
void int8_forward(const Recurrence &size, const ForwardArrays &arrays) {
    using real = typename Cell::real;
    forward_steps<Cell>(size, arrays, {0, size.n_sequences}, [&](const ForwardStep<real> &step, int64_t n, Rows) {
        int8_step<Cell>(step, n, size.n_sequences, arrays.panels, arrays.work);
    });
}

}  // namespace
