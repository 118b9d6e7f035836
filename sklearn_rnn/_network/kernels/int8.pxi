# A part of _kernels.pyx: recurrences with weights in 8 bits.

cdef int64_t HEADER = 8  # elements of panels: whether the input weights have scales, n_features, n_units, and zeros


cdef class Int8Kernel(Kernel):
    """The forward pass of one cell's recurrence with weights in 8 bits, without a tape.

    Parameters
    ----------
    level : {"generic", "v2", "v3", "v4", "v4_vnni"}
    cell, activation, dtype
        As for :class:`Kernel`.
    """

    cdef Int8CellKernels int8

    def __cinit__(self, str level, str cell, str activation, dtype):
        self.int8 = int8_kernels_for(level.encode()).cells[self.is_double][list(CELLS).index(cell)]
        self.kernels.forward = self.int8.forward

    def forward_panels_size(self, n_features, n_units, bint has_input_scales=True):
        """Number of elements, int64, of the panels that :meth:`forward` reads."""
        return self.int8.panels_size(n_features, n_units, has_input_scales)

    def work_size(self, n_sequences, n_features, n_units):
        """Number of elements, int64, of the work array of :meth:`forward`."""
        return self.int8.work_size(n_sequences, n_features, n_units)

    def pack_forward(self, np.ndarray input_weights not None, np.ndarray recurrent not None, bias, recurrent_bias,
                     panels, input_scales=None, recurrent_scales=None):
        """Write the weights into ``panels``, in the order in which :meth:`forward` reads them.

        Parameters
        ----------
        input_weights : ndarray of shape (n_features, n_gates * n_units)
            int8; without ``input_scales``, of the kernel's dtype.
        recurrent : ndarray of shape (n_units, n_gates * n_units), int8
        bias : ndarray of shape (n_gates * n_units,)
        recurrent_bias : ndarray of shape (n_units,), or None
            Ignored if the cell has no recurrent bias.
        panels : ndarray of shape (forward_panels_size,), int64
            Overwritten.
        input_scales : ndarray of shape (n_gates * n_units,), or None
        recurrent_scales : ndarray of shape (n_gates * n_units,)
        """
        require_axes("input", input_weights, 2)
        require_axes("recurrent", recurrent, 2)
        cdef Int8Weights weights
        weights.n_features, weights.n_units = input_weights.shape[0], recurrent.shape[0]
        require_sizes("n_units", weights.n_units)
        cdef int64_t n_columns = self.n_gates * weights.n_units
        cdef int kind = self.type_number
        cdef bint has_input_scales = input_scales is not None
        weights.input = data_of(input_weights, "input", np.NPY_INT8 if has_input_scales else kind,
                                weights.n_features * n_columns)
        weights.input_scales = NULL
        if has_input_scales:
            weights.input_scales = data_of(input_scales, "input_scales", kind, n_columns)
        weights.recurrent = <const int8_t *> data_of(recurrent, "recurrent", np.NPY_INT8, weights.n_units * n_columns)
        weights.recurrent_scales = data_of(recurrent_scales, "recurrent_scales", kind, n_columns)
        weights.bias = data_of(bias, "bias", kind, n_columns)
        weights.recurrent_bias = NULL
        if self.has_recurrent_bias:
            weights.recurrent_bias = data_of(recurrent_bias, "recurrent_bias", kind, weights.n_units)
        cdef int64_t panels_size = self.int8.panels_size(weights.n_features, weights.n_units, has_input_scales)
        cdef void *to = data_of(panels, "panels", np.NPY_INT64, panels_size, True)
        with nogil:
            self.int8.pack(weights, to)

    def forward(self, panels, np.ndarray batch_sizes not None, np.ndarray x not None,
                np.ndarray initial_state not None, final_state, hidden, tape=None, bint keeps_hidden=True, work=None,
                int n_threads=1, bint is_reverse=False):
        """As of a :class:`Kernel`, but without a tape, and in one thread."""
        if tape is not None:
            raise ValueError("tape is given, but weights in 8 bits have no backward pass that could read it.")
        super().forward(panels, batch_sizes, x, initial_state, final_state, hidden, None, keeps_hidden, work,
                        is_reverse=is_reverse)

    cdef object read_panels(self, ForwardArrays &arrays, Recurrence size, panels, work):
        """Set the panels, which must be of these sizes, and the work array."""
        cdef int64_t n_elements = panels.size if isinstance(panels, np.ndarray) else 0
        cdef const int64_t *header = <const int64_t *> data_of(panels, "panels", np.NPY_INT64, max(n_elements, HEADER))
        if header[1] != size.n_features or header[2] != size.n_units:
            raise ValueError(f"panels are of {header[1]} features and {header[2]} units: the kernel needs those of "
                             f"{size.n_features} and {size.n_units}.")
        panels_size = self.int8.panels_size(size.n_features, size.n_units, header[0] != 0)
        arrays.panels = data_of(panels, "panels", np.NPY_INT64, panels_size)
        work_size = self.int8.work_size(size.n_sequences, size.n_features, size.n_units)
        if work is None:
            work = np.empty(work_size, np.int64)
        arrays.work = data_of(work, "work", np.NPY_INT64, work_size, True)
        return work

    def backward(self, *arguments, **named):
        """Raise an error: gradients are for weights of the kernel's dtype."""
        raise ValueError("weights in 8 bits have no backward pass: use a Kernel.")
