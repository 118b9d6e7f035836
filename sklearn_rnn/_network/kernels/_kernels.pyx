# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled recurrences. This module checks arrays, then calls the kernels without the GIL (short steps keep it).

A kernel works on a packed batch (see ``Packing``): the rows of step 0 of all sequences, longest sequence first, then
the rows of step 1, and so on.
"""

cimport numpy as np
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.string cimport memcmp, memcpy
from libcpp.vector cimport vector

import numpy as np

np.import_array()


cdef extern from "kernels.h" nogil:
    cdef enum Activation:
        IDENTITY, LOGISTIC, RELU, TANH

    cdef struct Recurrence:
        int64_t n_steps, n_sequences, n_features, n_units
        const int64_t *batch_sizes
        int activation, n_threads
        bint is_reverse

    cdef struct ForwardArrays:
        const void *panels
        const void *x
        const void *initial_state
        void *final_state
        void *hidden
        int64_t hidden_stride
        bint keeps_hidden
        void *tape
        void *work

    cdef struct BackwardArrays:
        const void *panels
        const void *input_panels
        const void *x
        const void *hidden
        int64_t hidden_stride
        const void *tape
        const void *d_hidden
        int64_t d_hidden_stride
        void *d_state
        void *d_input
        void *d_recurrent
        void *d_bias
        void *d_recurrent_bias
        void *d_x
        void *delta
        void *previous
        int64_t n_delta_rows

    cdef struct CellKernels:
        const char *name
        int64_t n_gates, n_states, n_deltas
        bint has_recurrent_bias, has_activations
        int64_t (*forward_panels_size)(int64_t n_features, int64_t n_units) noexcept nogil
        int64_t (*transposed_panels_size)(int64_t n_rows, int64_t n_units) noexcept nogil
        int64_t (*tape_row_size)(int64_t n_units) noexcept nogil
        int64_t (*delta_row_size)(int64_t n_units) noexcept nogil
        void (*pack_forward)(int64_t n_features, int64_t n_units, const void *input, const void *recurrent,
                             const void *bias, const void *recurrent_bias, void *panels) noexcept nogil
        void (*pack_transposed)(int64_t n_rows, int64_t n_units, const void *weights, void *panels) noexcept nogil
        void (*forward)(const Recurrence &, const ForwardArrays &) noexcept nogil
        void (*backward)(const Recurrence &, const BackwardArrays &) noexcept nogil

    cdef struct OutputBackwardArrays:
        const void *panels
        const void *hidden
        const void *d_scores
        void *d_weight
        void *d_bias
        void *d_hidden

    cdef struct OutputKernels:
        int64_t (*panels_size)(int64_t n_hidden, int64_t n_outputs) noexcept nogil
        int64_t (*transposed_panels_size)(int64_t n_hidden, int64_t n_outputs) noexcept nogil
        void (*pack)(int64_t n_hidden, int64_t n_outputs, const void *weight, const void *bias,
                     void *panels) noexcept nogil
        void (*run)(int64_t n_rows, int64_t n_hidden, int64_t n_outputs, const void *panels, const void *hidden,
                    void *scores) noexcept nogil
        void (*pack_transposed)(int64_t n_hidden, int64_t n_outputs, const void *weight, void *panels) noexcept nogil
        void (*backward)(int64_t n_rows, int64_t n_hidden, int64_t n_outputs,
                         const OutputBackwardArrays &) noexcept nogil

    cdef struct Adam:
        double beta_1, beta_2, epsilon, step, scale

    cdef struct Embedding:
        int64_t n_rows, n_features, n_numbers, n_categorical
        const int64_t *numbers
        const int64_t *categorical
        const int64_t *n_vectors
        const int64_t *sizes
        int64_t n_inputs

    cdef struct Kernels:
        int n_cells
        const CellKernels *cells[2]
        OutputKernels outputs[2]
        void (*activate[2])(int activation, int64_t n, void *) noexcept nogil
        void (*adam[2])(const Adam &, int64_t n, const void *gradient, void *mean, void *variance,
                        void *parameters) noexcept nogil
        double (*relative_size[2])(const Adam &, int64_t n, const void *gradient, const void *variance) noexcept nogil
        void (*softmax_loss[2])(int64_t n_rows, int64_t n_outputs, const void *scores, const void *targets,
                                void *losses, void *derivatives) noexcept nogil
        void (*embed[2])(const Embedding &, const void *rows, const void *const *tables, void *inputs) noexcept nogil
        void (*embed_backward[2])(const Embedding &, const void *rows, const void *d_inputs,
                                  void *const *d_tables) noexcept nogil
        void (*add_to_sum[2])(int64_t n_steps, int64_t n_units, const int64_t *batch_sizes, const void *hidden,
                              void *sums) noexcept nogil
        void (*add_to_maximum[2])(int64_t n_steps, int64_t n_units, const int64_t *batch_sizes, const void *hidden,
                                  int64_t first_step, void *maximum, int32_t *step_of_maximum) noexcept nogil
        void (*add_at_maximum[2])(int64_t n_steps, int64_t n_sequences, int64_t n_units, const int64_t *batch_sizes,
                                  const int64_t *offsets, const void *d_maximum, const int32_t *step_of_maximum,
                                  int64_t first_step, void *errors) noexcept nogil

    cdef struct Int8Weights:
        int64_t n_features, n_units
        const void *input
        const void *input_scales
        const int8_t *recurrent
        const void *recurrent_scales
        const void *bias
        const void *recurrent_bias

    cdef struct Int8CellKernels:
        int64_t (*panels_size)(int64_t n_features, int64_t n_units, bint has_input_scales) noexcept nogil
        int64_t (*work_size)(int64_t n_sequences, int64_t n_features, int64_t n_units) noexcept nogil
        void (*pack)(const Int8Weights &, void *panels) noexcept nogil
        void (*forward)(const Recurrence &, const ForwardArrays &) noexcept nogil

    cdef struct Int8Kernels:
        const Int8CellKernels *cells[2]

    const Kernels *kernels_for(const char *level)
    const Int8Kernels *int8_kernels_for(const char *level)


ACTIVATIONS = {"identity": IDENTITY, "logistic": LOGISTIC, "relu": RELU, "tanh": TANH}

cdef enum Pool:
    LAST
    MEAN
    MAX

POOLS = {"last": LAST, "mean": MEAN, "max": MAX}


cdef dict activations_of_cells():
    """Names of the cells, in the order of the tables, with the names of the activations that each can have."""
    cdef const Kernels *table = kernels_for(b"generic")  # every level has the same cells
    cells = {}
    for place in range(table.n_cells):
        has_activations = table.cells[0][place].has_activations
        cells[table.cells[0][place].name.decode()] = list(ACTIVATIONS) if has_activations else ["tanh"]
    return cells


CELLS = activations_of_cells()

# The backward pass computes the deltas of this number of bytes, then multiplies them while they are still in the cache.
# Products of fewer rows than the second number are slow.
cdef int64_t DELTA_BYTES = 1 << 20
cdef int64_t SMALLEST_DELTA_ROWS = 256
# Losses of fewer numbers, and products of fewer multiplications, take microseconds, less than to wait for the GIL.
cdef int64_t SHORT = 1 << 12
cdef int64_t SHORT_PRODUCT = 1 << 16


def is_supported(str level):
    """Whether the kernels of a level were built, and this processor has their instructions."""
    return level is not None and kernels_for(level.encode()) != NULL


def has_cell(str cell, str activation):
    """Whether there are kernels of a cell with this activation."""
    return activation in CELLS.get(cell, ())


def has_pool(str pool):
    """Whether a :class:`Stepper` can have this pool."""
    return pool in POOLS


cdef const Kernels *table_of(str level) except NULL:
    """Return the kernels of a level, or raise an error."""
    cdef bytes name = b"" if level is None else level.encode()
    cdef const Kernels *table = kernels_for(name)
    if table == NULL:
        raise ValueError(f"level {level!r} was not built, or this processor cannot run it.")
    return table


cdef int type_number_of(dtype) except -1:
    """Return NumPy's number of float32 or float64; raise an error for any other type."""
    for one, number in ((np.float32, np.NPY_FLOAT32), (np.float64, np.NPY_FLOAT64)):
        if np.dtype(dtype) == one:
            return number
    raise ValueError(f"dtype is {np.dtype(dtype)}: the kernels take float32 and float64.")


