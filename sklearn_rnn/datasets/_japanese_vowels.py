"""The data set Japanese Vowels, read from the files of the package."""

import gzip
from importlib import resources

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions, validate_params

DATA_MODULE = "sklearn_rnn.datasets"
DATA_FILE = "data/japanese_vowels.csv.gz"
DESCR_FILE = "descr/japanese_vowels.rst"

N_COEFFICIENTS = 12
N_SPEAKERS = 9

# The columns of the file. It has one row per step, utterance after utterance.
ROW = np.dtype(
    [
        ("split", "U5"),
        ("utterance", np.int64),
        ("speaker", np.int64),
        ("step", np.int64),
        ("coefficients", np.float64, (N_COEFFICIENTS,)),
    ]
)


@validate_params(
    {"return_X_y": ["boolean"], "subset": [StrOptions({"all", "train", "test"})]},
    prefer_skip_nested_validation=True,
)
def load_japanese_vowels(*, return_X_y=False, subset="all"):
    """Load the data set Japanese Vowels: who is speaking? (classification of ragged sequences).

    Nine male speakers said the two Japanese vowels /ae/ in succession [1]_. The package includes
    the data, so it needs no download.

    =========================  ============================================
    Classes                    9 speakers
    Utterances                 640: 270 for training, 370 for testing
    Training utterances        30 per speaker
    Steps                      7 to 29 per utterance
    Features                   12 LPC cepstrum coefficients per step, real
    =========================  ============================================

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    subset : {"all", "train", "test"}, default="all"
        The part of the original split to load. "all" has the training utterances first, then the
        test utterances. Within a part, the utterances are sorted by speaker, so shuffle them before
        you split them.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : list of n_utterances ndarrays of shape (n_steps_i, 12), float64
            The utterances; axis order is time, feature.
        target : ndarray of shape (n_utterances,), int64
            The speaker of each utterance, 1 to 9.
        target_names : ndarray of shape (9,), str
            The names of the classes, in the order of the sorted labels: speaker ``k`` has
            ``target_names[k - 1]``.
        feature_names : list of 12 str
            The names of the coefficients: "c1" to "c12".
        split : ndarray of shape (n_utterances,), str
            The part of the original split that each utterance belongs to: "train" or "test".
        DESCR : str
            The full description of the data set.
        filename : str
            The path of the data file, relative to `data_module`.
        data_module : str
            The package that holds the data file.

    (data, target) : tuple if ``return_X_y`` is True
        The two attributes above.

    References
    ----------
    .. [1] M. Kudo, J. Toyama and M. Shimbo (1999). Multidimensional curve classification using
       passing-through regions. Pattern Recognition Letters 20(11-13), 1103-1111.
       Data: UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47, CC BY 4.0.

    Examples
    --------
    >>> from sklearn_rnn.datasets import load_japanese_vowels
    >>> X_train, y_train = load_japanese_vowels(return_X_y=True, subset="train")
    >>> len(X_train)
    270
    >>> X_train[0].shape, X_train[1].shape
    ((20, 12), (26, 12))
    """
    files = resources.files(DATA_MODULE)
    data, target, split = _read_utterances(files / DATA_FILE)
    if subset != "all":
        chosen = np.flatnonzero(split == subset)
        data, target, split = [data[i] for i in chosen], target[chosen], split[chosen]
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=np.array([f"speaker_{k}" for k in range(1, N_SPEAKERS + 1)]),
        feature_names=[f"c{k}" for k in range(1, N_COEFFICIENTS + 1)],
        split=split,
        DESCR=(files / DESCR_FILE).read_text(encoding="utf-8"),
        filename=DATA_FILE,
        data_module=DATA_MODULE,
    )


def _read_utterances(path):
    """Return the steps, the speaker and the part of the split of each utterance in the file."""
    with path.open("rb") as compressed, gzip.open(compressed, "rt", encoding="utf-8") as text:
        rows = np.loadtxt(text, dtype=ROW, delimiter=",", skiprows=1, encoding="utf-8")
    starts = np.flatnonzero(rows["step"] == 0)
    # Copy, because the coefficients are between other columns: each utterance becomes contiguous.
    data = [steps.copy() for steps in np.split(rows["coefficients"], starts[1:])]
    return data, rows["speaker"][starts], rows["split"][starts]
