// All kernels for one instruction set, whose table is called LEVEL: compiled once for each, with its own flags.
#include "gru.hpp"
#include "lstm.hpp"
#include "outputs.hpp"
#include "rnn.hpp"
#include "updates.hpp"

namespace {

template <class Cell>
constexpr CellKernels kernels_of() {
    return {forward_panels_size<Cell>, transposed_panels_size<Cell>, tape_row_size<Cell>, pack_forward<Cell>,
            pack_transposed<Cell>,     forward<Cell>,                backward<Cell>};
}

template <class real>
constexpr OutputKernels output_kernels_of() {
    return {output_panels_size<real>, pack_output<real>, output<real>};
}

template <class real>
void activate_all(int activation, int64_t n, void *values) {
    real *value = static_cast<real *>(values);
    for (int64_t i = 0; i < n; i += LANES<real>) {
        const int lanes = static_cast<int>(smaller<int64_t>(LANES<real>, n - i));
        store<false>(value + i, activate<real>(activation, load<false>(value + i, lanes)), lanes);
    }
}

}  // namespace

extern const Kernels LEVEL;
const Kernels LEVEL = {{{kernels_of<SimpleCell<float>>(), kernels_of<SimpleCell<double>>()},
                        {kernels_of<LSTMCell<float>>(), kernels_of<LSTMCell<double>>()},
                        {kernels_of<GRUCell<float>>(), kernels_of<GRUCell<double>>()}},
                       {output_kernels_of<float>(), output_kernels_of<double>()},
                       {activate_all<float>, activate_all<double>},
                       {adam<float>, adam<double>}};