cdef int require(str argument, str value, names, str where="") except -1:
    """Raise an error if ``value`` is not among the names that have kernels."""
    if value not in names:
        raise ValueError(f"{argument} {value!r} has no compiled kernel{where}: run it in NumPy, or use one that has a "
                         f"kernel ({', '.join(names)}).")
    return 0


cdef void *data_of(object argument, str name, int type_number, int64_t size, bint is_written=False) except NULL:
    """Return a pointer to a contiguous array of ``size`` elements of the type, or raise an error.

    A kernel does not check where it reads and writes: this check keeps it inside the array.
    """
    if not isinstance(argument, np.ndarray):
        raise ValueError(f"{name} is a {type(argument).__name__}: the kernel needs an array.")
    cdef np.ndarray array = argument
    if np.PyArray_TYPE(array) != type_number or not np.PyArray_ISCARRAY_RO(array) or array.size != size:
        raise ValueError(
            f"{name} has dtype {array.dtype}, shape {argument.shape} and strides {argument.strides}: the kernel needs "
            f"{size} contiguous, aligned elements of type {np.PyArray_DescrFromType(type_number)}."
        )
    if is_written and not np.PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name} is read-only: the kernel writes into it.")
    return np.PyArray_DATA(array)


cdef int require_axes(str name, object argument, int n_axes) except -1:
    """Raise an error if ``argument`` is no array with this number of axes: the shape of any other is not in memory."""
    if not isinstance(argument, np.ndarray) or argument.ndim != n_axes:
        raise ValueError(f"{name} has shape {np.shape(argument)}: the kernel needs an array with {n_axes} axes.")
    return 0


cdef int require_sizes(str name, int64_t size) except -1:
    """Raise an error for a size below 1."""
    if size < 1:
        raise ValueError(f"{name} is {size}: the kernel needs at least 1.")
    return 0


def adam(str level, np.ndarray parameters not None, gradient, mean, variance, double beta_1, double beta_2,
         double epsilon, double step, double scale):
    """Take one step in place; ``Adam`` in ``kernels.h`` has the formula."""
    cdef const Kernels *table = table_of(level)
    cdef int kind = np.PyArray_TYPE(parameters), is_double = kind == np.NPY_FLOAT64
    cdef int64_t n = parameters.size
    cdef Adam settings
    settings.beta_1, settings.beta_2, settings.epsilon = beta_1, beta_2, epsilon
    settings.step, settings.scale = step, scale
    if not is_double and kind != np.NPY_FLOAT32:
        raise ValueError(f"parameters have dtype {parameters.dtype}: the kernel takes float32 and float64.")
    cdef void *p = data_of(parameters, "parameters", kind, n, True)
    cdef void *g = data_of(gradient, "gradient", kind, n)
    cdef void *m = data_of(mean, "mean", kind, n, True)
    cdef void *v = data_of(variance, "variance", kind, n, True)
    with nogil:
        table.adam[is_double](settings, n, g, m, v, p)


