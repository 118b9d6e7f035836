"""Memory and time of backpropagation through long sequences, with and without a budget, and with torch's checkpoints.

    python benchmarks/memory.py [--cells rnn lstm gru] [--steps 10000] [--rounds 5] [--json FILE]

16 sequences, 8 features, 64 units, float32, one thread, readout "last". A pass is the forward and backward pass of a
batch that is already packed. Memory is the measured peak minus the memory before the pass, each in a new process:
tapes, states, work arrays and gradients. Times are medians over rounds in one process, in which all contenders take
turns. Torch runs its module over chunks of steps, each through torch.utils.checkpoint. Linux only.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from _measure import MEGABYTE, machine, peak_bytes, print_machine, reset_peak, run_fresh, write_json

N_SEQUENCES, N_FEATURES, N_UNITS = 16, 8, 64
SHARES = [1, 1 / 8, 1 / 20, 1 / 50]  # budgets, as shares of the memory without a budget; 0 is the smallest budget
N_CHUNKS = [1, 10, 100, 400]  # of torch
GOALS = {1 / 8: 1.4, 1 / 50: 2.0}  # largest ratio of the time to that without a budget


def our_pass(cell, n_steps, share):
    """Return a function that runs forward and backward within a share of the full memory, and the planned bytes."""
    from _our_network import make_network, random_sequences

    from sklearn_rnn._data.batches import Dataset
    from sklearn_rnn._training.bptt import Backpropagation
    from sklearn_rnn._training.dropout import NO_MASKS
    from sklearn_rnn._training.losses import SquaredError
    from sklearn_rnn._training.memory.model import BlockMemory
    from sklearn_rnn._training.truncation.fixed import FixedTruncation

    network = make_network(cell, N_FEATURES, N_UNITS, np.float32)
    sequences = random_sequences(np.full(N_SEQUENCES, n_steps), N_FEATURES, np.float32)
    ones = np.ones(N_SEQUENCES, np.float32)
    batch = Dataset(sequences, ones[:, None], ones).pack(np.arange(N_SEQUENCES))
    windows = FixedTruncation().draw(n_steps, None)
    needs = BlockMemory(network, batch.packing.lengths, windows, has_masks=False)
    budget = None if share == 1 else max(int(share * needs.full), needs.smallest)
    planned, _ = needs.plan(budget)
    backpropagation = Backpropagation(network, network.prepare(), SquaredError(), budget)
    return lambda: next(backpropagation.updates(batch, windows, NO_MASKS)), planned


def torch_pass(cell, n_steps, n_chunks):
    """Return a function that runs torch's module forward and backward, in chunks that store only their borders."""
    import torch
    from torch.utils.checkpoint import checkpoint

    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](N_FEATURES, N_UNITS)
    readout = torch.nn.Linear(N_UNITS, 1)
    chunks = torch.randn(n_steps, N_SEQUENCES, N_FEATURES).chunk(n_chunks)

    def final_state(chunk, *state):
        state = module(chunk, (state if cell == "lstm" else state[0]) if state else None)[1]
        return state if cell == "lstm" else (state,)

    def run():
        state = ()
        for chunk in chunks:
            if n_chunks == 1:
                state = final_state(chunk, *state)
            else:
                state = checkpoint(final_state, chunk, *state, use_reentrant=False)
        loss = (readout(state[0][-1]) - 1).square().mean()
        loss.backward()

    return run


def measure_peak(make_pass, cell, n_steps, setting):
    """Return the peak of one pass in bytes, minus the memory before it; runs in a new process."""
    warm_up = make_pass(cell, 50, setting)
    (warm_up[0] if isinstance(warm_up, tuple) else warm_up)()
    function = make_pass(cell, n_steps, setting)
    function = function[0] if isinstance(function, tuple) else function
    held_before = reset_peak()
    function()
    return peak_bytes() - held_before


def measure_times(cell, n_steps, n_rounds):
    """Return the median seconds of all passes, which take turns; runs in a new process."""
    functions = {("ours", share): our_pass(cell, n_steps, share)[0] for share in [*SHARES, 0]}
    functions |= {("torch", n): torch_pass(cell, n_steps, n) for n in N_CHUNKS}
    seconds = {name: [] for name in functions}
    for round_ in range(n_rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if round_ > 0:  # the first round allocates memory
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def measure(cell, n_steps, n_rounds):
    """Measure a cell, print its rows and return them."""
    seconds = run_fresh(measure_times, cell, n_steps, n_rounds)
    rows = []
    for share in [*SHARES, 0]:
        planned = our_pass(cell, n_steps, share)[1]
        rows.append(["ours", share, planned, run_fresh(measure_peak, our_pass, cell, n_steps, share)])
    for n_chunks in N_CHUNKS:
        rows.append(["torch", n_chunks, None, run_fresh(measure_peak, torch_pass, cell, n_steps, n_chunks)])
    results = []
    print(f"\n{cell}: {N_SEQUENCES} sequences of {n_steps} steps, {N_UNITS} units")
    print(f"{'':28}{'planned MB':>12}{'peak MB':>10}{'share':>10}{'seconds':>10}{'times as long':>15}")
    for library, setting, planned, peak in rows:
        first = next(row for row in rows if row[0] == library)
        result = {
            "cell": cell,
            "library": library,
            "setting": setting,
            "planned_bytes": planned,
            "peak_bytes": peak,
            "share": peak / first[3],
            "seconds": seconds[library, setting],
            "ratio": seconds[library, setting] / seconds[library, first[1]],
        }
        results.append(result)
        megabytes = "" if planned is None else f"{planned / MEGABYTE:.1f}"
        share = f"1/{1 / result['share']:.1f}"
        print(
            f"{describe(library, setting):28}{megabytes:>12}{peak / MEGABYTE:10.1f}{share:>10}"
            f"{result['seconds']:10.3f}{result['ratio']:15.2f}",
            flush=True,
        )
    return results


def describe(library, setting):
    """Return the label of a row."""
    if library == "torch":
        return "torch" if setting == 1 else f"torch, {setting} checkpoints"
    if setting == 0:
        return "ours, the smallest budget"
    return "ours, no budget" if setting == 1 else f"ours, budget 1/{1 / setting:.0f}"


def print_goals(results):
    """Print the figures of every goal."""
    print("\ngoals: an eighth of the memory in 1.4 times the time, a fiftieth in 2 times, at most (measured peaks)")
    for share, most in GOALS.items():
        for result in results:
            if result["library"] == "ours" and result["setting"] == share:
                print(
                    f"{result['cell']:5} budget 1/{1 / share:.0f}: peak 1/{1 / result['share']:.1f}, "
                    f"{result['ratio']:.2f} times as long (at most {most})"
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru"], choices=["rnn", "lstm", "gru"])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="file for all figures")
    arguments = parser.parse_args()
    description = machine("numpy", "torch")
    print_machine(description)
    results = [row for cell in arguments.cells for row in measure(cell, arguments.steps, arguments.rounds)]
    print_goals(results)
    write_json(arguments.json, {"machine": description, "steps": arguments.steps, "results": results})


if __name__ == "__main__":
    main()
