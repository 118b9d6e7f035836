# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled recurrences. This module checks arrays, then calls the kernels without the GIL (short steps keep it).

A kernel works on a packed batch (see ``Packing``): the rows of step 0 of all sequences, longest sequence first, then
the rows of step 1, and so on.
"""

cimport numpy as np
from libc.stdint cimport int32_t, int64_t
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
        int activation

    cdef struct ForwardArrays:
        const void *panels
        const void *x
        const void *initial_state
        void *final_state
        void *hidden
        bint keeps_hidden
        void *tape

    cdef struct BackwardArrays:
        const void *panels
        const void *input_panels
        const void *x
        const void *hidden
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

    cdef struct OutputKernels:
        int64_t (*panels_size)(int64_t n_hidden, int64_t n_outputs) noexcept nogil
        void (*pack)(int64_t n_hidden, int64_t n_outputs, const void *weight, const void *bias,
                     void *panels) noexcept nogil
        void (*run)(int64_t n_rows, int64_t n_hidden, int64_t n_outputs, const void *panels, const void *hidden,
                    void *scores) noexcept nogil

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
        void (*embed[2])(const Embedding &, const void *rows, const void *const *tables, void *inputs) noexcept nogil
        void (*embed_backward[2])(const Embedding &, const void *rows, const void *d_inputs,
                                  void *const *d_tables) noexcept nogil
        void (*add_to_sum[2])(int64_t n_steps, int64_t n_units, const int64_t *batch_sizes, const void *hidden,
                              void *sums) noexcept nogil
        void (*add_to_maximum[2])(int64_t n_steps, int64_t n_units, const int64_t *batch_sizes, const void *hidden,
                                  int64_t first_step, void *maximum, int32_t *step_of_maximum) noexcept nogil

    const Kernels *kernels_for(const char *level)


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

    cdef Recurrence sizes(self, np.ndarray batch_sizes, np.ndarray x, np.ndarray state) except *:
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
        size.activation = self.activation
        cdef int64_t n_rows = 0, before = size.n_sequences, t
        for t in range(size.n_steps):
            if not 0 <= size.batch_sizes[t] <= before:
                raise ValueError(f"batch_sizes[{t}] is {size.batch_sizes[t]}: it must be from 0 to {before}.")
            before = size.batch_sizes[t]
            n_rows += before
        if n_rows != x.shape[0]:
            raise ValueError(f"x has {x.shape[0]} rows, but the sum of batch_sizes is {n_rows}: they must be equal.")
        return size

    def forward(self, panels, np.ndarray batch_sizes not None, np.ndarray x not None,
                np.ndarray initial_state not None, final_state, hidden, tape=None, bint keeps_hidden=True):
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
            Overwritten: the initial h, then h after every step. Without ``keeps_hidden`` it is a work array of shape
            (2 * n_sequences, n_units).
        tape : ndarray of shape (n_rows, tape_row_size), or None
            Overwritten: the values that :meth:`backward` reads, in the kernel's own order. None if no backward pass
            follows.
        keeps_hidden : bool
            Whether to return h after every step; a tape requires it.
        """
        cdef Recurrence size = self.sizes(batch_sizes, x, initial_state)
        cdef int64_t n_rows = x.shape[0], n_states = size.n_sequences + n_rows, n_units = size.n_units
        cdef int kind = self.type_number
        cdef ForwardArrays arrays
        arrays.panels = data_of(panels, "panels", kind, self.kernels.forward_panels_size(size.n_features, n_units))
        arrays.x = data_of(x, "x", kind, n_rows * size.n_features)
        arrays.initial_state = data_of(initial_state, "initial_state", kind, initial_state.size)
        arrays.final_state = data_of(final_state, "final_state", kind, initial_state.size, True)
        if tape is not None and not keeps_hidden:
            raise ValueError("keeps_hidden is False, but there is a tape: the backward pass needs h after every step.")
        arrays.keeps_hidden = keeps_hidden
        n_kept = n_states if keeps_hidden else 2 * size.n_sequences
        arrays.hidden = data_of(hidden, "hidden", kind, n_kept * n_units, True)
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
                 d_x=None):
        """Carry the error back from the last step to the first.

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
        """
        cdef Recurrence size = self.sizes(batch_sizes, x, d_state)
        cdef int64_t n_rows = x.shape[0], n_features = size.n_features, n_units = size.n_units
        cdef int64_t n_columns = self.n_gates * n_units
        cdef int kind = self.type_number
        cdef BackwardArrays arrays
        arrays.panels = data_of(panels, "panels", kind, self.kernels.transposed_panels_size(n_units, n_units))
        arrays.x = data_of(x, "x", kind, n_rows * n_features)
        arrays.hidden = data_of(hidden, "hidden", kind, (size.n_sequences + n_rows) * n_units)
        arrays.tape = data_of(tape, "tape", kind, n_rows * self.kernels.tape_row_size(n_units))
        arrays.d_hidden, arrays.d_hidden_stride = NULL, 0
        if d_hidden is not None:
            arrays.d_hidden = self.rows_of(d_hidden, n_rows, n_units, &arrays.d_hidden_stride)
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

    cdef const void *rows_of(self, np.ndarray array, int64_t n_rows, int64_t n_columns, int64_t *stride) except NULL:
        """Return a pointer to rows whose elements are contiguous; write their distance in elements to ``stride``."""
        if (np.PyArray_TYPE(array) != self.type_number or not np.PyArray_ISBEHAVED_RO(array) or array.ndim != 2
                or array.shape[0] != n_rows or array.shape[1] != n_columns
                or (n_rows > 0 and n_columns > 1 and array.strides[1] != self.item_size)
                or (n_rows > 1 and array.strides[0] < n_columns * self.item_size)
                or array.strides[0] % self.item_size):
            raise ValueError(f"d_hidden has dtype {array.dtype} and shape {(<object> array).shape}: the kernel needs "
                             f"{n_rows} rows of {n_columns} contiguous, aligned elements of type "
                             f"{np.PyArray_DescrFromType(self.type_number)}.")
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
        with nogil:
            self.kernels.run(n_rows, n_hidden, n_outputs, panel, h, to)


