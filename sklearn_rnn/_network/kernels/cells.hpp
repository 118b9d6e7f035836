// All cells that have kernels. Add a new cell here.
#pragma once
#include "gru.hpp"
#include "lstm.hpp"
#include "rnn.hpp"

// function<Cell>() for each cell, in the order of all tables.
#define FOR_CELLS(function, real) function<SimpleCell<real>>(), function<LSTMCell<real>>(), function<GRUCell<real>>()
