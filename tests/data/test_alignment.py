"""Pandas targets and weights whose index has the labels of X in another order are refused, and never swapped."""

import numpy as np
import pytest
from helpers import make_sequences
from numpy.testing import assert_allclose, assert_array_equal
from refusals import assert_refuses, assert_training_refuses, classifier, regressor
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler, TargetEncoder

from sklearn_rnn.metrics import make_step_scorer
from sklearn_rnn.preprocessing import TimeDistributed

pd = pytest.importorskip("pandas", reason="compares the indices of pandas")

INSTANCES = ["c", "a", "b"]
ANOTHER_ORDER = r"{} has the instances in another order than {}: entry 0 is of 'a', but sequence 0 of {} is of 'c'\. "
BY_LABEL = r"Pass {}\.loc\[{}\.index\.droplevel\(-1\)\.unique\(\)\]"
ANOTHER_INDEX = r"{} has another index than X: row 0 is of \('a', 0\), but that of X is of \('c', 0\)\. "


def arrays():
    return make_sequences((3, 2, 4))


def frame():
    X = arrays()
    index = [(instance, t) for instance, x in zip(INSTANCES, X) for t in range(len(x))]
    return pd.DataFrame(np.concatenate(X), index=pd.MultiIndex.from_tuples(index, names=["id", "time"]))


def per_sequence(values=(5.0, 1.0, 3.0)):
    return pd.Series(values, index=INSTANCES)


def refusal(name, X="X"):
    return ANOTHER_ORDER.format(name, X, X) + BY_LABEL.format(name, X)


def test_targets_by_instance_in_another_order_are_refused():
    X, y = frame(), per_sequence().sort_index()
    assert_training_refuses(regressor(), X, y, message=refusal("y"))
    labels = per_sequence(["no", "yes", "no"]).sort_index()
    assert_training_refuses(classifier(), X, labels, message=refusal("y"))
    assert_refuses(regressor(), "fit", X, y.to_frame(), message=refusal("y"))


def test_the_remedies_give_targets_in_the_order_of_the_sequences():
    X, y = frame(), per_sequence()
    expected = regressor().fit(X, y.to_numpy()).predict(X)
    assert_array_equal(regressor().fit(X, y).predict(X), expected)
    by_label = y.sort_index().loc[X.index.droplevel(-1).unique()]
    assert_array_equal(regressor().fit(X, by_label).predict(X), expected)
    steps = X[0]
    by_label = steps.sort_index().loc[X.index]
    for actual, values in zip(
        regressor(readout="each").fit(X, by_label).predict(X),
        regressor(readout="each").fit(X, steps).predict(X),
        strict=True,
    ):
        assert_array_equal(actual, values)


@pytest.mark.parametrize("index", [[0, 1, 2], ["x", "y", "z"]], ids=["rows", "other labels"])
def test_an_index_without_the_labels_of_the_instances_is_that_of_their_order(index):
    X, values = frame(), [5.0, 1.0, 3.0]
    expected = regressor().fit(X, values).predict(X)
    assert_array_equal(regressor().fit(X, pd.Series(values, index=index)).predict(X), expected)


def test_row_numbers_may_be_some_of_the_labels_of_the_instances():
    X = frame().rename(index={"c": 1, "a": 2, "b": 3}, level=0)
    expected = regressor().fit(X, [5.0, 1.0, 3.0]).predict(X)
    assert_array_equal(regressor().fit(X, pd.Series([5.0, 1.0, 3.0])).predict(X), expected)
    message = "y has the instances in another order than X: entry 0 is of 2, but sequence 0 of X is of 1"
    assert_refuses(regressor(), "fit", X, pd.Series([5.0, 1.0, 3.0], index=[2, 1, 9]), message=message)