ctypedef fused floating:
    float
    double

# A step of more multiplications than this releases the GIL. A shorter step keeps it, because taking it back can last
# milliseconds if other threads run Python.
cdef int64_t LONG_WORK = 1 << 20


cdef size_t ALIGNMENT = 64  # bytes: as in buffers.py


cdef char *aligned(char *memory) noexcept nogil:
    """Return the first address from ``memory`` on that begins a cache line."""
    return memory + (ALIGNMENT - <size_t> memory % ALIGNMENT) % ALIGNMENT


cdef bint are_finite(int64_t n, const floating *values) noexcept nogil:
    cdef floating zeros = 0
    cdef int64_t i
    for i in range(n):
        zeros += values[i] * 0  # NaN if the value is NaN or infinite
    return zeros == 0


ctypedef fused given:
    float
    double


# Writes the scaled columns, (n_sequences, n_columns), of steps x (n_sequences, n_inputs): the twin of StepScaling, with
# the same bits. Every operation is rounded to the type of x, as the scalers round it.
cdef void scale_columns(int64_t n_sequences, int64_t n_inputs, int64_t n_columns, int64_t n_scalers,
                        const int64_t *columns, const double *terms, const given *x, floating *to) noexcept nogil:
    cdef int64_t i, j, k
    cdef given value
    cdef const double *term
    for i in range(n_sequences):
        for j in range(n_columns):
            value = x[i * n_inputs + columns[j]]
            for k in range(n_scalers):
                term = terms + 4 * k * n_columns + j  # center, divisor, factor, shift: each n_columns apart
                value = <given> (value - term[0])
                value = <given> (value / term[n_columns])
                value = <given> (value * term[2 * n_columns])
                value = <given> (value + term[3 * n_columns])
            to[i * n_columns + j] = <floating> value


# Each pool writes n_units columns of the rows of `to`, n_columns apart, with the same bits as in readouts.py.
cdef void copy_last(int64_t n_sequences, int64_t n_units, int64_t n_columns, const floating *hidden,
                    floating *to) noexcept nogil:
    cdef int64_t i, k
    for i in range(n_sequences):
        for k in range(n_units):
            to[i * n_columns + k] = hidden[i * n_units + k]


cdef void add_to_mean(int64_t n_sequences, int64_t n_units, int64_t n_columns, const floating *hidden,
                      const int64_t *n_steps, floating *sums, floating *to) noexcept nogil:
    cdef int64_t i, k, j
    cdef floating share
    for i in range(n_sequences):
        share = <floating> (1.0 / n_steps[i])
        for k in range(n_units):
            j = i * n_units + k
            sums[j] += hidden[j]
            to[i * n_columns + k] = sums[j] * share


