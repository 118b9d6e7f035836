"""dask.distributed as joblib's backend: searches give the same bits as in one process."""

import joblib
import pytest
from client_data import announcements_ignored, classifier, import_client, two_classes
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV

pytestmark = announcements_ignored

GRID = {"alpha": [0.0, 0.1], "cell": ["rnn", "gru"]}


def search():
    return GridSearchCV(classifier(), GRID, cv=3, error_score="raise").fit(*two_classes())


@pytest.mark.parametrize("processes", [False, True], ids=["threads", "processes"])
def test_a_search_on_a_cluster_gives_the_same_bits(processes):
    distributed = import_client("distributed")
    X, y = two_classes()
    serial = search()
    cluster = distributed.LocalCluster(
        n_workers=2 if processes else 1,
        threads_per_worker=1 if processes else 2,
        processes=processes,
        dashboard_address=None,
    )
    with cluster, distributed.Client(cluster) as client, joblib.parallel_config("dask"):
        client.wait_for_workers(len(cluster.worker_spec), timeout=60)
        assert len(cluster.worker_spec) == (2 if processes else 1)
        on_cluster = search()
    assert_array_equal(on_cluster.cv_results_["mean_test_score"], serial.cv_results_["mean_test_score"])
    assert_array_equal(on_cluster.predict_proba(X), serial.predict_proba(X))
    assert serial.score(X, y) > 0.8
