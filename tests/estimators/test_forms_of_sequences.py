"""Rows, patches and data frames against lists of sequences."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from small_estimators import READOUTS, assert_same_weights, classifier, have_same_weights, regressor, small_data

# ---- Rows and patches --------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("step_features", [1, 2])
def test_rows_are_the_steps_one_after_the_other(readout, step_features):
    X, labels, _ = small_data(readout, lengths=(6,) * 10)
    X = np.stack(X)[:, :, :step_features]
    rows = X.reshape(10, 6 * step_features)
    of_steps = classifier(readout=readout).fit(X, labels)
    of_rows = classifier(readout=readout, step_features=step_features).fit(rows, labels)
    assert of_rows.n_features_in_ == 6 * step_features
    assert of_steps.n_features_in_ == step_features
    assert_same_weights(of_rows, of_steps)
    assert_array_equal(of_rows.predict_proba(rows), of_steps.predict_proba(X))
    assert_array_equal(of_rows.hidden_states(rows), of_steps.hidden_states(X))


def patched_by_hand(X, size):
    patches = []
    for x in X:
        missing = -len(x) % size
        padded = np.concatenate([np.zeros((missing, x.shape[1])), x])
        patches.append(padded.reshape(-1, size * x.shape[1]))
    return patches


@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("patch_size", [2, 3, 10])
def test_patches_are_steps_joined_with_zeros_in_front(readout, patch_size):
    X, _, targets = small_data()
    patches = patched_by_hand(X, patch_size)
    reference = regressor(readout=readout).fit(patches, targets)
    reg = regressor(readout=readout, patch_size=patch_size).fit(X, targets)
    assert reg.n_features_in_ == 2
    assert reg.weights_["layer_0.input"].shape[0] == 2 * patch_size
    assert_same_weights(reg, reference)
    assert_array_equal(reg.predict(X), reference.predict(patches))
    for hidden, expected in zip(reg.hidden_states(X), reference.hidden_states(patches)):
        assert_array_equal(hidden, expected)


def test_rows_are_patched_too():
    X, _, targets = small_data(lengths=(7,) * 10)
    rows = np.stack(X).reshape(10, 14)
    reference = regressor().fit(patched_by_hand(X, 3), targets)
    reg = regressor(step_features=2, patch_size=3).fit(rows, targets)
    assert_same_weights(reg, reference)
    assert reg.hidden_states(rows).shape == (10, 3, 3)


def test_truncation_beyond_the_patches_is_none():
    X, _, targets = small_data(lengths=(7,) * 10)
    full = regressor(patch_size=3).fit(X, targets)
    assert_same_weights(regressor(patch_size=3, truncation=3).fit(X, targets), full)
    assert not have_same_weights(regressor(patch_size=3, truncation=2).fit(X, targets), full)


# ---- Data frames -------------------------------------------------------------------------------------


def test_data_frames_are_rows_with_names():
    pd = pytest.importorskip("pandas")
    X, labels, _ = small_data(lengths=(4,) * 10)
    rows = np.stack(X).reshape(10, 8)
    names = [f"{kind}{t}" for t in range(4) for kind in "ab"]
    frame = pd.DataFrame(rows, columns=names)
    reference = classifier(step_features=2).fit(rows, labels)
    clf = classifier(step_features=2).fit(frame, pd.Series(labels))
    assert_array_equal(clf.feature_names_in_, names)
    assert_same_weights(clf, reference)
    assert_array_equal(clf.predict_proba(frame), reference.predict_proba(rows))
    for other in (frame[names[::-1]], frame.rename(columns={"a0": "c0"})):
        with pytest.raises(ValueError, match=r"^The feature names should match those that were passed"):
            clf.predict(other)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert_array_equal(clf.predict(rows), reference.predict(rows))
    clf.fit(X, labels)
    assert not hasattr(clf, "feature_names_in_")


def test_data_frames_may_hold_targets_of_every_step():
    pd = pytest.importorskip("pandas")
    X, labels, targets = small_data("each", lengths=(4,) * 10)
    for estimator, y in ((classifier(), labels), (regressor(), targets)):
        estimator.set_params(readout="each", step_features=2)
        rows, y = np.stack(X).reshape(10, 8), np.stack(y)
        reference = clone(estimator).fit(rows, y)
        frames = pd.DataFrame(rows).add_prefix("x"), pd.DataFrame(y).add_prefix("y")
        estimator.fit(*frames)
        assert_same_weights(estimator, reference)
        assert estimator.score(*frames) == reference.score(rows, y)


def test_each_sequence_may_be_a_data_frame():
    pd = pytest.importorskip("pandas")
    X, labels, _ = small_data()
    frames = [pd.DataFrame(x, columns=["a", "b"], index=range(5, 5 + len(x))) for x in X]
    reference = classifier().fit(X, labels)
    clf = classifier().fit(frames, pd.Series(labels, index=range(3, 13)))
    assert_same_weights(clf, reference)
    assert_array_equal(clf.predict_proba(frames), reference.predict_proba(X))


def overlapping_by_hand(X, size, stride):
    """Patches whose ends are ``stride`` steps apart, the last one at the end of the sequence."""
    padded = [np.concatenate([np.zeros((size, x.shape[1])), x]) for x in X]
    ends = [range(len(x), 0, -stride)[::-1] for x in X]
    return [np.array([x[end : end + size].ravel() for end in e]) for x, e in zip(padded, ends)]


@pytest.mark.parametrize(
    "settings",
    [{}, {"bidirectional": True}, {"early_stopping": True, "validation_fraction": 0.3}, {"batch_size": 3}],
    ids=str,
)
def test_patches_overlap_with_a_stride_below_their_size(settings):
    X, _, targets = small_data()
    patches = overlapping_by_hand(X, 4, 2)
    reference = regressor(**settings).fit(patches, targets)
    reg = regressor(patch_size=4, patch_stride=2, **settings).fit(X, targets)
    assert (reg.patch_size_, reg.patch_stride_) == (4, 2)
    assert_same_weights(reg, reference)
    assert_array_equal(reg.predict(X), reference.predict(patches))
    for hidden, expected in zip(reg.hidden_states(X), reference.hidden_states(patches)):
        assert_array_equal(hidden, expected)
    assert reg.memory_estimate(X) == reference.memory_estimate(patches)


def test_the_first_training_chooses_automatic_patches():
    X, _, targets = small_data(lengths=(120,) * 10)
    reg = regressor(patch_size="auto").fit(X, targets)
    assert (reg.patch_size_, reg.patch_stride_) == (10, 2)
    reference = regressor(patch_size=10, patch_stride=2).fit(X, targets)
    assert_same_weights(reg, reference)
    short = [x[:20] for x in X]  # later data do not change the choice
    assert_same_weights(reg.partial_fit(short, targets), reference.partial_fit(short, targets))
    assert reg.patch_size_ == 10
    assert_array_equal(reg.predict(short), reference.predict(short))
    assert reg.memory_estimate(X) == reference.memory_estimate(X)


def test_the_weights_of_sequences_count_in_the_choice_of_patches():
    X, _, targets = small_data(lengths=(120, 120, 10, 10, 10))
    assert regressor(patch_size="auto").fit(X, targets).patch_size_ == 1
    assert regressor(patch_size="auto").fit(X, targets, sample_weight=[1, 1, 0, 0, 1]).patch_size_ == 10
