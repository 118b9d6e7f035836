import csv
import gzip
from importlib import resources

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_rnn.datasets import (
    load_japanese_vowels,
    make_adding_problem,
    make_copy_memory,
    make_noisy_sines,
    make_temporal_order,
)

GENERATORS = [make_adding_problem, make_copy_memory, make_noisy_sines, make_temporal_order]


@pytest.fixture(scope="module")
def vowels():
    return load_japanese_vowels()


def rows_of_the_file():
    """The rows of the data file, read with the standard library: lists of strings."""
    path = resources.files("sklearn_rnn.datasets") / "data" / "japanese_vowels.csv.gz"
    with path.open("rb") as compressed, gzip.open(compressed, "rt") as text:
        return list(csv.reader(text))


def symbols_of(X):
    """The column of the single 1 of each step, after a check that all else is 0."""
    assert X.dtype == np.float64
    assert_array_equal(np.sort(X, axis=-1)[..., :-1], 0.0)
    assert_array_equal(X.max(axis=-1), 1.0)
    return X.argmax(axis=-1)


def distance_from_uniform(values):
    """Kolmogorov's: 1 random state in 1500 makes more than 2 / sqrt(n) by chance."""
    return np.abs(np.sort(values) - np.linspace(0.0, 1.0, values.size)).max()


# Japanese vowels


def test_the_vowels_are_640_utterances_of_7_to_29_steps_of_12_coefficients(vowels):
    lengths = [len(utterance) for utterance in vowels.data]
    assert len(vowels.data) == 640
    assert (min(lengths), max(lengths)) == (7, 29)
    assert {utterance.shape[1:] for utterance in vowels.data} == {(12,)}


def test_the_vowels_are_contiguous_float64_arrays_with_integer_targets(vowels):
    assert {utterance.dtype for utterance in vowels.data} == {np.dtype(np.float64)}
    assert all(utterance.flags.c_contiguous for utterance in vowels.data)
    assert vowels.target.dtype == np.int64
    assert vowels.target.shape == vowels.split.shape == (640,)


def test_each_of_the_nine_speakers_has_30_training_utterances(vowels):
    speakers, counts = np.unique(vowels.target[vowels.split == "train"], return_counts=True)
    assert_array_equal(speakers, np.arange(1, 10))
    assert_array_equal(counts, 30)


def test_the_speakers_have_the_documented_numbers_of_test_utterances(vowels):
    _, counts = np.unique(vowels.target[vowels.split == "test"], return_counts=True)
    assert_array_equal(counts, [31, 35, 88, 44, 29, 24, 40, 50, 29])
    assert "Test       31   35   88   44   29   24   40   50   29    370" in vowels.DESCR


def test_each_part_of_the_vowels_begins_and_ends_with_the_values_of_the_file(vowels):
    assert_array_equal(vowels.data[0][0, :3], [1.860936, -0.207383, 0.261557])
    assert_array_equal(vowels.data[270][0, :3], [1.635533, 0.024848, 0.432087])
    assert_array_equal(vowels.data[-1][-1, -3:], [-0.001849, -0.016634, 0.224688])


def test_the_vowels_hold_every_row_of_the_file_in_its_utterance(vowels):
    header, *rows = rows_of_the_file()
    assert header[4:] == vowels.feature_names
    rebuilt = {}
    for split, utterance, speaker, step, *coefficients in rows:
        steps = rebuilt.setdefault((split, utterance, speaker), [])
        assert int(step) == len(steps)
        steps.append([float(value) for value in coefficients])

    assert len(rebuilt) == len(vowels.data)
    loaded = zip(vowels.split, vowels.target, vowels.data, strict=True)
    for key, (split, target, utterance) in zip(rebuilt, loaded, strict=True):
        assert key[::2] == (split, str(target))
        assert_array_equal(utterance, rebuilt[key])


@pytest.mark.parametrize(("subset", "n_utterances"), [("train", 270), ("test", 370)])
def test_a_subset_is_that_part_of_all_in_the_same_order(vowels, subset, n_utterances):
    part = load_japanese_vowels(subset=subset)
    chosen = np.flatnonzero(vowels.split == subset)
    assert len(part.data) == len(part.target) == len(part.split) == n_utterances
    assert_array_equal(part.target, vowels.target[chosen])
    assert_array_equal(part.split, subset)
    for utterance, i in zip(part.data, chosen, strict=True):
        assert_array_equal(utterance, vowels.data[i])


