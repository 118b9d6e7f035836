// The arrays of one step, as a cell's equations read and write them; the tape.
#pragma once
#include "kernels.h"
#include "tiles.hpp"

namespace {

// One vector of units of one row, as an epilogue reads and writes it.
template <class real>
struct WholeVector {
    int64_t row, unit;
    const real *sums;  // of this vector

    INLINE Vec<real> sum(int s) const { return load<real>(sums + s * LANES<real>); }
    INLINE Vec<real> load_from(const real *array, int64_t stride) const {
        return load<real>(array + row * stride + unit);
    }
    INLINE void store_to(real *array, int64_t stride, Vec<real> v) const {
        store<real>(array + row * stride + unit, v);
    }
};

// The first `n` units of a vector of one row.
template <class real>
struct PartOfVector {
    int64_t row, unit;
    const real *sums;
    int n;

    INLINE Vec<real> sum(int s) const { return load<real>(sums + s * LANES<real>); }
    INLINE Vec<real> load_from(const real *array, int64_t stride) const {
        return load_first(array + row * stride + unit, n);
    }
    INLINE void store_to(real *array, int64_t stride, Vec<real> v) const {
        store_first<real>(array + row * stride + unit, v, n);
    }
};

// The last units, if they are less than a vector: `n` of them for each row. A block of LANES rows has n vectors of
// them, in which the units of its rows follow each other. So no lane is idle, except in a step's last block.
template <class real>
struct TailLayout {
    struct RowPiece {
        Piece<real> lanes;
        int row, lane;  // of the row's first unit, which may be in the vector before: then it is negative
    };
    int n = 0;
    int ends[LANES<real> + 1];  // of each vector's pieces
    RowPiece pieces[2 * LANES<real>];

    // For `n_units` units and at most `most_rows` rows.
    TailLayout(int64_t n_units, int64_t most_rows) : n(static_cast<int>(n_units % LANES<real>)) {
        const int n_rows = static_cast<int>(smaller<int64_t>(most_rows, LANES<real>));
        int n_pieces = 0;
        for (int v = 0; v * LANES<real> < n * n_rows; v++) {
            int row = v * LANES<real> / n, lane = row * n - v * LANES<real>;
            for (; lane < LANES<real> && row < n_rows; row++, lane += n) {
                const int first = lane < 0 ? 0 : lane, stop = smaller(lane + n, LANES<real>);
                pieces[n_pieces++] = {{first, stop - first}, row, lane};
            }
            ends[v] = n_pieces;
        }
    }
};

template <class real>
struct TailVector {
    const TailLayout<real> &layout;
    int64_t row, unit;  // of the block
    int n_rows;         // of the block
    int vector;         // number of the vector in the block
    const real *sums;   // of the block, a row every `sums_stride` numbers
    int sums_stride;
    const int *places;  // of each sum in a row

    // Calls function(lanes, row of the block, address of lane 0 relative to the row's first unit) for each row.
    template <class Function>
    INLINE void for_pieces(const Function &function) const {
        const auto *piece = layout.pieces + (vector ? layout.ends[vector - 1] : 0);
        const auto *const end = layout.pieces + layout.ends[vector];
        for (; piece < end && piece->row < n_rows; piece++) function(piece->lanes, piece->row, -piece->lane);
    }
    INLINE Vec<real> gather(const real *from, int64_t stride) const {
        Vec<real> v{};
        for_pieces([&](auto lanes, int64_t r, int at) INLINE_LAMBDA { v = lanes.load(v, from + r * stride + at); });
        return v;
    }
    INLINE Vec<real> sum(int s) const { return gather(sums + places[s], sums_stride); }
    INLINE Vec<real> load_from(const real *array, int64_t stride) const {
        return gather(array + row * stride + unit, stride);
    }
    INLINE void store_to(real *array, int64_t stride, Vec<real> v) const {
        real *to = array + row * stride + unit;
        for_pieces([&](auto lanes, int64_t r, int at) INLINE_LAMBDA { lanes.store(to + r * stride + at, v); });
    }
};

// Calls function(TailVector) for each vector of a block of the last units.
template <class real, class Function>
INLINE void for_tail_vectors(TailVector<real> block, const Function &function) {
    const int n_lanes = block.layout.n * block.n_rows;
    for (block.vector = 0; block.vector * LANES<real> < n_lanes; block.vector++) function(block);
}

// Rows `start` to `stop - 1` of a step. The same rows of all steps belong to the same sequences.
struct Rows {
    int64_t start, stop;

