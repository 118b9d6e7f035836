"""Write the figures of the other benchmarks into the tables of both guides and of the README.

python benchmarks/peers.py --json benchmarks/results/peers.json --plot docs/images/peers.png
python benchmarks/end_to_end.py --json benchmarks/results/end_to_end.json
python benchmarks/default_fits.py FOLDER --json benchmarks/results/default_fits.json
python benchmarks/scaling.py --json benchmarks/results/scaling.json --plot docs/images/scaling.png
python benchmarks/memory.py --json benchmarks/results/memory.json
python benchmarks/stream.py --json benchmarks/results/stream.json
python benchmarks/stream_latency.py --json benchmarks/results/stream_latency.json
python benchmarks/latency.py --json benchmarks/results/latency.json
python benchmarks/reduced_precision.py --json benchmarks/results/reduced_precision.json
python benchmarks/small_threads.py --json benchmarks/results/small_threads.json
python benchmarks/dask_figures.py --ucr FOLDER --json benchmarks/results/dask.json --plot docs/images/dask.png
python benchmarks/tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, geometric_mean, mean, stdev

HERE = Path(__file__).parent
GUIDE = HERE.parent / "docs" / "user_guide"
DEVELOPER = HERE.parent / "docs" / "developer"
README = HERE.parent / "README.rst"
BEGIN = ".. benchmarks/tables.py writes this section: begin.\n"
END = ".. benchmarks/tables.py writes this section: end.\n"
MEGABYTE = 2**20
CELLS = ("rnn", "lstm", "gru")
LIBRARIES = {"torch": "PyTorch", "jax": "JAX", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def read(name):
    return json.loads((HERE / "results" / f"{name}.json").read_text())


def table(title, header, rows):
    """Return a reStructuredText table."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {'* -' if k == 0 else '  -'} {value}" for k, value in enumerate(row)]
    return "\n".join(lines) + "\n\n"


def describe(machine):
    """Return a sentence on the machine and the versions of a measurement."""
    names = ("torch", "jax", "skorch", "onnxruntime", "openvino", "numpy")
    versions = ", ".join(f"{name} {machine[name]}" for name in names if name in machine)
    processor = f"{machine['processors']} cores of an {machine['processor']}"
    return f"Measured on {processor} (kernels {machine['kernels']}), {versions}."


def ratio(row, library):
    return f"{row['ratios'][library]:.2f}" if library in row["ratios"] else "–"


# ---- The user guide ------------------------------------------------------------------------------------


def table_of_peers(peers, what):
    """Return the table of train steps, predictions or single sequences, in both dtypes."""
    title = {"train": "A train step", "predict": "A prediction", "latency": "One sequence, the whole estimator"}[what]
    chosen = [row for row in peers["rows"] if row["what"] == what]
    libraries = [library for library in LIBRARIES if any(library in row["ratios"] for row in chosen)]
    header = [
        "cell",
        "sequences × steps × features × units",
        "dtype",
        "ms",
        *(f"{LIBRARIES[library]} / ours" for library in libraries),
        "of the peak",
    ]
    rows = [
        [
            row["cell"],
            shape_of(row),
            row["dtype"],
            f"{row['ms']['ours']:.2f}",
            *(ratio(row, library) for library in libraries),
            f"{row['share']:.0%}",
        ]
        for row in chosen
    ]
    return table(title, header, rows)


def shape_of(row):
    return row["name"].replace(" x ", " × ")


def table_of_fits(fits):
    """Return the table of whole fits."""
    header = ["data, cell", "package", "fit, s", "/ ours", "memory, MB", "/ ours", "test accuracy"]
    rows = []
    for problem, contenders in fits.items():
        ours = contenders["sklearn_rnn"]
        for name, figures in contenders.items():
            seconds, memory = figures["fit_seconds"], figures["bytes_with_import"]
            rows.append(
                [
                    problem,
                    name,
                    f"{seconds:.2f}",
                    f"{seconds / ours['fit_seconds']:.1f}",
                    f"{memory / MEGABYTE:.0f}",
                    f"{memory / ours['bytes_with_import']:.1f}",
                    f"{figures['score']:.3f}",
                ]
            )
    return table("30 epochs, batches of 32, 64 units, Adam", header, rows)