@pytest.mark.parametrize("subset", ["all", "train", "test"])
def test_return_X_y_returns_the_data_and_the_targets_of_the_bunch(subset):
    bunch = load_japanese_vowels(subset=subset)
    X, y = load_japanese_vowels(return_X_y=True, subset=subset)
    assert_array_equal(np.concatenate(X), np.concatenate(bunch.data))
    assert [len(utterance) for utterance in X] == [len(utterance) for utterance in bunch.data]
    assert_array_equal(y, bunch.target)


def test_the_target_names_stand_in_the_order_of_the_labels(vowels):
    names = [vowels.target_names[np.searchsorted(np.unique(vowels.target), k)] for k in (1, 2, 9)]
    assert names == ["speaker_1", "speaker_2", "speaker_9"]
    assert len(vowels.target_names) == 9


def test_the_bunch_says_where_its_file_is_and_where_the_data_comes_from(vowels):
    assert (resources.files(vowels.data_module) / vowels.filename).is_file()
    for source in ["Kudo", "Toyama", "Shimbo", "10.24432/C5NS47", "CC BY 4.0"]:
        assert source in vowels.DESCR


def test_changing_loaded_vowels_leaves_the_next_load_as_the_file_has_it():
    first = load_japanese_vowels()
    first.data[0][:] = 0.0
    assert load_japanese_vowels().data[0][0, 0] == 1.860936


def test_unknown_subsets_and_return_X_y_are_refused():
    with pytest.raises(ValueError, match=r"'subset' parameter .* Got 'validation'"):
        load_japanese_vowels(subset="validation")
    with pytest.raises(ValueError, match="'return_X_y' parameter"):
        load_japanese_vowels(return_X_y="yes")


# All generators


@pytest.mark.parametrize("make", GENERATORS)
def test_the_same_random_state_makes_the_same_data(make):
    first_X, first_y = make(n_sequences=7, random_state=3)
    again_X, again_y = make(n_sequences=7, random_state=np.random.RandomState(3))
    assert len(first_X) == len(first_y) == 7
    for first, again in zip(first_X, again_X, strict=True):
        assert_array_equal(first, again)
    assert_array_equal(first_y, again_y)


@pytest.mark.parametrize("make", GENERATORS)
def test_another_random_state_makes_other_data(make):
    first_X, first_y = make(n_sequences=7, random_state=3)
    other_X, other_y = make(n_sequences=7, random_state=4)
    assert not any(np.array_equal(a, b) for a, b in zip(first_X, other_X, strict=True))
    assert not np.array_equal(first_y, other_y)


@pytest.mark.parametrize("make", GENERATORS)
def test_the_sequences_of_one_call_differ_from_each_other(make):
    X, _ = make(n_sequences=20, random_state=0)
    assert len({sequence.tobytes() for sequence in X}) == 20


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("n_sequences", [0, -1, 2.0, "10"])
def test_a_number_of_sequences_that_is_no_positive_integer_is_refused(make, n_sequences):
    with pytest.raises(ValueError, match="'n_sequences' parameter of make_"):
        make(n_sequences=n_sequences)


@pytest.mark.parametrize("make", [make_adding_problem, make_noisy_sines, make_temporal_order])
@pytest.mark.parametrize("n_steps", [0, 50.0])
def test_a_number_of_steps_that_is_no_positive_integer_is_refused(make, n_steps):
    with pytest.raises(ValueError, match="'n_steps' parameter of make_"):
        make(n_steps=n_steps)


@pytest.mark.parametrize("make", GENERATORS)
def test_a_random_state_of_another_type_is_refused(make):
    with pytest.raises(ValueError, match="'random_state' parameter of make_"):
        make(random_state="seed")


# Adding problem


