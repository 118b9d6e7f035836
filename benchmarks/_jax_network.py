"""The JAX network of the benchmarks: lax.scan under jit; one product multiplies the inputs of all steps before it.

The equations, the order of the gates and the GRU's reset-after are those of torch. An unrolled scan (5 steps) was not
faster, and took longer to compile.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

N_GATES = {"rnn": 1, "lstm": 4, "gru": 3}
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def start_values(cell, n_features, n_units):
    """Return the parameters, uniform as torch draws them."""
    random_state, limit, n_columns = np.random.RandomState(0), n_units**-0.5, N_GATES[cell] * n_units
    shapes = {
        "input": (n_features, n_columns),
        "recurrent": (n_units, n_columns),
        "bias": (n_columns,),
        "output": (n_units, 1),
        "output_bias": (1,),
    }
    if cell == "gru":
        shapes["recurrent_bias"] = (n_units,)
    return {name: random_state.uniform(-limit, limit, shape).astype(np.float32) for name, shape in shapes.items()}


def rnn_step(parameters, state, a):
    """h = tanh(a + h U)."""
    (h,) = state
    return (jnp.tanh(a + h @ parameters["recurrent"]),)


def lstm_step(parameters, state, a):
    """c = f c + i g, h = o tanh(c)."""
    h, c = state
    i, f, g, o = jnp.split(a + h @ parameters["recurrent"], 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru_step(parameters, state, a):
    """h = (1 - z) n + z h."""
    (h,) = state
    a_r, a_z, a_n = jnp.split(a, 3, axis=1)
    u_r, u_z, u_n = jnp.split(h @ parameters["recurrent"], 3, axis=1)
    r, z = jax.nn.sigmoid(a_r + u_r), jax.nn.sigmoid(a_z + u_z)
    n = jnp.tanh(a_n + r * (u_n + parameters["recurrent_bias"]))
    return (n + z * (h - n),)


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}


def scores(cell, parameters, x, mask):
    """Raw scores, (n_sequences, 1), of x (n_steps, n_sequences, n_features).

    If the sequences are ragged, ``mask`` (n_steps, n_sequences, 1) is true at their steps and false at padding.
    """

    def step(state, inputs):
        a, is_step = inputs
        new = STEPS[cell](parameters, state, a)
        if is_step is not None:
            new = tuple(jnp.where(is_step, after, before) for after, before in zip(new, state))
        return new, None

    zeros = jnp.zeros((x.shape[1], parameters["recurrent"].shape[0]), x.dtype)
    state = (zeros, zeros) if cell == "lstm" else (zeros,)
    state, _ = jax.lax.scan(step, state, (x @ parameters["input"] + parameters["bias"], mask))
    return state[0] @ parameters["output"] + parameters["output_bias"]


predict = partial(jax.jit, static_argnums=0)(scores)


def start_training(cell, n_features, n_units):
    """Return (parameters, first moments, second moments, number of updates) on the device."""
    parameters = jax.tree.map(jnp.asarray, start_values(cell, n_features, n_units))
    first, second = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
    return parameters, first, second, jnp.zeros((), jnp.int32)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_step(cell, training, x, mask, y):
    """One update: gradient of half the mean squared error, clipped to norm 1, Adam at 0.001."""
    parameters, first, second, n_updates = training
    loss, gradient = jax.value_and_grad(lambda p: 0.5 * jnp.mean((scores(cell, p, x, mask) - y) ** 2))(parameters)
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradient)))
    gradient = jax.tree.map(lambda g: g * jnp.minimum(1.0, 1.0 / (norm + 1e-6)), gradient)
    n_updates += 1
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, second, gradient)
    rate, correction = 1e-3 / (1 - BETA_1**n_updates), 1 - BETA_2**n_updates
    parameters = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v / correction) + EPSILON), parameters, first, second
    )
    return (parameters, first, second, n_updates), loss
