"""The warning about features that are far from scale."""

import re
import warnings

import numpy as np
import pytest
from helpers import PLAIN, make_sequences
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._data import sequences as sequences_module
from sklearn_rnn.preprocessing import TimeDistributed

LENGTHS = (40, 30, 50, 60, 20)
TARGETS = np.arange(5.0)
SMALL = PLAIN | {"hidden_layer_sizes": (2,), "max_iter": 1, "n_iter_no_change": np.inf, "random_state": 0}


def sequences(n_features=3, dtype=np.float64, **columns):
    """Ragged sequences of scaled features; ``f0=(mean, spread)`` changes feature 0."""
    X = make_sequences(LENGTHS, n_features)
    for name, (mean, spread) in columns.items():
        for x in X:
            x[:, int(name[1:])] = mean + spread * x[:, int(name[1:])]
    return [x.astype(dtype) for x in X]


def message_of(call):
    """The message of the one UserWarning of a call."""
    with pytest.warns(UserWarning, match="far from scale") as caught:
        call()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return str(caught[0].message)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("mean", "spread"), [(250, 2), (-250, 2), (0, 200), (0, 5e-4), (1e5, 1e3), (0, 1e30), (1e-2, 2e-4)]
)
def test_one_warning_names_the_features_and_the_remedy(mean, spread, dtype):
    X = sequences(f1=(mean, spread), dtype=dtype)
    message = message_of(lambda: RNNRegressor(**SMALL).fit(X, TARGETS))
    assert message.startswith("X has features that are far from scale, 1 of 3: feature 1 (mean ")
    values = np.concatenate(X)[:, 1].astype(np.float64)
    assert f"feature 1 (mean {values.mean():.3g}, spread {values.std():.3g})." in message
    assert message.endswith("make_pipeline(TimeDistributed(StandardScaler()), RNNRegressor()).")


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"f0": (90, 1), "f1": (0, 90), "f2": (0, 2e-3)},
        {"f0": (1e9, 0), "f1": (0, 0), "f2": (-1e-9, 0)},
        {"f0": (1e9, 1e-8)},  # constant up to rounding
    ],
    ids=["scaled", "near", "constant", "rounding"],
)
def test_other_features_are_left_in_silence(columns):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RNNRegressor(**SMALL).fit(sequences(**columns), TARGETS)


def test_the_first_features_are_named_and_the_others_counted():
    X = sequences(6, **{f"f{i}": (0, 1e3) for i in (0, 2, 3, 4, 5)})
    message = message_of(lambda: RNNClassifier(**SMALL).fit(X, [0, 1, 0, 1, 0]))
    assert re.search(
        r"far from scale, 5 of 6: feature 0 \(.*\), feature 2 \(.*\), feature 3 \(.*\) and 2 more\. ", message
    )
    assert message.endswith("RNNClassifier()).")


def test_the_first_training_of_a_model_warns_and_no_later_call_does():
    X = sequences(f1=(1e4, 1))
    reg = RNNRegressor(**SMALL, warm_start=True)
    message_of(lambda: reg.fit(X, TARGETS))
    other = RNNRegressor(**SMALL)
    message_of(lambda: other.partial_fit(X, TARGETS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reg.fit(X, TARGETS)
        other.partial_fit(X, TARGETS).score(X, TARGETS)
        RNNRegressor(**SMALL).memory_estimate(X)
        RNNRegressor(**SMALL).fit(sequences(), TARGETS, X_val=X, y_val=TARGETS)


def test_the_remedy_is_one():
    X = sequences(f0=(1e4, 1), f2=(0, 1e-5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_pipeline(TimeDistributed(StandardScaler()), RNNRegressor(**SMALL)).fit(X, TARGETS)


# ---- Tables ------------------------------------------------------------------------------------------


def test_columns_of_a_table_are_named_if_a_row_is_one_step():
    pandas = pytest.importorskip("pandas", reason="the names are those of a data frame")
    X = np.concatenate(sequences())[:5] * [1, 1, 1e4]
    frame = pandas.DataFrame(X, columns=["speed", "load", "pressure"])
    message = message_of(lambda: RNNRegressor(**SMALL, step_features=3).fit(frame, TARGETS))
    assert "1 of 3: 'pressure' (mean " in message
    assert message.endswith("make_pipeline(StandardScaler(), RNNRegressor(step_features=3)).")
    message = message_of(lambda: RNNRegressor(**SMALL).fit(frame.add_suffix("_0"), TARGETS))
    assert "1 of 1: feature 0 (mean " in message
    assert "make_pipeline(TimeDistributed(StandardScaler()), RNNRegressor()), where a feature has one" in message
    assert message.endswith("make_pipeline(StandardScaler(), RNNRegressor()), where every column of X has its own.")


def test_the_remedy_for_tables_has_their_features_per_step():
    X = np.concatenate(sequences(6))[:5] * 1e4
    message = message_of(lambda: RNNRegressor(**SMALL, step_features=2).fit(X, TARGETS))
    assert "2 of 2: feature 0 (" in message
    remedy = "make_pipeline(TimeDistributed(StandardScaler(), step_features=2), RNNRegressor(step_features=2))"
    assert remedy in message


# ---- Memory-mapped files -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_a_file_is_checked_in_chunks_and_read_once(dtype, tmp_path, monkeypatch):
    X = np.stack([x[:20] for x in sequences(f0=(3e4, 30), f1=(0, 20), f2=(0, 20))]).astype(dtype)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    in_memory = message_of(lambda: RNNRegressor(**SMALL).fit(X, TARGETS))
    monkeypatch.setattr(sequences_module, "VALUES_PER_CHECK", 130)
    chunks, whole = [], sequences_module.MappedSequences.chunks

    def counting(self):
        for chunk in whole(self):
            chunks.append(chunk[0])
            yield chunk

    monkeypatch.setattr(sequences_module.MappedSequences, "chunks", counting)
    message = message_of(lambda: RNNRegressor(**SMALL).fit(mapped, TARGETS))
    assert message == in_memory
    assert chunks == [0, 40, 80]