def relative_size(str level, np.ndarray gradient not None, variance, double beta_2, double epsilon, double scale):
    """Return the root mean square of the gradient's components, each over its own running root mean square."""
    cdef const Kernels *table = table_of(level)
    cdef int kind = type_number_of(gradient.dtype), is_double = kind == np.NPY_FLOAT64
    cdef int64_t n = gradient.size
    cdef Adam settings
    settings.beta_2, settings.epsilon, settings.scale = beta_2, epsilon, scale
    cdef void *g = data_of(gradient, "gradient", kind, n)
    cdef void *v = data_of(variance, "variance", kind, n)
    with nogil:
        size = table.relative_size[is_double](settings, n, g, v)
    return size


def softmax_loss(str level, np.ndarray scores not None, np.ndarray targets not None):
    """Return the cross-entropy of softmax of each row, (n_rows,), and its derivative, (n_rows, n_outputs).

    Scores and targets, (n_rows, n_outputs), have one dtype. The GIL is kept for a few rows, whose losses take less time
    than to wait for it.
    """
    cdef const Kernels *table = table_of(level)
    cdef int kind = type_number_of(scores.dtype), is_double = kind == np.NPY_FLOAT64
    require_axes("scores", scores, 2)
    cdef int64_t n_rows = scores.shape[0], n_outputs = scores.shape[1]
    require_sizes("n_outputs", n_outputs)
    cdef const void *s = data_of(scores, "scores", kind, n_rows * n_outputs)
    cdef const void *t = data_of(targets, "targets", kind, n_rows * n_outputs)
    cdef np.ndarray losses = np.PyArray_EMPTY(1, np.PyArray_DIMS(scores), kind, 0)
    cdef np.ndarray derivatives = np.PyArray_EMPTY(2, np.PyArray_DIMS(scores), kind, 0)
    cdef void *l = np.PyArray_DATA(losses)
    cdef void *d = np.PyArray_DATA(derivatives)
    if n_rows * n_outputs < SHORT:
        table.softmax_loss[is_double](n_rows, n_outputs, s, t, l, d)
    else:
        with nogil:
            table.softmax_loss[is_double](n_rows, n_outputs, s, t, l, d)
    return losses, derivatives


cdef int64_t rows_of_steps(np.ndarray hidden, np.ndarray batch_sizes, object pooled) except -1:
    """Return the number of rows of steps that a pool adds; raise an error if the arrays do not fit together."""
    require_axes("hidden", hidden, 2)
    require_axes("batch_sizes", batch_sizes, 1)
    require_axes("pooled", pooled, 2)
    cdef const int64_t *sizes = <const int64_t *> data_of(batch_sizes, "batch_sizes", np.NPY_INT64, batch_sizes.size)
    cdef int64_t n_rows = 0, t
    for t in range(batch_sizes.shape[0]):
        if not 0 <= sizes[t] <= pooled.shape[0]:
            raise ValueError(f"batch_sizes[{t}] is {sizes[t]}: it must be from 0 to {pooled.shape[0]}.")
        n_rows += sizes[t]
    if pooled.shape[1] != hidden.shape[1]:
        raise ValueError(f"pooled has shape {pooled.shape}: the kernel needs {hidden.shape[1]} columns.")
    return n_rows


def add_steps_to_sum(str level, np.ndarray total not None, np.ndarray hidden not None, np.ndarray batch_sizes not None):
    """Add hidden states, (n_rows, n_units) of a packed batch, to their sums over steps, (n_sequences, n_units)."""
    cdef const Kernels *table = table_of(level)
    cdef int kind = type_number_of(total.dtype), is_double = kind == np.NPY_FLOAT64
    cdef int64_t n_rows = rows_of_steps(hidden, batch_sizes, total), n_units = hidden.shape[1]
    cdef int64_t n_steps = batch_sizes.shape[0]
    cdef const int64_t *sizes = <const int64_t *> np.PyArray_DATA(batch_sizes)
    cdef void *h = data_of(hidden, "hidden", kind, n_rows * n_units)
    cdef void *to = data_of(total, "total", kind, total.size, True)
    with nogil:
        table.add_to_sum[is_double](n_steps, n_units, sizes, h, to)


def add_steps_to_maximum(str level, np.ndarray maximum not None, step_of_maximum, np.ndarray hidden not None,
                   np.ndarray batch_sizes not None, int64_t first_step):
    """Update the maxima over steps, and their steps in int32, both (n_sequences, n_units); see :func:`add_steps_to_sum`."""
    cdef const Kernels *table = table_of(level)
    cdef int kind = type_number_of(maximum.dtype), is_double = kind == np.NPY_FLOAT64
    cdef int64_t n_rows = rows_of_steps(hidden, batch_sizes, maximum), n_units = hidden.shape[1]
    cdef int64_t n_steps = batch_sizes.shape[0]
    cdef const int64_t *sizes = <const int64_t *> np.PyArray_DATA(batch_sizes)
    cdef void *h = data_of(hidden, "hidden", kind, n_rows * n_units)
    cdef void *to = data_of(maximum, "maximum", kind, maximum.size, True)
    cdef int32_t *steps = <int32_t *> data_of(step_of_maximum, "step_of_maximum", np.NPY_INT32, maximum.size, True)
    with nogil:
        table.add_to_maximum[is_double](n_steps, n_units, sizes, h, first_step, to, steps)


