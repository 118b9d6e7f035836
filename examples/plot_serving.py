"""
A thousand sensors, served
==========================

A program watches 1,000 machines. Each has a sensor that sends a reading from time to time. After every reading the
program says how probable it is that the bearing of this machine is worn, and it raises an alarm. The network has to
remember: a single reading is mostly noise.

One :class:`~sklearn_rnn.PredictionStream` holds the state of all machines. The server is :mod:`asyncio` of Python's
standard library, and nothing else.
"""

# %%
# Readings
# --------
#
# A reading has the load of the machine, the temperature and the vibration, each in its own unit. Load makes machines
# warm, and makes them vibrate. So does a worn bearing, whose vibration grows slowly. Half of the machines wear out at
# some step.

import asyncio
from collections import deque
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import PredictionStream, RNNClassifier
from sklearn_rnn.preprocessing import TimeDistributed

N_STEPS = 60


def simulate(n_machines, seed):
    """Return readings (machine, step, feature), float32, and whether the bearing is
    worn (machine, step)."""
    rng = np.random.default_rng(seed)
    steps = np.arange(N_STEPS)
    begin = np.where(
        rng.random(n_machines) < 0.5, rng.integers(10, 50, n_machines), N_STEPS
    )[:, np.newaxis]
    wear = np.clip(steps - begin, 0, None) / 20
    load = np.cumsum(rng.normal(size=(n_machines, N_STEPS)), axis=1)
    temperature = 60 + 2 * load + 4 * wear + rng.normal(scale=4, size=load.shape)
    vibration = 0.4 + 0.03 * load + 0.15 * wear + rng.normal(scale=0.1, size=load.shape)
    return np.stack([load, temperature, vibration], axis=2).astype(np.float32), (
        steps >= begin
    ).astype(int)


X_train, y_train = simulate(400, seed=0)
pipeline = make_pipeline(
    TimeDistributed(StandardScaler()),
    RNNClassifier(16, cell="gru", readout="each", max_iter=30, random_state=0),
)
pipeline.fit(X_train, y_train)

# %%
# An alarm must be rare as long as nothing is wrong. On other machines we look for the threshold that one of a hundred
# healthy machines passes within all of its steps.

X_other, y_other = simulate(400, seed=1)
probabilities = pipeline.predict_proba(X_other)[..., 1]
threshold = np.quantile(np.where(y_other == 0, probabilities, 0).max(axis=1), 0.99)
area = roc_auc_score(y_other.ravel(), probabilities.ravel())
print(f"area under the ROC curve, all steps of other machines: {area:.2f}")
print(f"threshold of the alarm: {threshold:.2f}")

# %%
# The server
# ----------
#
# Gateways connect by TCP. Each line is one reading: the number of the machine and the values. The server keeps the
# readings that have not been processed, in their order, for each machine. A tick takes the oldest reading of every
# machine that has one, and makes one step of the stream for these machines: ``rows`` says which they are, the others
# stay as they are. Many readings in one step are much cheaper than as many steps.
#
# The stream runs the scaler too. It is made from the pipeline, and takes readings in their own units.

N_MACHINES, N_GATEWAYS = 1000, 10


class Server:
    """Reads lines of gateways, and decides about all machines that have a new
    reading."""

    def __init__(self, pipeline, n_machines):
        self.stream = PredictionStream.from_pipeline(pipeline, n_machines)
        self.waiting = [
            deque() for _ in range(n_machines)
        ]  # readings, with the times of their arrival
        self.has_readings = set()
        self.news = asyncio.Event()
        self.latencies, self.seconds_of_steps, self.rows_of_steps = [], [], []
        self.probabilities = [[] for _ in range(n_machines)]
        self.alarms = {}  # of each machine, the number of readings until its first alarm

    async def receive(self, reader, writer):
        """Read the lines of one gateway."""
        while line := await reader.readline():
            machine, *values = line.split()
            machine = int(machine)
            self.waiting[machine].append(
                (perf_counter(), [float(value) for value in values])
            )
            self.has_readings.add(machine)
            self.news.set()
        writer.close()

    async def tick_forever(self):
        """Process all new readings, then wait for others."""
        while True:
            await self.news.wait()
            self.tick()
            if not self.has_readings:
                self.news.clear()
            await asyncio.sleep(0)  # lets the gateways' lines in

    def tick(self):
        """Process one reading of each machine that has any."""
        rows = sorted(self.has_readings)
        arrivals, readings = zip(*(self.waiting[machine].popleft() for machine in rows))
        begin = perf_counter()
        worn = self.stream.step_proba(np.array(readings, np.float32), rows=rows)[:, 1]
        end = perf_counter()
        for machine, probability in zip(rows, worn):
            self.probabilities[machine].append(probability)
            if probability > threshold:
                self.alarms.setdefault(machine, len(self.probabilities[machine]))
        self.has_readings = {machine for machine in rows if self.waiting[machine]}
        self.latencies += [perf_counter() - arrival for arrival in arrivals]
        self.seconds_of_steps.append(end - begin)
        self.rows_of_steps.append(len(rows))


