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
    void *final_state;          // OUT (n_states, n_sequences, n_units)
    void *hidden;               // OUT (n_sequences + n_rows, n_units): h, with the initial ones in front;
                                // or a work array (2 * n_sequences, n_units), two steps' h in turn
    bool keeps_hidden;          // which of them
    void *tape;                 // OUT for the backward pass, n_rows times tape_row_size elements; or null
};

struct BackwardArrays {
    const void *panels;        // IN  from pack_backward
    const void *hidden;        // IN  as the forward pass left them
    const void *tape;          // IN
    const void *d_hidden;      // IN  (n_rows, n_units), its rows d_hidden_stride apart; or null
    int64_t d_hidden_stride;
    void *d_state;             // IN  gradient of the state after step last - 1; OUT of that before step first
    void *delta;               // OUT (rows of steps first to last - 1, n_deltas * n_units)
    void *delta_sums;          // IN, OUT (n_deltas * n_units,), the deltas' sum over rows is added
    int64_t first, last;       // steps first to last - 1 are run, backwards
};

struct CellKernels {
    int64_t (*forward_panels_size)(int64_t n_features, int64_t n_units);
    int64_t (*backward_panels_size)(int64_t n_units);
    int64_t (*tape_row_size)(int64_t n_units);
    // Input weights (n_features, n_gates * n_units), recurrent ones (n_units, n_gates * n_units), biases.
    void (*pack_forward)(int64_t n_features, int64_t n_units, const void *input, const void *recurrent,
                         const void *bias, const void *recurrent_bias, void *panels);
    void (*pack_backward)(int64_t n_units, const void *recurrent, void *panels);
    void (*forward)(const Recurrence &, const ForwardArrays &);
    void (*backward)(const Recurrence &, const BackwardArrays &);
};

// parameter -= step * mean / (sqrt(variance) * scale + epsilon), with the bias corrections in step and scale.
struct Adam {
    double beta_1, beta_2, epsilon, step, scale;
};

struct Kernels {
    CellKernels cells[3][2];                                 // rnn, lstm, gru; float, double
    void (*activate[2])(int activation, int64_t n, void *);  // in place
    void (*adam[2])(const Adam &, int64_t n, const void *gradient, void *mean, void *variance, void *parameters);
};

const Kernels *kernels_for(const char *level);