@pytest.mark.parametrize("n_steps", [2, 3, 10, 51])
def test_the_sum_of_the_marked_values_is_the_target(n_steps):
    X, y = make_adding_problem(n_sequences=200, n_steps=n_steps, random_state=0)
    assert X.shape == (200, n_steps, 2)
    assert y.shape == (200,)
    assert X.dtype == y.dtype == np.float64
    for sequence, target in zip(X, y, strict=True):
        marked = [value for value, mark in sequence.tolist() if mark == 1.0]
        assert len(marked) == 2
        assert_allclose(sum(marked), target, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("n_steps", [3, 4, 10, 11])
def test_one_mark_stands_at_any_step_of_each_half(n_steps):
    X, _ = make_adding_problem(n_sequences=500, n_steps=n_steps, random_state=0)
    marks = X[:, :, 1]
    assert_array_equal(np.unique(marks), [0.0, 1.0])
    assert_array_equal(marks[:, : n_steps // 2].sum(axis=1), 1.0)
    assert_array_equal(marks[:, n_steps // 2 :].sum(axis=1), 1.0)
    assert marks.any(axis=0).all()


def test_the_values_to_add_are_uniform_from_0_to_1():
    X, y = make_adding_problem(n_sequences=2000, n_steps=20, random_state=0)
    values = X[:, :, 0].ravel()
    assert 0.0 <= values.min() < values.max() < 1.0
    assert distance_from_uniform(values) < 2 / np.sqrt(values.size)
    assert_allclose(np.mean((y - 1.0) ** 2), 1 / 6, rtol=0.1, atol=0.0)


def test_an_adding_problem_of_one_step_is_refused_with_the_steps_it_needs():
    with pytest.raises(ValueError, match=r"^n_steps=1 leaves no step .* use n_steps=2 or more\.$"):
        make_adding_problem(n_steps=1)


# Temporal order problem


@pytest.mark.parametrize(
    ("n_relevant", "n_steps", "lengths", "ranges"),
    [
        (2, 100, (100, 110), [(10, 20), (50, 60)]),
        (3, 100, (100, 110), [(10, 20), (33, 43), (66, 76)]),
        (2, 10, (10, 11), [(1, 2), (5, 6)]),
        (3, 10, (10, 11), [(1, 2), (3, 4), (6, 7)]),
        (2, 57, (57, 62), [(5, 11), (28, 34)]),
        (3, 250, (250, 275), [(25, 50), (82, 107), (165, 190)]),
    ],
)
def test_lengths_and_positions_of_the_relevant_symbols_fill_the_ranges_of_the_paper(
    n_relevant, n_steps, lengths, ranges
):
    X, _ = make_temporal_order(2000, n_steps, n_relevant=n_relevant, random_state=0)
    observed_lengths = {len(sequence) for sequence in X}
    assert observed_lengths == set(range(lengths[0], lengths[1] + 1))
    positions = [np.flatnonzero(symbols_of(sequence) >= 6) for sequence in X]
    assert {len(found) for found in positions} == {n_relevant}
    for (first, last), found in zip(ranges, np.transpose(positions), strict=True):
        assert set(found.tolist()) == set(range(first, last + 1))


@pytest.mark.parametrize("n_relevant", [2, 3])
def test_the_order_of_X_and_Y_is_the_class(n_relevant):
    classes = {
        2: ["XX", "XY", "YX", "YY"],
        3: ["XXX", "XXY", "XYX", "XYY", "YXX", "YXY", "YYX", "YYY"],
    }[n_relevant]
    X, y = make_temporal_order(500, 30, n_relevant=n_relevant, random_state=0)
    assert y.shape == (500,)
    assert y.dtype == np.int64
    assert_array_equal(np.unique(y), np.arange(len(classes)))
    for sequence, label in zip(X, y, strict=True):
        text = "".join("EBabcdXY"[symbol] for symbol in symbols_of(sequence))
        assert "".join(symbol for symbol in text if symbol in "XY") == classes[label]


def test_a_sequence_to_order_starts_with_E_and_ends_with_B_and_distracts_with_a_to_d():
    X, _ = make_temporal_order(200, 40, random_state=0)
    assert {sequence.shape[1] for sequence in X} == {8}
    texts = ["".join("EBabcdXY"[symbol] for symbol in symbols_of(sequence)) for sequence in X]
    assert {text[0] + text[-1] for text in texts} == {"EB"}
    inner = "".join(text[1:-1] for text in texts)
    assert set(inner) == set("abcdXY")
    n_distractors = sum(inner.count(symbol) for symbol in "abcd")
    for symbol in "abcd":
        assert_allclose(inner.count(symbol) / n_distractors, 0.25, rtol=0.1, atol=0.0)


@pytest.mark.parametrize("n_relevant", [2, 3])
@pytest.mark.parametrize("n_steps", range(10, 41))
def test_the_relevant_symbols_keep_apart_at_every_length(n_relevant, n_steps):
    X, _ = make_temporal_order(50, n_steps, n_relevant=n_relevant, random_state=0)
    for sequence in X:
        symbols = symbols_of(sequence)
        assert np.count_nonzero(symbols >= 6) == n_relevant
        assert (symbols[0], symbols[-1]) == (0, 1)
        assert np.all(symbols[1:-1] >= 2)


def test_a_temporal_order_that_is_too_short_is_refused_with_the_steps_it_needs():
    with pytest.raises(ValueError, match=r"^n_steps=9 is too short .* Use n_steps=10 or more\.$"):
        make_temporal_order(n_steps=9)


@pytest.mark.parametrize("n_relevant", [1, 4, 2.0])
def test_any_number_of_relevant_symbols_but_2_and_3_is_refused(n_relevant):
    with pytest.raises(ValueError, match=r"'n_relevant' parameter .* among \{2, 3\}"):
        make_temporal_order(n_relevant=n_relevant)


# Copying memory problem


def test_the_default_copying_task_is_that_of_arjovsky_shah_and_bengio():
    X, y = make_copy_memory(n_sequences=300, random_state=0)
    assert X.shape == (300, 120, 10)
    assert y.shape == (300, 120)
    assert y.dtype == np.int64
    shown = symbols_of(X)
    assert_array_equal(np.unique(shown[:, :10]), np.arange(8))
    assert_array_equal(shown[:, 10:109], 8)
    assert_array_equal(shown[:, 109], 9)
    assert_array_equal(shown[:, 110:], 8)
    assert_array_equal(y[:, :110], 8)
    assert_array_equal(y[:, 110:], shown[:, :10])


@pytest.mark.parametrize(("delay", "n_copied", "n_symbols"), [(1, 1, 2), (1, 4, 3), (5, 1, 8), (7, 3, 20)])
def test_the_answer_begins_after_the_delimiter_and_repeats_the_symbols(delay, n_copied, n_symbols):
    X, y = make_copy_memory(50, delay, n_copied=n_copied, n_symbols=n_symbols, random_state=0)
    assert X.shape == (50, delay + 2 * n_copied, n_symbols + 2)
    for shown, answer in zip(symbols_of(X).tolist(), y.tolist(), strict=True):
        delimiter = shown.index(n_symbols + 1)
        remembered = [symbol for symbol in shown if symbol < n_symbols]
        assert delimiter == n_copied - 1 + delay
        assert shown[:n_copied] == remembered
        assert answer == [n_symbols] * (delimiter + 1) + remembered


@pytest.mark.parametrize(
    ("name", "value"),
    [("delay", 0), ("delay", 1.5), ("n_copied", 0), ("n_symbols", 1), ("n_symbols", 8.0)],
)
def test_copying_tasks_without_a_delay_or_symbols_are_refused(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of make_copy_memory"):
        make_copy_memory(**{name: value})


# Noisy sines


def cosines_of(waves):
    """cos(2 pi f) of each noise-free wave, from s(t + 1) + s(t - 1) = 2 cos(2 pi f) s(t)."""
    middle = waves[:, 1:-1]
    neighbours = waves[:, 2:] + waves[:, :-2]
    return (middle * neighbours).sum(axis=1) / (2 * (middle**2).sum(axis=1))


def test_without_noise_the_targets_continue_the_waves():
    X, y = make_noisy_sines(200, 60, horizon=4, noise=0.0, random_state=0)
    assert X.shape == (200, 60, 1)
    assert y.shape == (200, 4)
    assert X.dtype == y.dtype == np.float64
    continued = np.concatenate([X[:, :, 0], y], axis=1)
    doubled = 2 * cosines_of(X[:, :, 0])[:, np.newaxis]
    predicted = doubled * continued[:, 1:-1] - continued[:, :-2]
    assert_allclose(continued[:, 2:], predicted, rtol=0.0, atol=1e-10)


def test_the_waves_have_the_documented_amplitudes_frequencies_and_phases():
    X, _ = make_noisy_sines(2000, 60, noise=0.0, random_state=0)
    waves = X[:, :, 0]
    angles = np.arccos(cosines_of(waves))
    sines = waves[:, 0]  # A sin(p)
    cosines = (waves[:, 1] - sines * np.cos(angles)) / np.sin(angles)  # A cos(p)
    quantities = [
        (angles / (2 * np.pi), 0.02, 0.1),
        (np.hypot(sines, cosines), 0.5, 1.5),
        (np.arctan2(sines, cosines) % (2 * np.pi), 0.0, 2 * np.pi),
    ]
    for quantity, low, high in quantities:
        uniform = (quantity - low) / (high - low)
        assert -1e-9 < uniform.min() < uniform.max() < 1 + 1e-9
        assert distance_from_uniform(uniform) < 2 / np.sqrt(uniform.size)


def test_predicting_0_has_the_documented_error():
    _, y = make_noisy_sines(20000, 10, random_state=0)
    assert_allclose(np.mean(y**2), 13 / 24, rtol=0.03, atol=0.0)


@pytest.mark.parametrize("noise", [0.1, 2.0])
def test_noise_of_the_given_standard_deviation_is_added_to_X_and_not_to_y(noise):
    clean_X, clean_y = make_noisy_sines(500, 40, noise=0.0, random_state=0)
    noisy_X, noisy_y = make_noisy_sines(500, 40, noise=noise, random_state=0)
    errors = (noisy_X - clean_X)[:, :, 0]
    assert_array_equal(noisy_y, clean_y)
    assert_allclose(errors.std(), noise, rtol=0.03, atol=0.0)
    assert abs(errors.mean()) < 0.05 * noise
    assert abs(np.mean(errors[:, 1:] * errors[:, :-1])) < 0.05 * noise**2


@pytest.mark.parametrize("n_steps", [1, 2, 30])
@pytest.mark.parametrize("horizon", [1, 2, 5])
def test_the_targets_of_each_step_are_the_next_values_of_the_wave(n_steps, horizon):
    longer, _ = make_noisy_sines(20, n_steps + horizon, noise=0.0, random_state=0)
    X, y = make_noisy_sines(20, n_steps, horizon=horizon, readout="each", random_state=0)
    assert X.shape == (20, n_steps, 1)
    assert y.shape == ((20, n_steps) if horizon == 1 else (20, n_steps, horizon))
    for sequence, targets in zip(longer[:, :, 0], y, strict=True):
        for t in range(n_steps):
            assert_array_equal(targets[t], np.squeeze(sequence[t + 1 : t + 1 + horizon]))


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_targets_of_the_last_step_are_the_last_of_the_targets_of_each(horizon):
    each_X, each_y = make_noisy_sines(20, 30, horizon=horizon, readout="each", random_state=0)
    last_X, last_y = make_noisy_sines(20, 30, horizon=horizon, random_state=0)
    assert last_y.shape == ((20,) if horizon == 1 else (20, horizon))
    assert_array_equal(last_X, each_X)
    assert_array_equal(last_y, each_y[:, -1])


def test_the_targets_can_be_changed_one_at_a_time():
    _, y = make_noisy_sines(2, 10, horizon=3, readout="each", random_state=0)
    unchanged = y[0, 1, 0]
    y[0, 0, 1] = 7.0  # the same value of the wave
    assert y[0, 1, 0] == unchanged


@pytest.mark.parametrize(
    ("name", "value"),
    [("horizon", 0), ("horizon", 1.0), ("noise", -0.1), ("noise", np.nan), ("readout", "mean")],
)
def test_sines_without_a_horizon_or_with_negative_noise_are_refused(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of make_noisy_sines"):
        make_noisy_sines(**{name: value})