def table_of_exponents(scaling):
    """Return the table of the exponents of time and memory."""
    rows = [
        [axis["name"], axis["title"], f"{axis['exponent_of_time']:.2f}", f"{axis['exponent_of_memory']:.2f}"]
        for axis in scaling["axes"]
    ]
    header = ["quantity", "measured on", "exponent of time", "exponent of memory"]
    return table("Growth: an exponent of 1 is proportional growth", header, rows)


def guide(peers, end_to_end, scaling):
    """Return the tables of the chapter on speed."""
    imports = ", ".join(f"{name} {1e3 * seconds:.0f} ms" for name, seconds in end_to_end["import_seconds"].items())
    return f"""..
   Written by benchmarks/tables.py.

Against other libraries
-----------------------

{describe(peers["machine"])}
One layer, readout of the last state. Each package uses 1 or 2 threads, whichever is faster. A train step is a forward
pass, a backward pass, clipping and Adam. ONNX Runtime and OpenVINO run the models of
:func:`~sklearn_rnn.export.to_onnx`. The last column is the speed of the matrix products alone, as a share of the
peak that NumPy reaches on matrices of 2048 × 2048 in the same run. Command: ``python benchmarks/peers.py``.

.. image:: /images/peers.png
   :alt: Time of the best other library divided by the time of this package, for every row of the tables below

{table_of_peers(peers, "train")}{table_of_peers(peers, "predict")}{table_of_peers(peers, "latency")}A whole fit
-----------

{describe(end_to_end["machine"])}
Memory is the peak above an interpreter with scikit-learn and the data. It includes the import of the package. The
import times, after ``sklearn.base``, are: {imports}. Command: ``python benchmarks/end_to_end.py``.

{table_of_fits(end_to_end["fits"])}Growth of time and memory
-------------------------

{describe(scaling["machine"])} Command: ``python benchmarks/scaling.py``.

.. image:: /images/scaling.png
   :alt: Time and memory against steps, units, batch, features and numbers of sequences

{table_of_exponents(scaling)}"""


# ---- The user guide, on long sequences -----------------------------------------------------------------


def table_of_memory(memory):
    """Return the table of budgets and of torch's checkpoints."""
    header = ["cell", "", "planned, MB", "measured peak, MB", "of the full memory", "seconds", "times as long"]
    rows = [
        [
            row["cell"],
            describe_memory(row),
            "" if row["planned_bytes"] is None else f"{row['planned_bytes'] / MEGABYTE:.1f}",
            f"{row['peak_bytes'] / MEGABYTE:.1f}",
            f"1/{1 / row['share']:.1f}",
            f"{row['seconds']:.2f}",
            f"{row['ratio']:.2f}",
        ]
        for row in memory["results"]
    ]
    return table(f"Forward and backward through 16 sequences of {memory['steps']:,} steps, 64 units", header, rows)


def describe_memory(row):
    """Return the label of a row of the memory table."""
    setting = row["setting"]
    if row["library"] == "torch":
        return "torch" if setting == 1 else f"torch, checkpoints of {setting} chunks"
    if setting == 1:
        return "no budget"
    return "the smallest budget" if setting == 0 else f"a budget of 1/{1 / setting:.0f}"


def table_of_stream(stream):
    """Return the table of a long stream's memory."""
    rows = [
        [
            f"{row['steps']:,}",
            f"{row['peak_bytes'] / MEGABYTE:.2f}",
            f"{1e6 * row['seconds'] / row['steps']:.2f}",
            f"{row['loss']:.4f}",
        ]
        for row in stream["rows"]
    ]
    title = f"Training along a stream in chunks of {stream['chunk']:,} steps, windows of {stream['truncation']}"
    return table(title, ["steps so far", "peak, MB", "microseconds a step", "loss of the last chunks"], rows)


def table_of_latency(latency):
    """Return the table of a step's time."""
    kinds = list(latency["rows"][0]["microseconds"])
    ratios = ["cell / target", "cell / label"]
    rows = [
        [
            row["cell"],
            *(f"{row['microseconds'][kind]:.2f}" for kind in kinds),
            *(f"{row['ratios'][name]:.1f}" for name in ratios),
        ]
        for row in latency["rows"]
    ]
    names = {
        "target": "regressor's step",
        "label": "classifier's step",
        "pipeline": "step of a scaler and a regressor",
        "transform": "the scaler's transform, then a step",
    }
    header = [
        "cell",
        *(names.get(kind, f"torch, {kind}") for kind in kinds),
        "torch's cell / regressor",
        "/ classifier",
    ]
    return table("Microseconds of a step of one sequence, 64 units", header, rows)