def test_targets_with_the_index_of_one_step_of_each_instance_are_compared():
    X = frame()
    y = X[0].groupby(level=0, sort=False).tail(1)
    assert_array_equal(regressor().fit(X, y).predict(X), regressor().fit(X, y.to_numpy()).predict(X))
    message = ANOTHER_ORDER.format("y", "X", "X") + BY_LABEL.format(r"y\.droplevel\(-1\)", "X")
    assert_refuses(regressor(), "fit", X, y.sort_index(), message=message)


def test_weights_by_instance_in_another_order_are_refused():
    X, y, weights = frame(), [5.0, 1.0, 3.0], per_sequence()
    expected = regressor().fit(X, y, weights.to_numpy()).predict(X)
    assert_array_equal(regressor().fit(X, y, weights).predict(X), expected)
    assert_refuses(regressor(), "fit", X, y, weights.sort_index(), message=refusal("sample_weight"))


def test_validation_data_in_another_order_are_refused():
    X, y = frame(), per_sequence()
    other = {"X_val": X, "y_val": y.sort_index()}
    assert_refuses(regressor(), "fit", X, y, **other, message=refusal("y_val", "X_val"))


def test_targets_of_steps_with_another_index_are_refused():
    X = frame()
    reg = regressor(readout="each")
    message = ANOTHER_INDEX.format("y") + r"Pass y\.loc\[X\.index\] or, .*, y\.set_axis\(X\.index\)\."
    assert_training_refuses(reg, X, X[0].sort_index(), message=message)
    renamed = X[0].rename(index={"c": "d"}, level=0)
    message = r"y has another index than X: row 0 is of \('d', 0\)"
    assert_refuses(reg, "fit", X, renamed, message=message)


def test_weights_of_steps_may_have_the_index_of_the_frame():
    X = frame()
    y, weights = X[0], X[1].abs()
    parts = np.split(weights.to_numpy(), [3, 5])
    reg = regressor(readout="each")
    expected = clone(reg).fit(X, y, parts)
    reg.fit(X, y, weights)
    for actual, values in zip(reg.predict(X), expected.predict(X), strict=True):
        assert_array_equal(actual, values)
    assert reg.score(X, y, weights) == reg.score(X, y, parts)
    message = ANOTHER_INDEX.format("sample_weight")
    assert_refuses(reg, "fit", X, y, weights.sort_index(), message=message)
    message = "sample_weight has a weight for each step, but only readout='each' has a target for each step"
    assert_refuses(regressor(), "fit", X, [5.0, 1.0, 3.0], weights, message=message)


def test_scores_refuse_another_order():
    X, y = frame(), per_sequence()
    for model, targets in ((regressor(), y), (classifier(), per_sequence(["no", "yes", "no"]))):
        model.fit(X, targets)
        assert np.isfinite(model.score(X, targets))
        with pytest.raises(ValueError, match="^" + refusal("y")):
            model.score(X, targets.sort_index())
        with pytest.raises(ValueError, match="^" + refusal("sample_weight")):
            model.score(X, targets, y.sort_index())
    reg = regressor(readout="each").fit(X, X[0])
    for score in (reg.score, lambda *data: make_step_scorer("r2")(reg, *data)):
        assert np.isfinite(score(X, X[0]))
        with pytest.raises(ValueError, match="^" + ANOTHER_INDEX.format("y")):
            score(X, X[0].sort_index())


def test_transformers_of_steps_refuse_another_order():
    X, y = frame(), per_sequence()
    encoder = TimeDistributed(TargetEncoder(target_type="continuous", cv=2))
    with pytest.raises(ValueError, match="^" + refusal("y")):
        encoder.fit(X, y.sort_index())
    with pytest.raises(ValueError, match="^" + refusal("sample_weight")):
        TimeDistributed(StandardScaler()).fit(X, sample_weight=y.sort_index())
    scaler = TimeDistributed(StandardScaler()).fit(X, sample_weight=y)
    expected = np.average(np.concatenate(arrays()), axis=0, weights=np.repeat(y.to_numpy(), [3, 2, 4]))
    assert_allclose(scaler.transformer_.mean_, expected, rtol=1e-12, atol=0)