cdef void add_to_maximum(int64_t n_sequences, int64_t n_units, int64_t n_columns, const floating *hidden,
                         floating *maximum, floating *to) noexcept nogil:
    cdef int64_t i, k, j
    for i in range(n_sequences):
        for k in range(n_units):
            j = i * n_units + k
            if not (hidden[j] <= maximum[j] or maximum[j] != maximum[j]):
                maximum[j] = hidden[j]
            to[i * n_columns + k] = maximum[j]


cdef void change_units(int64_t n_rows, int64_t n_outputs, const floating *scores, const floating *scale,
                       const floating *mean, floating *values) noexcept nogil:
    cdef int64_t i, j
    for i in range(n_rows):
        for j in range(n_outputs):
            values[i * n_outputs + j] = scores[i * n_outputs + j] * scale[j] + mean[j]


cdef class Units:
    """From raw scores to values: scores * scale + mean, the twin of ``ValueCoding.decode`` with the same bits.

    Parameters
    ----------
    scale, mean : ndarray of shape (n_outputs,), float32 or float64
    is_flat : bool
        Whether values have the shape (n_rows,), for one output, in the place of (n_rows, n_outputs).
    """

    cdef int kind
    cdef int64_t n_outputs
    cdef const void *scale
    cdef const void *mean
    cdef int n_axes
    cdef tuple held  # references to the arrays, which keep the pointers valid

    def __cinit__(self, np.ndarray scale not None, mean, bint is_flat):
        self.kind, self.n_outputs, self.n_axes = type_number_of(scale.dtype), scale.size, 1 if is_flat else 2
        if is_flat and self.n_outputs != 1:
            raise ValueError(f"scale has {self.n_outputs} outputs, but only one is flat.")
        self.scale = data_of(scale, "scale", self.kind, self.n_outputs)
        self.mean = data_of(mean, "mean", self.kind, self.n_outputs)
        self.held = (scale, mean)

    def __call__(self, np.ndarray scores not None):
        """Return the values of raw scores, (n_rows, n_outputs)."""
        require_axes("scores", scores, 2)
        cdef int64_t n_rows = scores.shape[0]
        cdef void *given = data_of(scores, "scores", self.kind, n_rows * self.n_outputs)
        cdef np.ndarray values = np.PyArray_EMPTY(self.n_axes, np.PyArray_DIMS(scores), self.kind, 0)
        cdef void *to = np.PyArray_DATA(values)
        if self.kind == np.NPY_FLOAT64:
            change_units(n_rows, self.n_outputs, <double *> given, <double *> self.scale, <double *> self.mean,
                         <double *> to)
        else:
            change_units(n_rows, self.n_outputs, <float *> given, <float *> self.scale, <float *> self.mean,
                         <float *> to)
        return values


cdef void find_codes(int64_t n_rows, int64_t n_outputs, const floating *scores, np.npy_intp *codes) noexcept nogil:
    cdef int64_t i, j, best
    cdef const floating *row
    for i in range(n_rows):
        row = scores + i * n_outputs
        if n_outputs == 1:
            codes[i] = row[0] > 0
            continue
        best = 0
        for j in range(1, n_outputs):
            if row[best] != row[best]:  # as in NumPy, the first NaN is the largest
                break
            if not row[j] <= row[best]:
                best = j
        codes[i] = best


def codes_of(np.ndarray scores not None):
    """Return the index of the class, (n_rows,), of each row of raw scores, (n_rows, n_outputs).

    The twin of ``ClassCoding.codes_of``.
    """
    require_axes("scores", scores, 2)
    cdef int64_t n_rows = scores.shape[0], n_outputs = scores.shape[1]
    cdef int kind = np.PyArray_TYPE(scores)
    if kind != np.NPY_FLOAT64 and kind != np.NPY_FLOAT32:
        kind = type_number_of(scores.dtype)
    require_sizes("n_outputs", n_outputs)
    cdef void *given = data_of(scores, "scores", kind, n_rows * n_outputs)
    cdef np.ndarray codes = np.PyArray_EMPTY(1, np.PyArray_DIMS(scores), np.NPY_INTP, 0)
    cdef np.npy_intp *to = <np.npy_intp *> np.PyArray_DATA(codes)
    if kind == np.NPY_FLOAT64:
        find_codes(n_rows, n_outputs, <double *> given, to)
    else:
        find_codes(n_rows, n_outputs, <float *> given, to)
    return codes


