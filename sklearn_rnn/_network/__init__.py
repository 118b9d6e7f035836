"""The network: layers of recurrent cells, readouts, parameters, and the engines that run them."""
