// The kernels' interface to Python: one table of counts and functions for each instruction set that was built.
#pragma once
#include <cstdint>

enum Activation { IDENTITY, LOGISTIC, RELU, TANH };

// The sizes of one layer's recurrence over a packed batch: the rows of step 0, then those of step 1, and so on.
struct Recurrence {
    int64_t n_steps, n_sequences, n_features, n_units;
    const int64_t *batch_sizes;  // (n_steps,), non-increasing, at most n_sequences
    int activation;              // an Activation; only the simple cell reads it
    int n_threads;               // that may run the passes, with the calling thread; it has no effect on the bits
    bool is_reverse;             // true: steps are read from the last to the first, and all have n_sequences rows
};

// Arrays are contiguous, of float or double, and their rows are in the order of time. n_rows is the sum of batch_sizes.
// IN: read; OUT: overwritten. hidden has the initial h in front of the rows, or, if is_reverse, behind them.
struct ForwardArrays {
    const void *panels;         // IN  from pack_forward
    const void *x;              // IN  (n_rows, n_features)
    const void *initial_state;  // IN  (n_states, n_sequences, n_units)
    void *final_state;          // OUT (n_states, n_sequences, n_units); may be the initial one
    void *hidden;               // OUT (n_sequences + n_rows, n_units), a row every hidden_stride elements: the
                                // initial h, and h after every step;
                                // or a work array (2 * n_sequences, n_units) that holds two steps' h in turn
    int64_t hidden_stride;      // n_units for a work array
    bool keeps_hidden;          // true: hidden has every step; false: hidden is the work array, and tape is null
    void *tape;                 // OUT for the backward pass, n_rows * tape_row_size elements; or null
    void *work;                 // work array of Int8CellKernels::work_size; the other kernels do not read it
};

struct BackwardArrays {
    const void *panels;        // IN  from pack_transposed of the recurrent weights
    const void *input_panels;  // IN  from pack_transposed of the input weights; null if d_x is null
    const void *x;             // IN  as in the forward pass; so are the next three
    const void *hidden;        // IN
    int64_t hidden_stride;
    const void *tape;          // IN
    const void *d_hidden;      // IN  (n_rows, n_units), a row every d_hidden_stride elements; or null
    int64_t d_hidden_stride;
    void *d_state;             // IN  (n_states, n_sequences, n_units), gradient of the final state;
                               // OUT gradient of the initial state
    void *d_input;             // IN, OUT (n_features, n_gates * n_units): adds the gradient; so do the next three
    void *d_recurrent;         // IN, OUT (n_units, n_gates * n_units)
    void *d_bias;              // IN, OUT (n_gates * n_units,)
    void *d_recurrent_bias;    // IN, OUT (n_units,); null if the cell has no recurrent bias
    void *d_x;                 // OUT (n_rows, n_features); or null
    void *delta;               // work array (n_delta_rows, delta_row_size): the errors of a range of steps
    void *previous;            // work array (n_delta_rows, n_units): h before these steps; unused if lengths are equal
    int64_t n_delta_rows;      // at least the rows of the largest step
};

// One cell, for float or double.
struct CellKernels {
    const char *name;         // the Python cell's name
    int64_t n_gates;          // the weights have n_gates * n_units columns
    int64_t n_states;         // a state is h and, in LSTM, c: (n_states, n_sequences, n_units)
    int64_t n_deltas;         // the errors of a row: n_deltas * n_units, and whole vectors in memory
    bool has_recurrent_bias;  // a second bias (n_units,), which GRU's reset gate multiplies
    bool has_activations;     // true: Recurrence::activation chooses f; false: f is tanh
    int64_t (*forward_panels_size)(int64_t n_features, int64_t n_units);
    int64_t (*transposed_panels_size)(int64_t n_rows, int64_t n_units);
    int64_t (*tape_row_size)(int64_t n_units);
    int64_t (*delta_row_size)(int64_t n_units);
    // IN input (n_features, n_gates * n_units), recurrent (n_units, n_gates * n_units), bias (n_gates * n_units,),
    // recurrent_bias (n_units,), or null if the cell has none; OUT panels (forward_panels_size,).
    void (*pack_forward)(int64_t n_features, int64_t n_units, const void *input, const void *recurrent,
                         const void *bias, const void *recurrent_bias, void *panels);
    // IN weights (n_rows, n_gates * n_units); OUT panels (transposed_panels_size,).
    void (*pack_transposed)(int64_t n_rows, int64_t n_units, const void *weights, void *panels);
    void (*forward)(const Recurrence &, const ForwardArrays &);
    void (*backward)(const Recurrence &, const BackwardArrays &);
};

struct OutputBackwardArrays {
    const void *panels;    // IN  from pack_transposed
    const void *hidden;    // IN  (n_rows, n_hidden)
    const void *d_scores;  // IN  (n_rows, n_outputs)
    void *d_weight;        // IN, OUT (n_hidden, n_outputs): adds the gradient; so does the next one
    void *d_bias;          // IN, OUT (n_outputs,)
    void *d_hidden;        // OUT (n_rows, n_hidden)
};