def add_errors_at_maximum(str level, np.ndarray errors not None, np.ndarray d_maximum not None, step_of_maximum,
                          np.ndarray batch_sizes not None, np.ndarray offsets not None, int64_t first_step):
    """Add the errors of the maxima, (n_sequences, n_units), to those of the rows, (n_rows, n_units), that they are from.

    ``offsets``, (n_steps + 1,), are the first rows of each step.
    """
    cdef const Kernels *table = table_of(level)
    cdef int kind = type_number_of(errors.dtype), is_double = kind == np.NPY_FLOAT64
    cdef int64_t n_rows = rows_of_steps(errors, batch_sizes, d_maximum), n_units = errors.shape[1]
    cdef int64_t n_steps = batch_sizes.shape[0], n_sequences = d_maximum.shape[0]
    cdef const int64_t *sizes = <const int64_t *> np.PyArray_DATA(batch_sizes)
    cdef const int64_t *first_rows = <const int64_t *> data_of(offsets, "offsets", np.NPY_INT64, n_steps + 1)
    for t in range(n_steps):
        if first_rows[t] < 0 or first_rows[t] + sizes[t] > n_rows:
            raise ValueError(f"offsets[{t}] is {first_rows[t]}: the rows of this step are not among {n_rows} rows.")
    cdef void *to = data_of(errors, "errors", kind, n_rows * n_units, True)
    cdef const void *d = data_of(d_maximum, "d_maximum", kind, d_maximum.size)
    cdef const int32_t *steps = <int32_t *> data_of(step_of_maximum, "step_of_maximum", np.NPY_INT32, d_maximum.size)
    with nogil:
        table.add_at_maximum[is_double](n_steps, n_sequences, n_units, sizes, first_rows, d, steps, first_step, to)


def have_same_bits(np.ndarray first not None, np.ndarray second not None):
    """Whether two contiguous arrays of one dtype and size have the same bits."""
    cdef int kind = np.PyArray_TYPE(first)
    cdef const void *a = data_of(first, "first", kind, first.size)
    cdef const void *b = data_of(second, "second", kind, first.size)
    cdef size_t n_bytes = first.nbytes
    cdef bint are_same
    with nogil:
        are_same = memcmp(a, b, n_bytes) == 0
    return are_same


cdef class EmbeddingKernel:
    """Looks up the vectors of codes, and adds their gradients; ``Embedding`` in ``kernels.h`` has the layout.

    Parameters
    ----------
    level : {"generic", "v2", "v3", "v4"}
    n_features : int
        Columns of the rows.
    numbers, categorical : sequence of int
        Columns that are numbers, and columns that are codes.
    n_vectors, sizes : sequence of int
        Shape of the table of each categorical column.

    Raises
    ------
    ValueError
        If this processor cannot run the level, or if a column or a size is out of range.
    """

    cdef const Kernels *table
    cdef Embedding layout
    cdef vector[int64_t] numbers, categorical, n_vectors, sizes

    def __cinit__(self, str level, int64_t n_features, numbers, categorical, n_vectors, sizes):
        self.table = table_of(level)
        self.numbers, self.categorical, self.n_vectors, self.sizes = numbers, categorical, n_vectors, sizes
        require_sizes("n_features", n_features)
        if not len(categorical) == len(n_vectors) == len(sizes):
            raise ValueError("categorical, n_vectors and sizes have different lengths.")
        if any(not 0 <= column < n_features for column in (*numbers, *categorical)):
            raise ValueError(f"a column is not among the {n_features} columns of the rows.")
        if any(not 1 <= n < 1 << 31 for n in (*n_vectors, *sizes)):
            raise ValueError("a table has no rows or no columns, or too many.")
        self.layout.n_features, self.layout.n_inputs = n_features, len(numbers) + sum(sizes)
        self.layout.n_numbers, self.layout.n_categorical = len(numbers), len(categorical)
        self.layout.numbers, self.layout.categorical = self.numbers.data(), self.categorical.data()
        self.layout.n_vectors, self.layout.sizes = self.n_vectors.data(), self.sizes.data()

    def forward(self, np.ndarray rows not None, list tables not None, np.ndarray inputs not None):
        """Write the inputs, (n_rows, n_inputs), of rows (n_rows, n_features)."""
        cdef Embedding layout = self.layout
        cdef vector[void *] pointers
        cdef int is_double = self.check(layout, pointers, rows, tables, inputs, False)
        cdef const void *r = np.PyArray_DATA(rows)
        cdef void *x = np.PyArray_DATA(inputs)
        with nogil:
            self.table.embed[is_double](layout, r, <const void *const *> pointers.data(), x)

    def backward(self, np.ndarray rows not None, np.ndarray d_inputs not None, list d_tables not None):
        """Add the gradients of rows (n_rows, n_features), given that of the inputs, to those of the tables."""
        cdef Embedding layout = self.layout
        cdef vector[void *] pointers
        cdef int is_double = self.check(layout, pointers, rows, d_tables, d_inputs, True)
        cdef const void *r = np.PyArray_DATA(rows)
        cdef const void *d_x = np.PyArray_DATA(d_inputs)
        with nogil:
            self.table.embed_backward[is_double](layout, r, d_x, pointers.data())

    cdef int check(self, Embedding &layout, vector[void *] &pointers, np.ndarray rows, list tables, np.ndarray inputs,
                   bint is_backward) except -1:
        """Check all arrays; return whether they are float64."""
        cdef int kind = type_number_of(rows.dtype)
        cdef int64_t k
        layout.n_rows = rows.size // layout.n_features
        data_of(rows, "rows", kind, layout.n_rows * layout.n_features)
        data_of(inputs, "inputs", kind, layout.n_rows * layout.n_inputs, not is_backward)
        if len(tables) != layout.n_categorical:
            raise ValueError(f"there are {len(tables)} tables for {layout.n_categorical} categorical columns.")
        for k in range(layout.n_categorical):
            pointers.push_back(
                data_of(tables[k], "a table", kind, layout.n_vectors[k] * layout.sizes[k], is_backward)
            )
        return kind == np.NPY_FLOAT64


