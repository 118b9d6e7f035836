# A part of _kernels.pyx: networks that continue one step at a time, for prediction streams.

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


cdef class Stepper:
    """Runs a network one step at a time and updates its state in place.

    Parameters
    ----------
    kernel : Kernel
        The kernel of all layers.
    panels : list of ndarray
        Panels of each layer, from the kernel's ``pack_forward``; of two directions, those of both, one after the other.
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
    cdef vector[vector[char]] hidden_of_steps  # of each layer, for several steps at once
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
        self.hidden_of_steps.push_back(vector[char]())
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
        self.held.append(kernel.read_panels(arrays, size, panels, None))
        arrays.x = self.hidden
        arrays.final_state = data_of(state, "state", kind, state.size, True)
        arrays.initial_state = arrays.final_state
        arrays.hidden = data_of(work, "work", kind, work.size, True)
        arrays.hidden_stride = size.n_units
        arrays.keeps_hidden, arrays.tape = False, NULL
        self.sizes.push_back(size)
        self.layers.push_back(arrays)
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

    def n_ready_steps(self, X):
        """Return how many steps of a single sequence :meth:`run_steps` can take without conversion; 0 if it cannot.

        It can for an array (1, n_steps, n_inputs) of the network's type, all finite.
        """
        if not np.PyArray_CheckExact(X) or self.n_sequences != 1 or self.columns != NULL:
            return 0
        cdef np.ndarray array = X
        if np.PyArray_TYPE(array) != self.type_number or not np.PyArray_ISCARRAY_RO(array) or array.ndim != 3:
            return 0
        cdef int64_t n_steps = array.shape[1]
        if array.shape[0] != 1 or array.shape[2] != self.n_inputs:
            return 0
        return n_steps if self.is_finite(self.type_number, n_steps * self.n_inputs, np.PyArray_DATA(array)) else 0

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
        cdef size_t depth
        for depth in range(self.n_layers):
            if self.keeps_hidden(depth, of_each):  # with the initial h of each direction
                n_values = (n_rows + self.n_directions * self.n_sequences) * self.n_hidden_of(depth)
                self.hidden_of_steps[depth].resize(n_values * item_size + ALIGNMENT)
        return 0

    cdef int64_t n_hidden_of(self, size_t depth) noexcept nogil:
        """Return the number of units of all directions of a layer."""
        return self.n_directions * self.sizes[depth * self.n_directions].n_units

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
        cdef int64_t n_hidden = self.n_hidden_of(depth), n_initial = self.n_sequences * n_hidden
        cdef char *hidden = aligned(self.hidden_of_steps[depth].data())
        for k in range(self.n_directions):
            size, arrays = self.sizes[place + k], self.layers[place + k]
            size.n_steps, size.batch_sizes, size.is_reverse = n_steps, self.batch_sizes.data(), k == 1
            arrays.x, arrays.keeps_hidden = x, keeps_hidden
            if keeps_hidden:  # side by side
                arrays.hidden = hidden + <int64_t> k * (n_initial + size.n_units) * item_size
                arrays.hidden_stride = n_hidden
            self.kernels.forward(size, arrays)
        return hidden + n_initial * item_size

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