// The output layer: scores = h V + c.
struct OutputKernels {
    int64_t (*panels_size)(int64_t n_hidden, int64_t n_outputs);
    int64_t (*transposed_panels_size)(int64_t n_hidden, int64_t n_outputs);
    // IN weight V (n_hidden, n_outputs), bias c (n_outputs,); OUT panels (panels_size,).
    void (*pack)(int64_t n_hidden, int64_t n_outputs, const void *weight, const void *bias, void *panels);
    // IN panels from pack, hidden (n_rows, n_hidden); OUT scores (n_rows, n_outputs).
    void (*run)(int64_t n_rows, int64_t n_hidden, int64_t n_outputs, const void *panels, const void *hidden,
                void *scores);
    // IN weight V; OUT panels (transposed_panels_size,).
    void (*pack_transposed)(int64_t n_hidden, int64_t n_outputs, const void *weight, void *panels);
    void (*backward)(int64_t n_rows, int64_t n_hidden, int64_t n_outputs, const OutputBackwardArrays &);
};

// The inputs of the first layer: the numbers of a row, then a vector for each of its codes. Code 0 has the vector 0,
// code k the vector k - 1 of the feature's table.
struct Embedding {
    int64_t n_rows;
    int64_t n_features;          // columns of the rows
    int64_t n_numbers;           // columns that are numbers
    int64_t n_categorical;       // columns that are codes
    const int64_t *numbers;      // (n_numbers,) columns
    const int64_t *categorical;  // (n_categorical,) columns
    const int64_t *n_vectors;    // (n_categorical,)
    const int64_t *sizes;        // (n_categorical,) numbers of a vector
    int64_t n_inputs;            // n_numbers + the sum of the sizes
};

// parameter -= step * mean / (sqrt(variance) * scale + epsilon); step and scale contain the bias corrections.
struct Adam {
    double beta_1, beta_2, epsilon, step, scale;
};

// All kernels of one level. In arrays of 2, [0] is for float and [1] for double.
struct Kernels {
    int n_cells;
    const CellKernels *cells[2];  // (n_cells,) each, in the same order at every level
    OutputKernels outputs[2];
    void (*activate[2])(int activation, int64_t n, void *values);  // IN, OUT (n,)
    // IN gradient (n,); IN, OUT mean, variance and parameters (n,).
    void (*adam[2])(const Adam &, int64_t n, const void *gradient, void *mean, void *variance, void *parameters);
    // The root mean square of gradient / (sqrt(variance) * scale), with the variance after this step; IN both (n,).
    double (*relative_size[2])(const Adam &, int64_t n, const void *gradient, const void *variance);
    // Cross-entropy of softmax. IN scores, targets (n_rows, n_outputs); OUT losses (n_rows,), derivatives of the losses
    // with respect to the scores.
    void (*softmax_loss[2])(int64_t n_rows, int64_t n_outputs, const void *scores, const void *targets, void *losses,
                            void *derivatives);
    // IN rows (n_rows, n_features), tables (n_categorical,) of (n_vectors, size); OUT inputs (n_rows, n_inputs).
    void (*embed[2])(const Embedding &, const void *rows, const void *const *tables, void *inputs);
    // IN rows, d_inputs (n_rows, n_inputs); IN, OUT d_tables, to which the gradient of each row is added.
    void (*embed_backward[2])(const Embedding &, const void *rows, const void *d_inputs, void *const *d_tables);
    // IN hidden (n_rows, n_units) of a packed batch; IN, OUT sum (batch_sizes[0], n_units).
    void (*add_to_sum[2])(int64_t n_steps, int64_t n_units, const int64_t *batch_sizes, const void *hidden, void *sum);
    // The same; IN, OUT maximum and step_of_maximum, both (batch_sizes[0], n_units): the first step counts among equals.
    void (*add_to_maximum[2])(int64_t n_steps, int64_t n_units, const int64_t *batch_sizes, const void *hidden,
                              int64_t first_step, void *maximum, int32_t *step_of_maximum);
    // IN offsets (n_steps + 1,), the first rows of steps, d_maximum, step_of_maximum (n_sequences, n_units); IN, OUT errors
    // (n_rows, n_units): those of the rows that the maxima are from.
    void (*add_at_maximum[2])(int64_t n_steps, int64_t n_sequences, int64_t n_units, const int64_t *batch_sizes,
                              const int64_t *offsets, const void *d_maximum, const int32_t *step_of_maximum,
                              int64_t first_step, void *errors);
};

// The weights of a layer in 8 bits: weight = scale * integer, with a scale for each column.
struct Int8Weights {
    int64_t n_features, n_units;
    const void *input;             // IN (n_features, n_gates * n_units), int8_t; or, without scales, float or double
    const void *input_scales;      // IN (n_gates * n_units,); or null, as in the first layer
    const int8_t *recurrent;       // IN (n_units, n_gates * n_units)
    const void *recurrent_scales;  // IN (n_gates * n_units,)
    const void *bias;              // IN (n_gates * n_units,)
    const void *recurrent_bias;    // IN (n_units,); or null if the cell has none
};

// The forward pass of one cell with weights in 8 bits, without a tape. Everything but products with integers has the
// type float or double. Sizes are in elements of int64_t.
struct Int8CellKernels {
    int64_t (*panels_size)(int64_t n_features, int64_t n_units, bool has_input_scales);
    int64_t (*work_size)(int64_t n_sequences, int64_t n_features, int64_t n_units);
    // OUT panels; the first elements are whether there are scales of the input weights, n_features and n_units.
    void (*pack)(const Int8Weights &, void *panels);
    void (*forward)(const Recurrence &, const ForwardArrays &);
};

struct Int8Kernels {
    const Int8CellKernels *cells[2];  // in the order of Kernels::cells
};

// The kernels of a level, or null if they were not built or if this processor cannot run them. Level "v4_vnni" is "v4"
// with other kernels of 8 bits.
const Kernels *kernels_for(const char *level);
const Int8Kernels *int8_kernels_for(const char *level);
