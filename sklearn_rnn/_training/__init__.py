"""Training: epochs and batches, backpropagation through time, losses, optimizers, records."""