# %%
# The sensors
# -----------
#
# A gateway sends the readings of its 100 machines, which come in any order and not at the same time: in each of 60
# rounds, it waits some milliseconds between parts of them.

X, y = simulate(N_MACHINES, seed=2)


async def send(gateway, port):
    """Send all readings of a gateway's machines."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    rng = np.random.default_rng(gateway)
    for t in range(N_STEPS):
        machines = rng.permutation(np.arange(gateway, N_MACHINES, N_GATEWAYS))
        for part in np.array_split(machines, 4):
            lines = [
                f"{machine} " + " ".join(map(repr, X[machine, t].tolist())) + "\n"
                for machine in part
            ]
            writer.write("".join(lines).encode())
            await writer.drain()
            await asyncio.sleep(rng.exponential(0.01))
    writer.close()
    await writer.wait_closed()


async def serve():
    """Run the server until all gateways have sent everything and everything is
    processed."""
    server = Server(pipeline, N_MACHINES)
    listening = await asyncio.start_server(server.receive, "127.0.0.1", 0)
    ticks = asyncio.create_task(server.tick_forever())
    begin = perf_counter()
    port = listening.sockets[0].getsockname()[1]
    await asyncio.gather(*(send(gateway, port) for gateway in range(N_GATEWAYS)))
    while sum(server.rows_of_steps) < N_MACHINES * N_STEPS:
        await asyncio.sleep(0.001)
    seconds = perf_counter() - begin
    ticks.cancel()
    listening.close()
    return server, seconds


server, seconds = asyncio.run(serve())
latencies = 1000 * np.array(server.latencies)
n_readings, seconds_of_steps = len(latencies), sum(server.seconds_of_steps)
print(
    f"{n_readings} readings of {N_MACHINES} machines in {seconds:.1f} s: "
    f"{n_readings / seconds:.0f} steps a second"
)
print(
    f"latency: median {np.median(latencies):.2f} ms, p99 "
    f"{np.quantile(latencies, 0.99):.2f} ms"
)
print(
    f"{len(server.rows_of_steps)} ticks, {np.mean(server.rows_of_steps):.1f} machines "
    "each. The stream alone makes "
    f"{n_readings / seconds_of_steps:.0f} steps a second."
)

# %%
# The predictions are those of the whole sequences: no reading was lost, and none came to another machine.

served = np.array(server.probabilities)
np.testing.assert_allclose(served, pipeline.predict_proba(X)[..., 1], rtol=1e-5)

# %%
# Alarms
# ------
#
# The decision is made at the reading that passes the threshold. Some machines wear out too late to be noticed.

is_worn, begins = y.any(axis=1), y.argmax(axis=1)
alarms = np.array([server.alarms.get(machine, 0) - 1 for machine in range(N_MACHINES)])
is_false = (alarms >= 0) & (~is_worn | (alarms < begins))
is_found = (alarms >= 0) & ~is_false
delay = np.median((alarms - begins)[is_found])
print(
    f"{is_worn.sum()} worn machines, {is_found.sum()} of them found, {delay:.0f} "
    "readings after the begin (median)"
)
print(f"{is_false.sum()} false alarms of {N_MACHINES} machines")

fig, (above, below) = plt.subplots(2, 1, figsize=(7, 5.5), layout="constrained")
above.hist(latencies, bins=np.geomspace(latencies.min(), latencies.max(), 40))
above.axvline(np.quantile(latencies, 0.99), color="C3", label="p99")
above.set(
    xscale="log",
    xlabel="milliseconds from arrival to decision",
    ylabel="readings",
    title="Latency",
)
above.legend()
for k, machine in enumerate(np.flatnonzero(is_found)[:4]):
    below.plot(served[machine], color=f"C{k}", label="probability" if k == 0 else None)
    below.plot(
        begins[machine],
        served[machine, begins[machine]],
        "|",
        color=f"C{k}",
        markersize=14,
    )
    below.plot(alarms[machine], served[machine, alarms[machine]], "o", color=f"C{k}")
below.axhline(threshold, color="black", linestyle=":")
below.set(
    xlabel="reading",
    ylabel="probability of wear",
    ylim=(0, 1),
    title="Bars: wear begins. Points: alarm",
)
plt.show()

# %%
# :doc:`/user_guide/streams` has the rules of streams, and the time of a step.
