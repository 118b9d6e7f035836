"""dask-ml's Incremental: partial_fit on the blocks of a dask array, one after the other."""

import numpy as np
import pytest
from client_data import announcements_ignored, classifier, import_client, two_classes
from numpy.testing import assert_array_equal

from sklearn_rnn.preprocessing import to_object_column

pytestmark = announcements_ignored


def blocks_of(form):
    """X of a form in three blocks, and y: as arrays and as dask's."""
    da = import_client("dask.array")
    X, y = two_classes(lengths=(6, 7)) if form == "2-D" else two_classes()
    X = np.concatenate(X, axis=1).T if form == "2-D" else to_object_column(X)
    y = np.array(["no", "yes"])[y]
    return X, y, da.from_array(X, chunks=(20, -1)), da.from_array(y, chunks=20)


@pytest.mark.parametrize("form", ["2-D", "column"])
def test_incremental_is_partial_fit_block_by_block(form):
    wrappers = import_client("dask_ml.wrappers")
    X, y, X_blocks, y_blocks = blocks_of(form)
    by_hand = classifier()
    for start in range(0, 60, 20):
        by_hand.partial_fit(X[start : start + 20], y[start : start + 20], classes=["no", "yes"])
    # dask-ml tries a row of zeros to learn the kind of the predictions, which is no column of sequences.
    meta = {} if form == "2-D" else {"predict_meta": np.empty(0, y.dtype)}
    incremental = wrappers.Incremental(classifier(), shuffle_blocks=False, **meta)
    incremental.fit(X_blocks, y_blocks, classes=["no", "yes"])
    assert_array_equal(incremental.estimator_.predict_proba(X), by_hand.predict_proba(X))
    assert_array_equal(incremental.predict(X_blocks).compute(), by_hand.predict(X))


def test_incremental_needs_the_classes_and_for_columns_the_kind_of_predictions():
    wrappers = import_client("dask_ml.wrappers")
    _, _, X_blocks, y_blocks = blocks_of("column")
    incremental = wrappers.Incremental(classifier(), shuffle_blocks=False)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        incremental.fit(X_blocks, y_blocks)
    incremental.fit(X_blocks, y_blocks, classes=["no", "yes"])
    with pytest.raises(ValueError, match="X is 2-D, but this RNNClassifier was fitted on sequences"):
        incremental.predict(X_blocks)