    INLINE Rows until(int64_t row) const { return {start, inside(row)}; }
    INLINE Rows from(int64_t row) const { return {inside(row), stop}; }
    INLINE int64_t inside(int64_t row) const { return row < start ? start : smaller(row, stop); }
    // The first row of the last block of `n` rows.
    INLINE int64_t last_block(int64_t n) const { return start + (stop - start - 1) / n * n; }
};

// Copies rows of `n_units` numbers; each array has its own stride.
template <class real>
INLINE void copy_rows(Rows rows, int64_t n_units, const real *from, int64_t from_stride, real *to, int64_t to_stride) {
    const bool is_one_piece = from_stride == n_units && to_stride == n_units && rows.start < rows.stop;
    const int64_t n_rows = is_one_piece ? rows.stop - rows.start : 1;  // of a copy
    for (int64_t row = rows.start; row < rows.stop; row += n_rows)
        memcpy(to + row * to_stride, from + row * from_stride, n_rows * n_units * sizeof(real));
}

// The arrays of one step, each at its first row; row i belongs to sequence i.
template <class real>
struct ForwardStep {
    int64_t n_features, n_units;
    int activation;
    const real *x, *previous_h;
    real *h, *c, *tape;  // c is updated in place; tape may be null
    int64_t h_stride;    // of h and previous_h
    const TailLayout<real> *tail;

    INLINE Factor<real> inputs() const { return {n_features, x, n_features}; }
    INLINE Factor<real> states() const { return {n_units, previous_h, h_stride}; }
};

template <class real>
struct BackwardStep {
    int64_t n_units;
    int activation;
    const real *h, *previous_h, *tape, *d_hidden;
    int64_t h_stride, d_hidden_stride, delta_stride;
    const real *next_delta;
    real *d_h, *d_c, *delta;
    const TailLayout<real> *tail;
};

// The tape of a step holds, for each vector of units and each row, a record of N_SAVED vectors; for the last units,
// one for each vector of a block. Both passes go through it from one end to the other. In other orders the distance
// between rows is a power of two, which made the passes up to a third slower with 512 units. All vectors are whole.
template <class Cell>
int64_t tape_row_size(int64_t n_units) {
    constexpr int lanes = LANES<typename Cell::real>;
    return (n_units + lanes - 1) / lanes * lanes * Cell::N_SAVED;
}

// The place of a record in the tape of a step of `n` rows.
template <class Cell, class real>
INLINE int64_t record_at(const WholeVector<real> &at, int64_t n) {
    return (at.unit * n + at.row * LANES<real>) * Cell::N_SAVED;
}

template <class Cell, class real>
INLINE int64_t record_at(const PartOfVector<real> &at, int64_t n) {
    return record_at<Cell>(WholeVector<real>{at.row, at.unit, nullptr}, n);
}

template <class Cell, class real>
INLINE int64_t record_at(const TailVector<real> &at, int64_t n) {
    return (at.unit * n + at.row * at.layout.n + at.vector * LANES<real>) * Cell::N_SAVED;
}

template <class real, class... Vectors>
INLINE void write_record(real *tape, Vectors... vectors) {
    (..., (store<real>(tape, vectors), tape += LANES<real>));
}

template <class real>
INLINE Vec<real> record(const real *tape, int place) {
    return load<real>(tape + place * LANES<real>);
}

}  // namespace
