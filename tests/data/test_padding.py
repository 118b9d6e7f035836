import numpy as np
import pytest
from helpers import RAGGED, make_sequences
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier
from sklearn_rnn._data.padding import looks_like_padding
from sklearn_rnn.preprocessing import ForwardFill, TimeDistributed, ToSequences

NAN = np.nan
FILL = (
    r"Fill gaps by sklearn_rnn\.preprocessing\.ForwardFill\(\), and then those at the start of a sequence by "
    r"TimeDistributed\(SimpleImputer\(\)\), or leave out the sequence\.$"
)


def padded():
    """Five sequences of unequal lengths as an array of two features, with NaN at the ends."""
    X = np.full((5, 7, 2), NAN)
    for i, sequence in enumerate(make_sequences(RAGGED)):
        X[i, : len(sequence)] = sequence
    return X


def fit(X):
    RNNClassifier((3,), step_features=2, max_iter=2, random_state=0).fit(X, [0, 1, 0, 1, 0])


@pytest.mark.parametrize(
    ("form", "layout"),
    [
        (lambda X: X, r"'case_time_channel'"),
        (list, r"'case_time_channel'"),
        (lambda X: X.reshape(5, 14), r"'by_step', step_features=2"),
    ],
    ids=["3-D", "list", "2-D"],
)
def test_nan_at_the_ends_alone_is_named_as_padding_with_the_remedy(form, layout):
    with pytest.raises(
        ValueError,
        match=r"^X contains NaN in sequence 0, step 5, feature 0: RNNClassifier does not accept NaN\. NaN stands only "
        r"at the ends of sequences, as padding does\. Remove padding by sklearn_rnn\.preprocessing\.ToSequences"
        rf"\({layout}, padding=numpy\.nan\), because to impute it would invent steps",
    ):
        fit(form(padded()))


def test_the_remedy_works():
    fit(ToSequences("case_time_channel", padding=NAN).fit_transform(padded()))
    fit(ToSequences("by_step", step_features=2, padding=NAN).fit_transform(padded().reshape(5, 14)))


def test_univariate_rows_need_no_number_of_features():
    with pytest.raises(ValueError, match=r"ToSequences\('by_step', padding=numpy\.nan\)"):
        RNNClassifier((3,)).fit(padded()[:, :, 0], [0, 1, 0, 1, 0])


def test_padding_in_a_memory_mapped_file_is_named(tmp_path):
    np.save(tmp_path / "X.npy", padded())
    with pytest.raises(ValueError, match=r"^X contains NaN in sequence 0, step 5, .*as padding does"):
        fit(np.load(tmp_path / "X.npy", mmap_mode="r"))


@pytest.mark.parametrize(
    "place",
    [(0, 2), (0, 4, 1), (1, 0)],
    ids=["within a sequence", "in one of the features", "a sequence without any value"],
)
def test_gaps_are_to_be_filled(place):
    X = padded()
    X[place] = NAN
    with pytest.raises(ValueError, match=r"does not accept NaN\. " + FILL):
        fit(X)
    filled = make_pipeline(ForwardFill(), TimeDistributed(SimpleImputer())).fit_transform(X)
    fit(filled)
    assert np.isfinite(filled).all()


def test_infinity_is_to_be_replaced_first():
    X = np.zeros((5, 7, 2))
    X[0, 2] = np.inf
    with pytest.raises(ValueError, match=r"does not accept infinity\. Replace infinity by NaN\. " + FILL):
        fit(X)


def test_infinity_is_no_padding():
    X = padded()
    X[2, 0, 0] = np.inf
    assert looks_like_padding(padded().reshape(-1, 2), np.full(5, 7))
    assert not looks_like_padding(X.reshape(-1, 2), np.full(5, 7))


@pytest.mark.parametrize(
    ("values", "lengths", "expected"),
    [
        ([1, NAN], [2], True),
        ([NAN, 1], [2], False),
        ([1, NAN, 1], [2, 1], True),
        ([1, NAN, 1], [1, 2], False),
        ([1, NAN, NAN, 1, NAN], [3, 2], True),
        ([1, NAN, 2], [3], False),
        ([1, 2], [2], False),
        ([NAN], [1], False),
    ],
)
def test_padding_is_told_from_gaps_by_the_lengths(values, lengths, expected):
    assert looks_like_padding(np.array(values)[:, np.newaxis], np.array(lengths)) is expected
