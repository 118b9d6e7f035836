// What the Python side sees of the kernels: one table of functions for each instruction set that was built.
#pragma once
#include <cstdint>

enum Activation { IDENTITY, LOGISTIC, RELU, TANH };

// One layer's recurrence over a packed batch: sizes, and where each step's rows stand.
struct Recurrence {
    int64_t n_steps, n_sequences, n_features, n_units;
    const int64_t *batch_sizes;  // (n_steps,), non-increasing, at most n_sequences
    int activation;              // of the simple cell
};

// Arrays are contiguous, of float or double. n_rows is the sum of the batch sizes.
struct ForwardArrays {
    const void *panels;         // IN  from pack_forward
    const void *x;              // IN  (n_rows, n_features)
    const void *initial_state;  // IN  (n_states, n_sequences, n_units)
    void *final_state;          // OUT (n_states, n_sequences, n_units); may be the initial one
    void *hidden;               // OUT (n_sequences + n_rows, n_units): h, with the initial ones in front;
                                // or a work array (2 * n_sequences, n_units), two steps' h in turn
    bool keeps_hidden;          // which of them
    void *tape;                 // OUT for the backward pass, n_rows times tape_row_size elements; or null
};

struct BackwardArrays {
    const void *panels;        // IN  from pack_transposed of the recurrent weights
    const void *input_panels;  // IN  from pack_transposed of the input weights; or null, with d_x
    const void *x;             // IN  as the forward pass took and left them
    const void *hidden;        // IN
    const void *tape;          // IN
    const void *d_hidden;      // IN  (n_rows, n_units), its rows d_hidden_stride apart; or null
    int64_t d_hidden_stride;
    void *d_state;             // IN  gradient of the final state; OUT of the initial one
    void *d_input;             // IN, OUT (n_features, n_gates * n_units), the gradient is added; so in the next three
    void *d_recurrent;         // IN, OUT (n_units, n_gates * n_units)
    void *d_bias;              // IN, OUT (n_gates * n_units,)
    void *d_recurrent_bias;    // IN, OUT (n_units,), of GRU; else null
    void *d_x;                 // OUT (n_rows, n_features); or null
    void *delta;               // work array (n_delta_rows, n_deltas * n_units): the errors of some steps at a time
    void *previous;            // work array (n_delta_rows, n_units): h before those; not used by equal lengths
    int64_t n_delta_rows;      // at least those of one step
};

// One cell, for float or double. The counts are multiples of n_units; "columns" and "arrays" below are in them.
struct CellKernels {
    const char *name;         // of the Python cell: "rnn", "lstm" or "gru"
    int64_t n_gates;          // columns of the weights
    int64_t n_states;         // arrays of a state: h, and c of LSTM
    int64_t n_deltas;         // columns of `delta`
    bool has_recurrent_bias;  // whether there is a second bias, inside GRU's reset gate
    bool has_activations;     // whether Recurrence::activation chooses f; else f is tanh
    int64_t (*forward_panels_size)(int64_t n_features, int64_t n_units);
    int64_t (*transposed_panels_size)(int64_t n_rows, int64_t n_units);
    int64_t (*tape_row_size)(int64_t n_units);
    // Input weights (n_features, n_gates * n_units), recurrent ones (n_units, n_gates * n_units), biases.
    void (*pack_forward)(int64_t n_features, int64_t n_units, const void *input, const void *recurrent,
                         const void *bias, const void *recurrent_bias, void *panels);
    // Weights (n_rows, n_gates * n_units).
    void (*pack_transposed)(int64_t n_rows, int64_t n_units, const void *weights, void *panels);
    void (*forward)(const Recurrence &, const ForwardArrays &);
    void (*backward)(const Recurrence &, const BackwardArrays &);
};

// The output layer, scores = h V + c, of predictions.
struct OutputKernels {
    int64_t (*panels_size)(int64_t n_hidden, int64_t n_outputs);
    // V (n_hidden, n_outputs) and c (n_outputs,).
    void (*pack)(int64_t n_hidden, int64_t n_outputs, const void *weight, const void *bias, void *panels);
    // OUT scores (n_rows, n_outputs) of hidden (n_rows, n_hidden).
    void (*run)(int64_t n_rows, int64_t n_hidden, int64_t n_outputs, const void *panels, const void *hidden,
                void *scores);
};

// parameter -= step * mean / (sqrt(variance) * scale + epsilon), with the bias corrections in step and scale.
struct Adam {
    double beta_1, beta_2, epsilon, step, scale;
};

// All kernels of one level. Arrays of 2 hold the kernel for float, then the one for double.
struct Kernels {
    int n_cells;
    const CellKernels *cells[2];                             // (n_cells,) each, in the same order at every level
    OutputKernels outputs[2];
    void (*activate[2])(int activation, int64_t n, void *);  // in place
    void (*adam[2])(const Adam &, int64_t n, const void *gradient, void *mean, void *variance, void *parameters);
};

const Kernels *kernels_for(const char *level);