cdef class Kernel:
    """One cell's recurrence, for one instruction set and one floating point type.

    Parameters
    ----------
    level : {"generic", "v2", "v3", "v4"}
    cell : {"rnn", "lstm", "gru"}
    activation : {"identity", "logistic", "relu", "tanh"}
        Of cell "rnn"; the other cells have "tanh" alone.
    dtype : {float32, float64}

    Attributes
    ----------
    n_gates, n_states, n_deltas : int
        Columns of the weights, arrays of a state, and columns of the deltas, each divided by n_units.
    has_recurrent_bias : bool
        Whether there is a second bias, which GRU's reset gate multiplies.

    Raises
    ------
    ValueError
        If this processor cannot run the level, or if there is no kernel of the cell, activation or type.
    """

    cdef const Kernels *table
    cdef CellKernels kernels
    cdef int activation, is_double, type_number
    cdef readonly int64_t n_gates, n_states, n_deltas
    cdef readonly bint has_recurrent_bias
    cdef int64_t item_size

    def __cinit__(self, str level, str cell, str activation, dtype):
        self.table = table_of(level)
        require("cell", cell, CELLS)
        require("activation", activation, CELLS[cell], f" in cell {cell!r}")
        self.activation = ACTIVATIONS[activation]
        self.type_number = type_number_of(dtype)
        self.is_double = self.type_number == np.NPY_FLOAT64
        self.item_size = 8 if self.is_double else 4
        cdef int place = list(CELLS).index(cell)
        self.kernels = self.table.cells[self.is_double][place]
        self.n_gates, self.n_states, self.n_deltas = self.kernels.n_gates, self.kernels.n_states, self.kernels.n_deltas
        self.has_recurrent_bias = self.kernels.has_recurrent_bias

    def forward_panels_size(self, n_features, n_units):
        """Number of elements of the panels that :meth:`forward` reads."""
        return self.kernels.forward_panels_size(n_features, n_units)

    def transposed_panels_size(self, n_rows, n_units):
        """Number of elements of the panels of transposed weights, (n_rows, n_gates * n_units), for :meth:`backward`."""
        return self.kernels.transposed_panels_size(n_rows, n_units)

    def tape_row_size(self, n_units):
        """Number of elements of the tape for each row."""
        return self.kernels.tape_row_size(n_units)

    def delta_row_size(self, n_units):
        """Number of elements of the work array ``delta`` of :meth:`backward` for each row."""
        return self.kernels.delta_row_size(n_units)

    def pack_forward(self, np.ndarray input_weights not None, np.ndarray recurrent not None, bias, recurrent_bias,
                     panels):
        """Write the weights into ``panels``, in the order in which :meth:`forward` reads them.

        Parameters
        ----------
        input_weights : ndarray of shape (n_features, n_gates * n_units)
        recurrent : ndarray of shape (n_units, n_gates * n_units)
        bias : ndarray of shape (n_gates * n_units,)
        recurrent_bias : ndarray of shape (n_units,), or None
            Ignored if the cell has no recurrent bias.
        panels : ndarray of shape (forward_panels_size,)
            Overwritten.
        """
        require_axes("input", input_weights, 2)
        require_axes("recurrent", recurrent, 2)
        cdef int64_t n_features = input_weights.shape[0], n_units = recurrent.shape[0]
        require_sizes("n_units", n_units)
        cdef int64_t n_columns = self.n_gates * n_units
        cdef int kind = self.type_number
        cdef void *w = data_of(input_weights, "input", kind, n_features * n_columns)
        cdef void *u = data_of(recurrent, "recurrent", kind, n_units * n_columns)
        cdef void *b = data_of(bias, "bias", kind, n_columns)
        cdef void *b_hn = NULL
        if self.has_recurrent_bias:
            b_hn = data_of(recurrent_bias, "recurrent_bias", kind, n_units)
        cdef void *to = data_of(panels, "panels", kind, self.kernels.forward_panels_size(n_features, n_units), True)
        with nogil:
            self.kernels.pack_forward(n_features, n_units, w, u, b, b_hn, to)

    def pack_transposed(self, np.ndarray weights not None, panels):
        """Write weights into ``panels``, in the order in which :meth:`backward` reads them.

        Parameters
        ----------
        weights : ndarray of shape (n_rows, n_gates * n_units)
        panels : ndarray of shape (transposed_panels_size,)
            Overwritten.
        """
        require_axes("weights", weights, 2)
        cdef int64_t n_rows = weights.shape[0], n_units = weights.shape[1] // self.n_gates
        cdef int64_t size = self.kernels.transposed_panels_size(n_rows, n_units)
        cdef void *w = data_of(weights, "weights", self.type_number, n_rows * self.n_gates * n_units)
        cdef void *to = data_of(panels, "panels", self.type_number, size, True)
        with nogil:
            self.kernels.pack_transposed(n_rows, n_units, w, to)

    cdef Recurrence sizes(self, np.ndarray batch_sizes, np.ndarray x, np.ndarray state,
                          bint is_reverse=False) except *:
        """Return the sizes of a packed batch; raise an error if the three arrays do not fit together."""
        cdef Recurrence size
        if x.ndim != 2 or state.ndim != 3 or state.shape[0] != self.n_states:
            shapes = f"{(<object> x).shape} and {(<object> state).shape}"
            raise ValueError(f"x and state have shapes {shapes}: the kernel needs 2 axes and 3 axes, the first "
                             f"axis of state of length {self.n_states}.")
        require_axes("batch_sizes", batch_sizes, 1)
        require_sizes("n_units", state.shape[2])
        size.n_steps, size.n_features = batch_sizes.shape[0], x.shape[1]
        size.n_sequences, size.n_units = state.shape[1], state.shape[2]
        size.batch_sizes = <const int64_t *> data_of(batch_sizes, "batch_sizes", np.NPY_INT64, size.n_steps)
        size.activation, size.n_threads, size.is_reverse = self.activation, 1, is_reverse
        cdef int64_t n_rows = 0, before = size.n_sequences, t
        for t in range(size.n_steps):
            if not 0 <= size.batch_sizes[t] <= before:
                raise ValueError(f"batch_sizes[{t}] is {size.batch_sizes[t]}: it must be from 0 to {before}.")
            before = size.batch_sizes[t]
            n_rows += before
        if n_rows != x.shape[0]:
            raise ValueError(f"x has {x.shape[0]} rows, but the sum of batch_sizes is {n_rows}: they must be equal.")
        if is_reverse and n_rows != size.n_steps * size.n_sequences:
            raise ValueError(f"batch_sizes has steps of less than {size.n_sequences} rows: with is_reverse, the kernel "
                             "needs sequences of equal lengths.")
        return size

    cdef object read_panels(self, ForwardArrays &arrays, Recurrence size, panels, work):
        """Set the panels and the work array of a forward pass; return the work array, which must not be freed before.

        These kernels have none.
        """
        panels_size = self.kernels.forward_panels_size(size.n_features, size.n_units)
        arrays.panels = data_of(panels, "panels", self.type_number, panels_size)
        arrays.work = NULL
        return None

    def forward(self, panels, np.ndarray batch_sizes not None, np.ndarray x not None,
                np.ndarray initial_state not None, final_state, hidden, tape=None, bint keeps_hidden=True, work=None,
                int n_threads=1, bint is_reverse=False):
        """Run over all steps of a packed batch.

        Parameters
        ----------
        panels : ndarray
            From :meth:`pack_forward`.
        batch_sizes : ndarray of shape (n_steps,), int64
        x : ndarray of shape (n_rows, n_features)
        initial_state : ndarray of shape (n_states, n_sequences, n_units)
        final_state : ndarray of shape (n_states, n_sequences, n_units)
            Overwritten: each sequence's state after its own last step. May be ``initial_state`` itself.
        hidden : ndarray of shape (n_sequences + n_rows, n_units)
            Overwritten: the initial h, then h after every step. May be a range of columns of a wider array. Without
            ``keeps_hidden`` it is a work array of shape (2 * n_sequences, n_units).
        tape : ndarray of shape (n_rows, tape_row_size), or None
            Overwritten: the values that :meth:`backward` reads, in the kernel's own order. None if no backward pass
            follows.
        keeps_hidden : bool
            Whether to return h after every step; a tape requires it.
        work : ndarray of shape (work_size,), int64, or None
            Work array of an :class:`Int8Kernel`; None: its memory is taken here.
        n_threads : int
            Threads that may run it, with the calling thread. The bits do not depend on it.
        is_reverse : bool
            Whether to read the steps from the last to the first, for sequences of equal lengths. The rows of all arrays
            stay in the order of time; the initial h is behind the others in ``hidden``.
        """
        cdef Recurrence size = self.sizes(batch_sizes, x, initial_state, is_reverse)
        cdef int64_t n_rows = x.shape[0], n_states = size.n_sequences + n_rows, n_units = size.n_units
        cdef int kind = self.type_number
        cdef ForwardArrays arrays
        held = self.read_panels(arrays, size, panels, work)
        arrays.x = data_of(x, "x", kind, n_rows * size.n_features)
        arrays.initial_state = data_of(initial_state, "initial_state", kind, initial_state.size)
        arrays.final_state = data_of(final_state, "final_state", kind, initial_state.size, True)
        if tape is not None and not keeps_hidden:
            raise ValueError("keeps_hidden is False, but there is a tape: the backward pass needs h after every step.")
        arrays.keeps_hidden = keeps_hidden
        size.n_threads = n_threads
        if keeps_hidden:
            arrays.hidden = self.rows_of(hidden, "hidden", n_states, n_units, &arrays.hidden_stride, True)
        else:
            arrays.hidden = data_of(hidden, "hidden", kind, 2 * size.n_sequences * n_units, True)
            arrays.hidden_stride = n_units
        arrays.tape = NULL
        if tape is not None:
            arrays.tape = data_of(tape, "tape", kind, n_rows * self.kernels.tape_row_size(n_units), True)
        with nogil:
            self.kernels.forward(size, arrays)

    def n_delta_rows(self, np.ndarray batch_sizes not None, int64_t n_units):
        """Number of rows of the work arrays of :meth:`backward`."""
        require_axes("batch_sizes", batch_sizes, 1)
        require_sizes("n_units", n_units)
        cdef int64_t n_rows = batch_sizes.sum(), row_bytes = self.n_deltas * n_units * self.item_size
        # The backward pass runs whole steps: the rows of at least one step must fit.
        cdef int64_t largest = batch_sizes[0] if len(batch_sizes) else 0
        return min(n_rows, max(largest, max(SMALLEST_DELTA_ROWS, DELTA_BYTES // row_bytes)))

    def backward(self, panels, input_panels, np.ndarray batch_sizes not None, np.ndarray x not None, hidden, tape,
                 d_hidden, np.ndarray d_state not None, dict d_weights not None, np.ndarray delta not None, previous,
                 d_x=None, int n_threads=1, bint is_reverse=False):
        """Carry the error back from the step that is read last to the first.

        Parameters
        ----------
        panels : ndarray
            From :meth:`pack_transposed` of the recurrent weights.
        input_panels : ndarray, or None
            From :meth:`pack_transposed` of the input weights; not read if ``d_x`` is None.
        batch_sizes, x, hidden, tape : ndarray
            The arrays of the forward pass, unchanged since.
        d_hidden : ndarray of shape (n_rows, n_units), or None
            Gradient with respect to h after every step; may be a range of columns of a wider array.
        d_state : ndarray of shape (n_states, n_sequences, n_units)
            Gradient with respect to the final state; overwritten with the gradient with respect to the initial state.
        d_weights : dict of ndarray
            The kernel adds the gradients of "input", "recurrent", "bias" and, for GRU, "recurrent_bias".
        delta : ndarray of shape (n_delta_rows, delta_row_size)
            Work array.
        previous : ndarray of shape (n_delta_rows, n_units)
            Work array; it has 0 rows if all sequences are equally long.
        d_x : ndarray of shape (n_rows, n_features), or None
            Overwritten: the gradient with respect to x.
        n_threads, is_reverse
            As in the forward pass.
        """
        cdef Recurrence size = self.sizes(batch_sizes, x, d_state, is_reverse)
        size.n_threads = n_threads
        cdef int64_t n_rows = x.shape[0], n_features = size.n_features, n_units = size.n_units
        cdef int64_t n_columns = self.n_gates * n_units
        cdef int kind = self.type_number
        cdef BackwardArrays arrays
        arrays.panels = data_of(panels, "panels", kind, self.kernels.transposed_panels_size(n_units, n_units))
        arrays.x = data_of(x, "x", kind, n_rows * n_features)
        arrays.hidden = self.rows_of(hidden, "hidden", size.n_sequences + n_rows, n_units, &arrays.hidden_stride)
        arrays.tape = data_of(tape, "tape", kind, n_rows * self.kernels.tape_row_size(n_units))
        arrays.d_hidden, arrays.d_hidden_stride = NULL, 0
        if d_hidden is not None:
            arrays.d_hidden = self.rows_of(d_hidden, "d_hidden", n_rows, n_units, &arrays.d_hidden_stride)
        arrays.d_state = data_of(d_state, "d_state", kind, d_state.size, True)
        arrays.d_input = data_of(d_weights["input"], "d_input", kind, n_features * n_columns, True)
        arrays.d_recurrent = data_of(d_weights["recurrent"], "d_recurrent", kind, n_units * n_columns, True)
        arrays.d_bias = data_of(d_weights["bias"], "d_bias", kind, n_columns, True)
        arrays.d_recurrent_bias = NULL
        if self.has_recurrent_bias:
            arrays.d_recurrent_bias = data_of(d_weights["recurrent_bias"], "d_recurrent_bias", kind, n_units, True)
        arrays.input_panels = arrays.d_x = NULL
        if d_x is not None:
            n_panel = self.kernels.transposed_panels_size(n_features, n_units)
            arrays.input_panels = data_of(input_panels, "input_panels", kind, n_panel)
            arrays.d_x = data_of(d_x, "d_x", kind, n_rows * n_features, True)
        require_axes("delta", delta, 2)
        arrays.n_delta_rows = delta.shape[0]
        arrays.delta = data_of(delta, "delta", kind, arrays.n_delta_rows * self.kernels.delta_row_size(n_units), True)
        is_dense = size.n_steps == 0 or size.batch_sizes[size.n_steps - 1] == size.n_sequences
        n_previous = 0 if is_dense else arrays.n_delta_rows * n_units
        arrays.previous = data_of(previous, "previous", kind, n_previous, True)
        if arrays.n_delta_rows < (size.batch_sizes[0] if size.n_steps else 0):
            raise ValueError(f"delta has {arrays.n_delta_rows} rows: the kernel needs the rows of the "
                             f"largest step, {size.batch_sizes[0]}.")
        with nogil:
            self.kernels.backward(size, arrays)

    cdef void *rows_of(self, object argument, str name, int64_t n_rows, int64_t n_columns, int64_t *stride,
                       bint is_written=False) except NULL:
        """Return a pointer to rows whose elements are contiguous; write their distance in elements to ``stride``."""
        require_axes(name, argument, 2)
        cdef np.ndarray array = argument
        if (np.PyArray_TYPE(array) != self.type_number or not np.PyArray_ISBEHAVED_RO(array)
                or array.shape[0] != n_rows or array.shape[1] != n_columns
                or (n_rows > 0 and n_columns > 1 and array.strides[1] != self.item_size)
                or (n_rows > 1 and array.strides[0] < n_columns * self.item_size)
                or array.strides[0] % self.item_size):
            raise ValueError(f"{name} has dtype {array.dtype}, shape {argument.shape} and strides {argument.strides}: "
                             f"the kernel needs {n_rows} rows of {n_columns} contiguous, aligned elements of type "
                             f"{np.PyArray_DescrFromType(self.type_number)}.")
        if is_written and not np.PyArray_ISWRITEABLE(array):
            raise ValueError(f"{name} is read-only: the kernel writes into it.")
        stride[0] = array.strides[0] // self.item_size
        return np.PyArray_DATA(array)

    def activate(self, np.ndarray values not None):
        """Apply the activation in place."""
        cdef void *data = data_of(values, "values", self.type_number, values.size)
        cdef int64_t n = values.size
        with nogil:
            self.table.activate[self.is_double](self.activation, n, data)


cdef class OutputKernel:
    """The output layer, h V + c, for one instruction set and one floating point type.

    Parameters
    ----------
    level : {"generic", "v2", "v3", "v4"}
    dtype : {float32, float64}
    """

    cdef OutputKernels kernels
    cdef int type_number

    def __cinit__(self, str level, dtype):
        cdef const Kernels *table = table_of(level)
        self.type_number = type_number_of(dtype)
        cdef int is_double = self.type_number == np.NPY_FLOAT64
        self.kernels = table.outputs[is_double]

    def panels_size(self, n_hidden, n_outputs):
        """Number of elements of the panels that :meth:`run` reads."""
        return self.kernels.panels_size(n_hidden, n_outputs)

    def pack(self, np.ndarray weight not None, bias, panels):
        """Write V, (n_hidden, n_outputs), and c, (n_outputs,), into ``panels``, in the order of :meth:`run`."""
        require_axes("weight", weight, 2)
        cdef int64_t n_hidden = weight.shape[0], n_outputs = weight.shape[1]
        cdef void *v = data_of(weight, "weight", self.type_number, n_hidden * n_outputs)
        cdef void *c = data_of(bias, "bias", self.type_number, n_outputs)
        cdef int64_t size = self.kernels.panels_size(n_hidden, n_outputs)
        cdef void *to = data_of(panels, "panels", self.type_number, size, True)
        with nogil:
            self.kernels.pack(n_hidden, n_outputs, v, c, to)

    def run(self, panels, np.ndarray hidden not None, np.ndarray scores not None):
        """Overwrite ``scores``, (n_rows, n_outputs), with those of hidden states, (n_rows, n_hidden)."""
        if hidden.ndim != 2 or scores.ndim != 2:
            shapes = f"{(<object> hidden).shape} and {(<object> scores).shape}"
            raise ValueError(f"hidden and scores have shapes {shapes}: the kernel needs 2 axes.")
        cdef int64_t n_rows = hidden.shape[0], n_hidden = hidden.shape[1], n_outputs = scores.shape[1]
        cdef int64_t size = self.kernels.panels_size(n_hidden, n_outputs)
        cdef void *panel = data_of(panels, "panels", self.type_number, size)
        cdef void *h = data_of(hidden, "hidden", self.type_number, n_rows * n_hidden)
        cdef void *to = data_of(scores, "scores", self.type_number, n_rows * n_outputs, True)
        if n_rows * n_hidden * n_outputs < SHORT_PRODUCT:
            self.kernels.run(n_rows, n_hidden, n_outputs, panel, h, to)
        else:
            with nogil:
                self.kernels.run(n_rows, n_hidden, n_outputs, panel, h, to)

    def transposed_panels_size(self, n_hidden, n_outputs):
        """Number of elements of the panels that :meth:`backward` reads."""
        return self.kernels.transposed_panels_size(n_hidden, n_outputs)

    def pack_transposed(self, np.ndarray weight not None, panels):
        """Write V, (n_hidden, n_outputs), into ``panels``, in the order of :meth:`backward`."""
        require_axes("weight", weight, 2)
        cdef int64_t n_hidden = weight.shape[0], n_outputs = weight.shape[1]
        cdef void *v = data_of(weight, "weight", self.type_number, n_hidden * n_outputs)
        cdef int64_t size = self.kernels.transposed_panels_size(n_hidden, n_outputs)
        cdef void *to = data_of(panels, "panels", self.type_number, size, True)
        with nogil:
            self.kernels.pack_transposed(n_hidden, n_outputs, v, to)

    def backward(self, panels, np.ndarray hidden not None, np.ndarray d_scores not None, d_weight, d_bias, d_hidden):
        """Overwrite ``d_hidden``, (n_rows, n_hidden), and add to ``d_weight`` and ``d_bias``."""
        require_axes("hidden", hidden, 2)
        require_axes("d_scores", d_scores, 2)
        cdef int64_t n_rows = hidden.shape[0], n_hidden = hidden.shape[1], n_outputs = d_scores.shape[1]
        cdef int kind = self.type_number
        cdef OutputBackwardArrays arrays
        arrays.panels = data_of(panels, "panels", kind, self.kernels.transposed_panels_size(n_hidden, n_outputs))
        arrays.hidden = data_of(hidden, "hidden", kind, n_rows * n_hidden)
        arrays.d_scores = data_of(d_scores, "d_scores", kind, n_rows * n_outputs)
        arrays.d_weight = data_of(d_weight, "d_weight", kind, n_hidden * n_outputs, True)
        arrays.d_bias = data_of(d_bias, "d_bias", kind, n_outputs, True)
        arrays.d_hidden = data_of(d_hidden, "d_hidden", kind, n_rows * n_hidden, True)
        if n_rows * n_hidden * n_outputs < SHORT_PRODUCT:
            self.kernels.backward(n_rows, n_hidden, n_outputs, arrays)
        else:
            with nogil:
                self.kernels.backward(n_rows, n_hidden, n_outputs, arrays)


include "int8.pxi"


ctypedef fused floating:
    float
    double


include "decoding.pxi"
include "stepper.pxi"