cdef class Stepper:
    """Runs a network one step at a time and updates its state in place.

    Parameters
    ----------
    kernel : Kernel
        The kernel of all layers.
    panels : list of ndarray
        Panels of each layer, from ``Kernel.pack_forward``; of two directions, those of both, one after the other.
    states : list of ndarray of shape (n_states, n_sequences, n_units)
        State of each layer, or direction; every step overwrites it.
    n_inputs : int
        Features of the network's input.
    output : OutputKernel
    output_panels : ndarray
        From ``OutputKernel.pack``.
    n_outputs : int
    pools : tuple of {"last", "mean", "max"}
        The output layer reads their results side by side; h alone if there are none.
    pooled : list of ndarray of shape (n_sequences, n_units of the last layer)
        One for each pool but "last", in their order: the sum ("mean") or maximum ("max") of h over the steps so far.
        Every step overwrites it.
    n_steps : ndarray of shape (n_sequences,), int64
        Number of steps so far; every step adds one.
    scaling : StepScaling or None, default=None
        Scalers in front of the first layer. Steps then have ``scaling.n_inputs`` values, in float32 or float64.
    n_directions : {1, 2}, default=1
        Of each layer. The second one begins at the last step, so there is :meth:`run_steps` alone, for whole sequences.

    Raises
    ------
    ValueError
        If there is no kernel of a pool, or if an array does not fit the network.
    """

    cdef CellKernels kernels
    cdef OutputKernels output_kernels
    cdef int type_number
    cdef bint is_long
    cdef int64_t n_sequences, n_inputs, n_hidden, n_pooled, n_outputs
    cdef vector[Recurrence] sizes
    cdef vector[ForwardArrays] layers
    cdef size_t n_directions, n_layers
    cdef vector[vector[char]] hidden_of_steps  # of each direction, for several steps at once
    cdef vector[vector[char]] reversed_inputs, joined  # of each layer of two directions: its input and its h
    cdef vector[int64_t] batch_sizes  # the same
    cdef const void *output_panels
    cdef int64_t *n_steps
    cdef vector[int] pools
    cdef vector[void *] pooled  # the memory of each pool; NULL for "last"
    cdef void *hidden  # the last layer's final h
    cdef void *output_input  # the same, or the pooled h
    cdef int64_t n_values, n_scalers  # values of a step before the scalers
    cdef const int64_t *columns  # of the scalers; NULL without scalers
    cdef const double *terms  # (2, n_scalers, 4, n_inputs)
    cdef void *scaled  # (n_sequences, n_inputs)
    cdef list held  # references to the arrays, which keep the pointers valid

    def __cinit__(self, *, Kernel kernel not None, list panels not None, list states not None, int64_t n_inputs,
                  OutputKernel output not None, output_panels, int64_t n_outputs, tuple pools not None,
                  list pooled not None, np.ndarray n_steps not None, scaling=None, int n_directions=1):
        require_axes("n_steps", n_steps, 1)
        require_sizes("n_inputs", n_inputs)
        require_sizes("n_outputs", n_outputs)
        self.kernels, self.output_kernels, self.type_number = kernel.kernels, output.kernels, kernel.type_number
        self.n_sequences, self.n_inputs, self.n_outputs = n_steps.shape[0], n_inputs, n_outputs
        if output.type_number != self.type_number or len(panels) != len(states) or not states:
            raise ValueError("output is of another dtype than kernel, or panels and states are not one for each layer.")
        if n_directions not in (1, 2) or len(panels) % n_directions or (n_directions == 2 and scaling is not None):
            raise ValueError(
                f"n_directions is {n_directions}: it must be 1, or 2 for an even number of panels, here {len(panels)}, "
                "without scalers."
            )
        self.n_directions, self.n_layers = n_directions, len(panels) // n_directions
        cdef np.ndarray batch_sizes = np.full(1, self.n_sequences, np.int64)
        self.held = [panels, states, output_panels, pooled, n_steps, batch_sizes]
        self.n_steps = <int64_t *> data_of(n_steps, "n_steps", np.NPY_INT64, self.n_sequences, True)
        self.n_hidden, self.hidden = n_inputs, NULL
        for depth in range(self.n_layers):
            places = slice(depth * n_directions, (depth + 1) * n_directions)
            self.add_layer(kernel, panels[places], batch_sizes, states[places])
        self.add_readout(output_panels, pools, pooled)
        self.n_values, self.n_scalers = n_inputs, 0
        self.columns = NULL
        if scaling is not None:
            self.add_scaling(scaling.n_inputs, scaling.columns, scaling.terms)
        work = sum((size.n_features + size.n_units) * size.n_units for size in self.sizes)
        self.is_long = self.n_sequences * work * kernel.n_gates > LONG_WORK

    cdef int add_layer(self, Kernel kernel, list panels, np.ndarray batch_sizes, list states) except -1:
        """Add a layer whose input is ``self.hidden``, the h of the layer below; then point it to this layer's h."""
        cdef int64_t n_hidden = 0
        cdef void *hidden = NULL
        for panels_of_direction, state in zip(panels, states):
            require_axes("state", state, 3)
            self.add_direction(kernel, panels_of_direction, batch_sizes, state)
            n_hidden += self.sizes.back().n_units
            hidden = self.layers.back().final_state
        self.reversed_inputs.push_back(vector[char]())
        self.joined.push_back(vector[char]())
        if self.n_directions == 2:
            if n_hidden != 2 * self.sizes.back().n_units:
                raise ValueError("the two directions of a layer have different numbers of units.")
            final = np.empty(self.n_sequences * n_hidden, np.float64 if kernel.is_double else np.float32)
            self.held.append(final)
            hidden = data_of(final, "final", self.type_number, final.size, True)
        self.n_hidden, self.hidden = n_hidden, hidden
        return 0

    cdef int add_direction(self, Kernel kernel, panels, np.ndarray batch_sizes, np.ndarray state) except -1:
        """Add one direction of a layer."""
        cdef int kind = self.type_number
        cdef np.ndarray like_x = np.broadcast_to(0, (self.n_sequences, self.n_hidden))  # a shape without memory
        cdef Recurrence size = kernel.sizes(batch_sizes, like_x, state)
        cdef ForwardArrays arrays
        work = np.empty(2 * size.n_sequences * size.n_units, np.float64 if kernel.is_double else np.float32)
        self.held.append(work)
        panels_size = self.kernels.forward_panels_size(size.n_features, size.n_units)
        arrays.panels = data_of(panels, "panels", kind, panels_size)
        arrays.x = self.hidden
        arrays.final_state = data_of(state, "state", kind, state.size, True)
        arrays.initial_state = arrays.final_state
        arrays.hidden = data_of(work, "work", kind, work.size, True)
        arrays.keeps_hidden, arrays.tape = False, NULL
        self.sizes.push_back(size)
        self.layers.push_back(arrays)
        self.hidden_of_steps.push_back(vector[char]())
        return 0

    cdef int add_readout(self, output_panels, tuple pools, list pooled) except -1:
        """Add the pools, and the output layer."""
        cdef int64_t size = self.n_sequences * self.n_hidden
        for pool in pools:
            require("pool", pool, POOLS)
        n_with_memory = sum(pool != "last" for pool in pools)
        if len(pooled) != n_with_memory:
            raise ValueError(f"pooled has {len(pooled)} arrays, but {n_with_memory} of the pools {pools} have a memory.")
        arrays = iter(pooled)
        for pool in pools:
            self.pools.push_back(POOLS[pool])
            array = None if pool == "last" else next(arrays)
            self.pooled.push_back(NULL if array is None else data_of(array, "pooled", self.type_number, size, True))
        self.n_pooled, self.output_input = self.n_hidden, self.hidden
        if pools and pools != ("last",):
            self.n_pooled = self.n_hidden * len(pools)
            dtype = np.float64 if self.type_number == np.NPY_FLOAT64 else np.float32
            to = np.empty((self.n_sequences, self.n_pooled), dtype)
            self.held.append(to)
            self.output_input = data_of(to, "to", self.type_number, to.size, True)
        cdef int64_t panels_size = self.output_kernels.panels_size(self.n_pooled, self.n_outputs)
        self.output_panels = data_of(output_panels, "output_panels", self.type_number, panels_size)
        return 0

    cdef int add_scaling(self, int64_t n_values, columns, terms) except -1:
        """Add scalers in front of the first layer."""
        require_axes("columns", columns, 1)
        require_axes("terms", terms, 4)
        self.n_values, self.n_scalers = n_values, terms.shape[1]
        cdef const int64_t *places = <const int64_t *> data_of(columns, "columns", np.NPY_INT64, self.n_inputs)
        if any(not 0 <= column < n_values for column in columns.flat):
            raise ValueError(f"columns has a place that is not among the {n_values} values of a step.")
        self.terms = <const double *> data_of(terms, "terms", np.NPY_FLOAT64, 8 * self.n_scalers * self.n_inputs)
        dtype = np.float64 if self.type_number == np.NPY_FLOAT64 else np.float32
        scaled = np.empty(self.n_sequences * self.n_inputs, dtype)
        self.held.append((columns, terms, scaled))
        self.scaled = data_of(scaled, "scaled", self.type_number, scaled.size, True)
        self.columns = places
        return 0

    def is_ready(self, x):
        """Whether :meth:`step` can take ``x`` without conversion: an array of the right type and shape, all finite.

        The scaled values must be finite too.
        """
        if not np.PyArray_CheckExact(x):  # a masked array is an array too, but has a mask
            return False
        cdef np.ndarray array = x
        cdef int kind = np.PyArray_TYPE(array)
        cdef int64_t size = self.n_sequences * self.n_values
        if not self.takes(kind) or not np.PyArray_ISCARRAY_RO(array):
            return False
        if array.ndim == 2:
            if array.shape[0] != self.n_sequences or array.shape[1] != self.n_values:
                return False
        elif array.ndim != 1 or self.n_sequences != 1 or array.shape[0] != self.n_values:
            return False
        cdef const void *values = np.PyArray_DATA(array)
        if not self.is_finite(kind, size, values):
            return False
        if self.columns == NULL:
            return True
        self.scale(kind, values)
        return self.is_finite(self.type_number, self.n_sequences * self.n_inputs, self.scaled)

    cdef bint takes(self, int kind) noexcept nogil:
        """Whether steps may have this type: scalers take both, and convert the result."""
        return kind == self.type_number or (self.columns != NULL and (kind == np.NPY_FLOAT32 or kind == np.NPY_FLOAT64))

    cdef bint is_finite(self, int kind, int64_t size, const void *values) noexcept nogil:
        if kind == np.NPY_FLOAT64:
            return are_finite(size, <const double *> values)
        return are_finite(size, <const float *> values)

    cdef void scale(self, int kind, const void *x) noexcept nogil:
        """Write the scaled values of a step of type ``kind``, in the network's type."""
        cdef int64_t n = self.n_sequences
        cdef const double *terms = self.terms
        if kind == np.NPY_FLOAT32:
            terms += 4 * self.n_scalers * self.n_inputs
        if kind == np.NPY_FLOAT64 and self.type_number == np.NPY_FLOAT64:
            scale_columns(n, self.n_values, self.n_inputs, self.n_scalers, self.columns, terms,
                          <const double *> x, <double *> self.scaled)
        elif kind == np.NPY_FLOAT64:
            scale_columns(n, self.n_values, self.n_inputs, self.n_scalers, self.columns, terms,
                          <const double *> x, <float *> self.scaled)
        elif self.type_number == np.NPY_FLOAT64:
            scale_columns(n, self.n_values, self.n_inputs, self.n_scalers, self.columns, terms,
                          <const float *> x, <double *> self.scaled)
        else:
            scale_columns(n, self.n_values, self.n_inputs, self.n_scalers, self.columns, terms,
                          <const float *> x, <float *> self.scaled)

    def step(self, x):
        """Continue every sequence by one step.

        Parameters
        ----------
        x : ndarray of shape (n_sequences, n_inputs), or (n_sequences, scaling.n_inputs)

        Returns
        -------
        ndarray of shape (n_sequences, n_outputs)
            Raw scores after this step.
        """
        if self.n_directions == 2:
            raise ValueError("single steps are for networks of one direction: call run_steps with whole sequences.")
        cdef int kind = self.type_number
        if self.columns != NULL and isinstance(x, np.ndarray) and self.takes(np.PyArray_TYPE(<np.ndarray> x)):
            kind = np.PyArray_TYPE(<np.ndarray> x)
        cdef const void *inputs = data_of(x, "x", kind, self.n_sequences * self.n_values)
        if self.columns != NULL:
            self.scale(kind, inputs)
            inputs = self.scaled
        cdef np.npy_intp[2] shape = [self.n_sequences, self.n_outputs]
        cdef np.ndarray scores = np.PyArray_EMPTY(2, shape, self.type_number, 0)
        cdef void *to = np.PyArray_DATA(scores)
        if self.is_long:
            with nogil:
                self.run(inputs, to)
        else:
            self.run(inputs, to)
        return scores

    def run_steps(self, x, int64_t n_steps, bint of_each):
        """Continue every sequence by several steps, with the bits of as many calls of :meth:`step`; without scalers.

        Parameters
        ----------
        x : ndarray of shape (n_steps * n_sequences, n_inputs)
            The rows of the first step of all sequences, then those of the second step, and so on.
        n_steps : int
            At least 1.
        of_each : bool
            Whether to return the scores after every step, without pools; otherwise those after the last.

        Returns
        -------
        ndarray of shape (n_sequences, n_outputs), or (n_steps * n_sequences, n_outputs)
            Raw scores.
        """
        require_sizes("n_steps", n_steps)
        if self.columns != NULL or (of_each and self.pools.size()):
            raise ValueError("several steps at once are for steppers without scalers; of_each is for no pools.")
        cdef int64_t n_rows = n_steps * self.n_sequences, item_size = 8 if self.type_number == np.NPY_FLOAT64 else 4
        cdef const void *inputs = data_of(x, "x", self.type_number, n_rows * self.n_inputs)
        cdef np.npy_intp[2] shape = [n_rows if of_each else self.n_sequences, self.n_outputs]
        cdef np.ndarray scores = np.PyArray_EMPTY(2, shape, self.type_number, 0)
        cdef void *to = np.PyArray_DATA(scores)
        self.batch_sizes.assign(n_steps, self.n_sequences)
        self.take_memory(n_rows, item_size, of_each)
        with nogil:
            self.run_layers(inputs, n_steps, of_each, to)
        return scores

    cdef int take_memory(self, int64_t n_rows, int64_t item_size, bint of_each) except -1:
        """Take all memory for rows of several steps, before the first change of a state."""
        cdef size_t depth, place
        for place in range(self.layers.size()):
            depth = place // self.n_directions
            if self.n_directions == 2:
                self.reversed_inputs[depth].resize(n_rows * self.sizes[place].n_features * item_size + ALIGNMENT)
            if self.keeps_hidden(depth, of_each):
                n_values = (self.n_sequences + n_rows) * self.sizes[place].n_units
                self.hidden_of_steps[place].resize(n_values * item_size + ALIGNMENT)
                if self.n_directions == 2:
                    self.joined[depth].resize(2 * n_rows * self.sizes[place].n_units * item_size + ALIGNMENT)
        return 0

    cdef bint keeps_hidden(self, size_t depth, bint of_each) noexcept nogil:
        """Whether a layer's h after every one of several steps is needed."""
        return of_each or depth + 1 < self.n_layers or self.output_input != self.hidden

    cdef void run_layers(self, const void *x, int64_t n_steps, bint of_each, void *scores) noexcept nogil:
        """Run layer after layer, each over all steps."""
        cdef size_t depth
        cdef int64_t t, item_size = 8 if self.type_number == np.NPY_FLOAT64 else 4
        cdef const char *hidden = <const char *> x
        for depth in range(self.n_layers):
            hidden = self.run_layer(depth, hidden, n_steps, item_size, self.keeps_hidden(depth, of_each))
        if self.n_directions == 2:
            self.join_final(item_size)
        if self.output_input == self.hidden:
            self.count_steps(n_steps)
        else:
            for t in range(n_steps):
                self.count_steps(1)
                self.pool_step(hidden + t * self.n_sequences * self.n_hidden * item_size)
        if of_each:
            self.output_kernels.run(n_steps * self.n_sequences, self.n_hidden, self.n_outputs, self.output_panels,
                                    hidden, scores)
        else:
            self.score(scores)

    cdef const char *run_layer(self, size_t depth, const char *x, int64_t n_steps, int64_t item_size,
                               bint keeps_hidden) noexcept nogil:
        """Run all directions of a layer; return the address of its h after every step, if they are kept."""
        cdef size_t k, place = depth * self.n_directions
        cdef Recurrence size
        cdef ForwardArrays arrays
        for k in range(self.n_directions):
            size, arrays = self.sizes[place + k], self.layers[place + k]
            size.n_steps, size.batch_sizes = n_steps, self.batch_sizes.data()
            arrays.x, arrays.keeps_hidden = x, keeps_hidden
            if k == 1:
                arrays.x = self.in_reverse(depth, x, n_steps, self.n_sequences * size.n_features * item_size)
            if keeps_hidden:
                arrays.hidden = aligned(self.hidden_of_steps[place + k].data())
            self.kernels.forward(size, arrays)
        if self.n_directions == 2 and keeps_hidden:
            return self.side_by_side(depth, n_steps, size.n_units * item_size)
        return <const char *> arrays.hidden + self.n_sequences * size.n_units * item_size  # after the initial h

    cdef const char *in_reverse(self, size_t depth, const char *x, int64_t n_steps, int64_t n_bytes) noexcept nogil:
        """Return a copy of the steps, of ``n_bytes`` each, from the last one to the first."""
        cdef int64_t t
        cdef char *to = aligned(self.reversed_inputs[depth].data())
        for t in range(n_steps):
            memcpy(to + t * n_bytes, x + (n_steps - 1 - t) * n_bytes, n_bytes)
        return to

    cdef const char *side_by_side(self, size_t depth, int64_t n_steps, int64_t n_bytes) noexcept nogil:
        """Return h of both directions after every step, in rows of twice ``n_bytes``."""
        cdef int64_t t, i, n = self.n_sequences
        cdef char *to = aligned(self.joined[depth].data())
        cdef const char *forward = aligned(self.hidden_of_steps[2 * depth].data()) + n * n_bytes
        cdef const char *backward = aligned(self.hidden_of_steps[2 * depth + 1].data()) + n * n_bytes
        for t in range(n_steps):
            for i in range(n):
                memcpy(to + 2 * (t * n + i) * n_bytes, forward + (t * n + i) * n_bytes, n_bytes)
                memcpy(to + (2 * (t * n + i) + 1) * n_bytes, backward + ((n_steps - 1 - t) * n + i) * n_bytes, n_bytes)
        return to

    cdef void join_final(self, int64_t item_size) noexcept nogil:
        """Write the final h of both directions of the last layer side by side."""
        cdef size_t k
        cdef int64_t i, n_bytes = self.sizes.back().n_units * item_size
        cdef const char *final
        for k in range(2):
            final = <const char *> self.layers[2 * (self.n_layers - 1) + k].final_state
            for i in range(self.n_sequences):
                memcpy(<char *> self.hidden + (2 * i + <int64_t> k) * n_bytes, final + i * n_bytes, n_bytes)

    cdef void run(self, const void *x, void *scores) noexcept nogil:
        """Run all layers over one step."""
        cdef size_t depth
        self.layers[0].x = x
        for depth in range(self.layers.size()):
            self.kernels.forward(self.sizes[depth], self.layers[depth])
        self.count_steps(1)
        if self.output_input != self.hidden:
            self.pool_step(self.hidden)
        self.score(scores)

    cdef void count_steps(self, int64_t n_steps) noexcept nogil:
        cdef int64_t i
        for i in range(self.n_sequences):
            self.n_steps[i] += n_steps

    cdef void score(self, void *scores) noexcept nogil:
        self.output_kernels.run(self.n_sequences, self.n_pooled, self.n_outputs, self.output_panels, self.output_input,
                                scores)

    cdef void pool_step(self, const void *h) noexcept nogil:
        if self.type_number == np.NPY_FLOAT64:
            self.pool[double](<const double *> h)
        else:
            self.pool[float](<const float *> h)

    cdef void pool(self, const floating *h) noexcept nogil:
        cdef size_t p
        cdef floating *to
        cdef floating *running
        for p in range(self.pools.size()):
            to, running = <floating *> self.output_input + p * self.n_hidden, <floating *> self.pooled[p]
            if self.pools[p] == MEAN:
                add_to_mean(self.n_sequences, self.n_hidden, self.n_pooled, h, self.n_steps, running, to)
            elif self.pools[p] == MAX:
                add_to_maximum(self.n_sequences, self.n_hidden, self.n_pooled, h, running, to)
            else:
                copy_last(self.n_sequences, self.n_hidden, self.n_pooled, <const floating *> self.hidden, to)
