"""Engines run a network's arithmetic: in NumPy, or in compiled kernels where there are any.

Attributes
----------
serving : Engine
    The engine of new and of unpickled networks, and of Adam's updates. It is chosen here and nowhere else: NumPy where
    no kernels were compiled, or where the environment variable ``SKLEARN_RNN_KERNEL`` asks for it.
"""

from sklearn_rnn._network import kernels
from sklearn_rnn._network.engines.compiled_engine import CompiledEngine
from sklearn_rnn._network.engines.engine import Engine, Lookup, OutputLayer, Recurrence, RunningArrays, Stepper
from sklearn_rnn._network.engines.numpy_engine import NumpyEngine

__all__ = [
    "CompiledEngine",
    "Engine",
    "Lookup",
    "NumpyEngine",
    "OutputLayer",
    "Recurrence",
    "RunningArrays",
    "Stepper",
    "serving",
]

serving: Engine = NumpyEngine() if kernels.name == "numpy" else CompiledEngine()


def serving_engine() -> Engine:
    """Return the engine that serves now: every engine is unpickled as this one."""
    return serving
