"""Every accepted form of X and y, read into sequences and targets; batches packed from them."""
