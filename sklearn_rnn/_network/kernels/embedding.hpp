// Vectors of categories: rows of tables are looked up, and their gradients added row by row.
#pragma once
#include <cstring>

#include "kernels.h"
#include "vectors.hpp"

namespace {

// The place of a code's vector, or -1 for code 0, and for a value that is no code.
template <class real>
INLINE int64_t place_of(real code, int64_t n_vectors) {
    return code >= 1 && code <= static_cast<real>(n_vectors) ? static_cast<int64_t>(code) - 1 : -1;
}

template <class real>
void embed(const Embedding &e, const void *rows, const void *const *tables, void *inputs) {
    const real *row = static_cast<const real *>(rows);
    real *input = static_cast<real *>(inputs);
    for (int64_t i = 0; i < e.n_rows; i++, row += e.n_features) {
        for (int64_t k = 0; k < e.n_numbers; k++) *input++ = row[e.numbers[k]];
        for (int64_t k = 0; k < e.n_categorical; k++) {
            const int64_t size = e.sizes[k], place = place_of(row[e.categorical[k]], e.n_vectors[k]);
            if (place < 0)
                memset(input, 0, size * sizeof(real));
            else
                memcpy(input, static_cast<const real *>(tables[k]) + place * size, size * sizeof(real));
            input += size;
        }
    }
}

template <class real>
void embed_backward(const Embedding &e, const void *rows, const void *d_inputs, void *const *d_tables) {
    const SubnormalsAreZero mode;
    const real *row = static_cast<const real *>(rows), *d_input = static_cast<const real *>(d_inputs);
    for (int64_t i = 0; i < e.n_rows; i++, row += e.n_features) {
        d_input += e.n_numbers;
        for (int64_t k = 0; k < e.n_categorical; k++) {
            const int64_t size = e.sizes[k], place = place_of(row[e.categorical[k]], e.n_vectors[k]);
            if (place >= 0) {
                real *d_vector = static_cast<real *>(d_tables[k]) + place * size;
                for (int64_t j = 0; j < size; j++) d_vector[j] += d_input[j];
            }
            d_input += size;
        }
    }
}

}  // namespace
