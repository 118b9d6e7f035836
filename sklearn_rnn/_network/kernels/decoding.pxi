# A part of _kernels.pyx: from raw scores to predictions.

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
