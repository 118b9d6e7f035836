// The kernels with weights in 8 bits for one instruction set. setup.py compiles this file once for each level, and once
// for level v4 with the VNNI instructions; LEVEL is the name of the level's table.
#include "cells.hpp"
#include "int8.hpp"

namespace {

template <class Cell>
constexpr Int8CellKernels int8_kernels_of() {
    return {int8_panels_size<Cell>, int8_work_size<Cell>, pack_int8<Cell>, int8_forward<Cell>};
}

template <class real>
constexpr Int8CellKernels INT8_CELLS[] = {FOR_CELLS(int8_kernels_of, real)};

}  // namespace

extern const Int8Kernels LEVEL;
const Int8Kernels LEVEL = {{INT8_CELLS<float>, INT8_CELLS<double>}};