def table_of_calls(calls):
    """Return the table of the distributions of calls."""
    contenders = {"sklearn_rnn": "this package", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
    rows = [
        [
            row["name"],
            f"{row['call']}, {row['sequences']} × {1 if row['call'] == 'stream.step' else row['steps']}",
            *(quantiles(row["microseconds"].get(key)) for key in contenders),
            "" if row["published"] is None else f"{row['published']:.1f}",
        ]
        for row in calls["rows"]
    ]
    header = ["network", "call, sequences × steps", *contenders.values(), "published, FPGA"]
    return table("Microseconds of a call: median / 99 % / 99.9 %", header, rows)


def quantiles(figures):
    return "–" if figures is None else " / ".join(f"{figures[key]:,.1f}" for key in ("p50", "p99", "p99.9"))


def long_sequences(memory, stream):
    """Return the tables of the chapter on long sequences."""
    return f"""..
   Written by benchmarks/tables.py.

Memory and time with a budget
-----------------------------

{describe(memory["machine"])} One thread, float32. Peaks do not
include the memory that the process held before. Torch runs its module over chunks, each through
``torch.utils.checkpoint``. Command: ``python benchmarks/memory.py``.

{table_of_memory(memory)}A stream of ten million steps
-----------------------------

{describe(stream["machine"])} {stream["cell"]}, 32 units. Command:
``python benchmarks/stream.py``.

{table_of_stream(stream)}"""


def streams(latency, calls):
    """Return the tables of the chapter on streams."""
    return f"""..
   Written by benchmarks/tables.py.

Time of a prediction step
-------------------------

{describe(latency["machine"])} One processor. Each figure is a
median over rounds, in which all contenders take turns. The estimators check x and have an output layer. Torch's cell
has neither. Command: ``python benchmarks/stream_latency.py``.

{table_of_latency(latency)}Calls one by one
----------------

{describe(calls["machine"])} One processor, float32,
{calls["n_features"]} features. ONNX Runtime and OpenVINO run the models of :func:`~sklearn_rnn.export.to_onnx`. Each
call is timed by itself. The last column has the published times of FPGAs for the layers of STAC-ML's LSTM_A (2 × 128
units), LSTM_B (3 × 256) and LSTM_C (3 × 480), whose numbers of features are other ones. Command:
``python benchmarks/latency.py``.

{table_of_calls(calls)}"""


# ---- The developer's pages, on weights of fewer bits ----------------------------------------------------


def table_of_forms(microseconds):
    """Return the table of a step's time in every form, and how many times as fast as float32 it is."""
    ours = [form for form in next(iter(microseconds.values())) if form.startswith("package")]
    forms = [form for form in next(iter(microseconds.values())) if form not in ("today", *ours)]
    rows = []
    for name, times in microseconds.items():
        gains = {form: times[f"float32, {'AVX2' if 'AVX2' in form else 'AVX-512'}"] / times[form] for form in forms}
        rows.append(
            [
                name,
                f"{times['today']:.1f}",
                *(f"{times[form]:.1f} ({times['today'] / times[form]:.2f})" for form in ours),
                *(
                    f"{times[form]:.1f}"
                    + ("" if "int8" not in form and "bfloat16" not in form else f" ({gains[form]:.2f})")
                    for form in forms
                ),
            ]
        )
    return table("Microseconds of a step", ["cell, layers x units, sequences", "today", *ours, *forms], rows)


def table_of_lost_points(accuracy):
    """Return the table of the points that every form loses: the mean over seeds, and the most."""
    forms = list(next(iter(accuracy.values()))["lost"])
    rows = [
        [
            name,
            f"{fmean(row['points']):.1f}",
            *(f"{fmean(row['lost'][form]):.2f} ({max(row['lost'][form]):.2f})" for form in forms),
        ]
        for name, row in accuracy.items()
    ]
    header = ["data, cell, layers x units", "float32, points", *(f"{form}: lost" for form in forms)]
    n_seeds = sorted({len(row["points"]) for row in accuracy.values()})
    seeds = " or ".join(map(str, n_seeds))
    return table(f"Points of 100: mean over {seeds} seeds, in brackets the most that a seed loses", header, rows)


def reduced_precision(results):
    """Return the tables of the study of weights of fewer bits."""
    return f"""..
   Written by benchmarks/tables.py.

{describe(results["machine"])} One thread, minima over many turns
of all forms. "today" and "package" are the steppers of the package; the other columns are a prototype without output
layer. In brackets: float32's time with the same instructions, divided by this one. Command:
``python benchmarks/reduced_precision.py``.

{table_of_forms(results["microseconds"])}{table_of_lost_points(results["accuracy"])}"""


# ---- Training on a Dask cluster ------------------------------------------------------------------------


def dask_cluster(results):
    """Return the tables of the chapter on Dask, of the sections that were measured."""
    tables = [_table_of_cluster(results)]
    if "model" in results:
        tables.append(_table_of_workers(results["model"]))
    if "accuracy" in results:
        tables.append(_table_of_accuracy(results["accuracy"]))
    return "".join([*tables, describe_cluster(next(iter(results.values()))["machine"])])


def _table_of_cluster(results):
    """Return speed, overhead, traffic, memory and large data."""
    rows = []
    for row in results.get("speed", {"rows": []})["rows"]:
        what = f"an update of two workers of one thread, {row['parts']} parts; plain ``fit`` with ``n_jobs=2``"
        figures = f"{row['dask_ms']:.0f} ms and {row['plain_ms']:.0f} ms: {row['ratio']:.2f} of the speed"
        rows.append((what, figures))
    for row in results.get("overhead", {"rows": []})["rows"]:
        what = f"{_kind(row)} without computing, {row['units']} units, {row['parts']} parts"
        figures = (
            f"{row['overhead_ms']:.1f} ms: sending {row['sending_ms']:.1f}, on the way {row['travelling_ms']:.1f}, "
            f"adding up {row['client_ms']:.1f}"
        )
        rows.append((what, figures))
    for row in results.get("traffic", {"rows": []})["rows"]:
        what = f"bytes through the scheduler in {_kind(row)}, {row['parts']} parts, {row['workers']} workers"
        rows.append((what, f"{row['in']:.1f} times the weights in, {row['out']:.1f} out"))
    for row in results.get("memory", {"rows": []})["rows"]:
        what = (
            f"growth of memory over {row['rounds']:,} {_kind(row, several=True)}, ``low-level-log-length`` "
            f"{row['log_length']}"
        )
        figures = f"client {row['client_growth_mb']:.1f} MB, scheduler {row['scheduler_growth_mb']:.1f} MB"
        rows.append((what, figures))
    for row in results.get("large", {"rows": []})["rows"]:
        what = (
            f"{row['gigabytes']:.1f} GB in {row['parts']} files, read {row['read']}, {row['workers']} workers of "
            f"{row['limit_mb']:.0f} MB, {_kind(row, several=True)}"
        )
        rows.append((what, f"trains; peak {row['peak_mb']:.0f} MB, with mapped files {row['peak_with_files_mb']:.0f}"))
    return table("Training on a cluster", ["what", "measured"], rows)


def _kind(row, several=False):
    """Return the name of what the client waits for."""
    if row["local_updates"] is None:
        return "exact updates" if several else "an exact update"
    rounds = f"of ``local_updates={row['local_updates']}``"
    return f"rounds {rounds}" if several else f"a round {rounds}"


def _table_of_workers(model):
    """Return the model of 1 to 64 workers: times as fast as one thread."""
    rows = []
    for row in model["rows"]:
        for way in ("exact", "k=10"):
            alone = model["parts"] * row["part_ms"]
            rows.append((row["units"], way, *(f"{alone / ms:.1f}" for ms in row[way])))
    title = f"Times as fast as one thread, {model['parts']} parts of {model['batch']} sequences an update, by a model"
    return table(title, ["units", "updates", *(f"{n} worker{'s' * (n > 1)}" for n in model["workers"])], rows)


def _table_of_accuracy(accuracy):
    """Return test accuracy by way of training, with its standard deviation over seeds."""
    ways = ("plain", "exact", "k=10", "k=10, kept moments", "epoch", "k=10, batches of 16")
    rows = [
        (
            row["set"],
            row["sequences"],
            row["epochs"],
            *(f"{mean(row[way]):.3f} ± {stdev(row[way]):.3f}" for way in ways),
        )
        for row in accuracy["rows"]
    ]
    title = f"Test accuracy after as many epochs, {accuracy['parts']} parts, {accuracy['seeds']} seeds"
    return table(title, ["data", "sequences", "epochs", *ways], rows)


def describe_cluster(machine):
    """Return a sentence on the machine and the versions."""
    processor = f"{machine['processors']} cores of an {machine['processor']}"
    return f"Measured on {processor}, dask {machine['dask']}, with ``benchmarks/dask_figures.py``.\n"


# ---- The developer's page on kernels ------------------------------------------------------------------


def small_threads(figures):
    """Return the table of predictions of small batches in one thread and in two."""
    ways = list(figures["rows"][0]["seconds"])
    rows = [
        [
            f"{row['cell']}, {row['name']}",
            f"{1e-6 * row['work']:.1f} million",
            *(f"{1e3 * row['seconds'][way]:.2f}" for way in ways),
        ]
        for row in figures["rows"]
    ]
    header = ["cell, sequences × steps × features × units", "multiplications", *ways]
    return f"{describe(figures['machine'])}\n\n{table('Milliseconds of a prediction', header, rows)}"


# ---- The developer's page on the goals of speed -------------------------------------------------------

SKORCH_GOAL = 10  # of all fits
# The share of the peak in an LSTM's train step of 64, 128, 256 and 512 units, by the name of the row of peers.py.
SHARE_GOALS = {
    "32 x 100 x 8 x 64": 0.45,
    "128 x 100 x 16 x 128": 0.65,
    "64 x 200 x 32 x 256": 0.9,
    "128 x 50 x 64 x 512": 0.93,
}


def table_of_goals(peers, end_to_end, default_fits):
    """Return the table of every goal and what was measured."""
    goals = [
        *goals_of_peers(peers, "predict", "a prediction", 1.1, ("best", 1.6)),
        *goals_of_peers(peers, "train", "a train step", 1.5, ("torch", 6)),
        *goals_of_fits(end_to_end["fits"], default_fits["fits"]),
    ]
    rows = [
        [what, f"{goal:g}", f"{value:.2f}{note}", "yes" if value >= goal else "no"] for what, goal, value, note in goals
    ]
    for name, goal in SHARE_GOALS.items():
        (row,) = (row for row in float32_rows(peers, "train") if (row["cell"], row["name"]) == ("lstm", name))
        what = f"share of the peak, a train step of an LSTM, {shape_of(row)}"
        rows.append([what, f"{goal:.0%}", f"{row['share']:.1%}", "yes" if row["share"] >= goal else "no"])
    return table("Goals and what was measured", ["what", "goal", "measured", "reached"], rows)


def goals_of_peers(peers, what, label, least_goal, mean_goal):
    """Return (what, goal, measured, note) of the least ratio to the best library, and of a geometric mean."""
    rows, (library, goal) = float32_rows(peers, what), mean_goal
    worst = min(rows, key=lambda row: row["ratios"]["best"])
    name = LIBRARIES.get(library, "the best other library")
    mean_ratio = geometric_mean([row["ratios"][library] for row in rows])
    return [
        (
            f"{label} against the best other library, least",
            least_goal,
            worst["ratios"]["best"],
            f" ({worst['cell']}, {shape_of(worst)})",
        ),
        (f"{label} against {name}, geometric mean", goal, mean_ratio, ""),
    ]


def goals_of_fits(fits, default_fits):
    """Return (what, goal, measured, note) of fits against skorch."""
    ratios = {name: ratio_to_skorch(contenders) for name, contenders in default_fits.items()}
    worst = min(ratios, key=ratios.get)
    label = "a fit of the defaults against skorch, sets of the UCR archive"
    most = geometric_mean(map(most_of_products, default_fits.values()))
    return [
        *(
            (
                f"second fit of a process against skorch: {problem}",
                SKORCH_GOAL,
                ratio_to_skorch(contenders),
                f" (at most {most_of_products(contenders):.1f})",
            )
            for problem, contenders in fits.items()
        ),
        (
            f"{label}, least",
            SKORCH_GOAL,
            ratios[worst],
            f" ({worst}; at most {most_of_products(default_fits[worst]):.1f})",
        ),
        (f"{label}, geometric mean", SKORCH_GOAL, geometric_mean(ratios.values()), f" (at most {most:.1f})"),
    ]


def most_of_products(contenders):
    """Return the ratio to skorch of a fit that takes no time but that of its matrix products."""
    return contenders["skorch"]["fit_seconds"] / contenders["sklearn_rnn"]["product_seconds"]


def ratio_to_skorch(contenders, key="fit_seconds"):
    return contenders["skorch"][key] / contenders["sklearn_rnn"][key]


def float32_rows(peers, what):
    return [row for row in peers["rows"] if (row["what"], row["dtype"]) == (what, "float32")]


def table_of_default_fits(default_fits):
    """Return the table of fits of the defaults, set by set."""
    rows = []
    for name, contenders in default_fits["fits"].items():
        ours, skorch = contenders["sklearn_rnn"], contenders["skorch"]
        rows.append(
            [
                name,
                *(f"{figures['fit_seconds']:.2f}" for figures in (ours, skorch)),
                f"{ratio_to_skorch(contenders):.1f}",
                f"{most_of_products(contenders):.1f}",
                *(f"{figures['score']:.3f}" for figures in (ours, skorch)),
            ]
        )
    header = ["set", "fit, s", "skorch, s", "skorch / ours", "at most", "test accuracy", "skorch's"]
    return table(f"A fit of the defaults, {default_fits['epochs']} epochs", header, rows)


def speed_goals(peers, end_to_end, default_fits):
    """Return the tables of the page on goals."""
    return f"""
{describe(peers["machine"])}

{table_of_goals(peers, end_to_end, default_fits)}Fits of the defaults are the second of their processes.
{describe(default_fits["machine"])}

{table_of_default_fits(default_fits)}"""


# ---- The README ----------------------------------------------------------------------------------------


def means(peers, what, cell, library):
    """Geometric mean of a library's time over ours, float32, over all shapes."""
    rows = [row for row in float32_rows(peers, what) if row["cell"] == cell]
    return f"{geometric_mean([row['ratios'][library] for row in rows]):.1f}"


def readme(peers, end_to_end):
    """Return the README's section."""
    labels = {"train": ("a train step", ("torch", "jax")), "predict": ("a prediction", LIBRARIES)}
    rows = [
        [f"{label} against {LIBRARIES[library]}", *(means(peers, what, cell, library) for cell in CELLS)]
        for what, (label, libraries) in labels.items()
        for library in libraries
    ]
    labels = {
        "first_fit_seconds": "the first fit of a process",
        "fit_seconds": "the second fit",
        "bytes_with_import": "memory of the first fit",
    }
    for key, label in labels.items():
        ratios = [ratio_to_skorch(end_to_end["fits"][f"Japanese Vowels, {cell}"], key) for cell in CELLS]
        rows.append([f"{label} against skorch", *(f"{ratio:.1f}" for ratio in ratios)])
    n_rows = len({row["name"] for row in peers["rows"] if row["what"] == "train"})
    times = table("Ratio to this package", ["", *CELLS], rows)
    return f"""
Time or memory of the other packages, divided by that of this package, in one run on a CPU. The ratios of steps and
predictions are geometric means over {n_rows} shapes of batches. The fits are of Japanese Vowels.
{describe(peers["machine"])}

{times}All figures, and how they were measured: `Speed, threads and memory <docs/user_guide/speed.rst>`__.

"""


def write_section(path, text):
    """Replace the text between the two marks of a page that is written by hand."""
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + text + END + rest.split(END)[1])


def main():
    peers, end_to_end, scaling = read("peers"), read("end_to_end"), read("scaling")
    (GUIDE / "speed_tables.inc").write_text(guide(peers, end_to_end, scaling))
    (GUIDE / "long_sequences_tables.inc").write_text(long_sequences(read("memory"), read("stream")))
    (GUIDE / "streams_tables.inc").write_text(streams(read("stream_latency"), read("latency")))
    (DEVELOPER / "reduced_precision_tables.inc").write_text(reduced_precision(read("reduced_precision")))
    (DEVELOPER / "small_threads_table.inc").write_text(small_threads(read("small_threads")))
    (GUIDE / "dask_table.inc").write_text(dask_cluster(read("dask")))
    write_section(DEVELOPER / "speed_goals.rst", speed_goals(peers, end_to_end, read("default_fits")))
    write_section(README, readme(peers, end_to_end))


if __name__ == "__main__":
    main()
