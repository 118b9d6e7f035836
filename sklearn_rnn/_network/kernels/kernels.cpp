// All kernels for one instruction set. setup.py compiles this file once for each level, with the level's own flags;
// LEVEL is the name of the level's table.
#include "backward.hpp"
#include "cells.hpp"
#include "embedding.hpp"
#include "forward.hpp"
#include "losses.hpp"
#include "outputs.hpp"
#include "pools.hpp"
#include "updates.hpp"

namespace {

template <class Cell>
constexpr CellKernels kernels_of() {
    return {Cell::NAME,
            Cell::N_GATES,
            Cell::N_STATES,
            Cell::N_DELTAS,
            Cell::HAS_RECURRENT_BIAS,
            Cell::HAS_ACTIVATIONS,
            forward_panels_size<Cell>,
            transposed_panels_size<Cell>,
            tape_row_size<Cell>,
            delta_row_size<Cell>,
            pack_forward<Cell>,
            pack_transposed<Cell>,
            forward<Cell>,
            backward<Cell>};
}

template <class real>
constexpr CellKernels CELLS[] = {FOR_CELLS(kernels_of, real)};

template <class real>
constexpr OutputKernels output_kernels_of() {
    return {output_panels_size<real>, transposed_size<real>,        pack_output<real>,
            output<real>,             pack_output_transposed<real>, output_backward<real>};
}

template <class real>
void activate_all(int activation, int64_t n, void *values) {
    real *value = static_cast<real *>(values);
    for (int64_t i = 0; i < n; i += LANES<real>) {
        const int lanes = static_cast<int>(smaller<int64_t>(LANES<real>, n - i));
        store_first<real>(value + i, activate<real>(activation, load_first(value + i, lanes)), lanes);
    }
}

}  // namespace

extern const Kernels LEVEL;
const Kernels LEVEL = {sizeof CELLS<float> / sizeof *CELLS<float>,
                       {CELLS<float>, CELLS<double>},
                       {output_kernels_of<float>(), output_kernels_of<double>()},
                       {activate_all<float>, activate_all<double>},
                       {adam<float>, adam<double>},
                       {relative_size<float>, relative_size<double>},
                       {softmax_loss<float>, softmax_loss<double>},
                       {embed<float>, embed<double>},
                       {embed_backward<float>, embed_backward<double>},
                       {add_to_sum<float>, add_to_sum<double>},
                       {add_to_maximum<float>, add_to_maximum<double>},
                       {add_at_maximum<float>, add_at_maximum<double>}};
