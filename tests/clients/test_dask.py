"""dask as joblib's backend: searches and ensembles have the bits of other backends, and a fit stays in one thread."""

import joblib
import numpy as np
import pytest
from client_data import announcements_ignored, classifier, import_client, two_classes
from numpy.testing import assert_array_equal
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, cross_val_score

from sklearn_rnn._utils.threads import number_of_threads
from sklearn_rnn.preprocessing import to_object_column

pytestmark = announcements_ignored

GRID = {"alpha": [0.0, 0.1], "cell": ["rnn", "gru"]}


@pytest.fixture(scope="module", params=[False, True], ids=["threads", "processes"])
def cluster(request):
    """A cluster with two cores: of one process that is this one, or of two."""
    distributed = import_client("distributed")
    with distributed.LocalCluster(
        n_workers=2 if request.param else 1,
        threads_per_worker=1 if request.param else 2,
        processes=request.param,
        dashboard_address=":0",  # any free port: there may be other clusters
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with import_client("distributed").Client(cluster) as client:
        client.wait_for_workers(len(cluster.worker_spec), timeout=60)
        assert sum(client.ncores().values()) == 2
        yield client


def grid(X, y):
    search = GridSearchCV(classifier(), GRID, cv=3, error_score="raise").fit(X, y)
    return [search.cv_results_["mean_test_score"], search.predict_proba(X)]


def halving(X, y):
    search = HalvingRandomSearchCV(
        classifier(), GRID, n_candidates=2, min_resources=30, cv=2, random_state=0, error_score="raise"
    ).fit(X, y)
    return [search.cv_results_["mean_test_score"], search.predict_proba(X)]


def voting(X, y):
    networks = [("gru", classifier()), ("rnn", classifier(cell="rnn"))]
    return [VotingClassifier(networks, voting="soft").fit(X, y).predict_proba(X)]


def bagging(X, y):
    X = to_object_column(X)
    ensemble = BaggingClassifier(classifier(), n_estimators=3, random_state=0).fit(X, y)
    return [ensemble.predict_proba(X), *(member.predict_proba(X) for member in ensemble.estimators_)]


@pytest.mark.parametrize("run", [grid, halving, voting, bagging])
def test_ragged_lists_have_the_bits_of_joblib_s_threads(run, client):
    X, y = two_classes()
    with joblib.parallel_config("threading", n_jobs=2):
        expected = run(X, y)
    with joblib.parallel_config("dask"):
        actual = run(X, y)
    assert len(actual) == len(expected)
    for got, wanted in zip(actual, expected):
        assert_array_equal(got, wanted)
    assert np.ptp(expected[-1]) > 0.1


class CountedList(list):
    """A list that counts how often it is pickled in this process.

    joblib scatters by itself whatever can have weak references, as this class could without ``__slots__``.
    """

    __slots__ = ()
    n_pickles = 0

    def __reduce__(self):
        type(self).n_pickles += 1
        return list, (list(self),)


@pytest.mark.parametrize("cluster", [True], ids=["processes"], indirect=True)
def test_a_list_is_sent_with_every_task_unless_it_is_scattered(client, monkeypatch):
    X, y = two_classes()
    X = CountedList(X)
    numbers, results = [], []
    for options in ({}, {"scatter": [X]}):
        monkeypatch.setattr(CountedList, "n_pickles", 0)
        with joblib.parallel_config("dask", **options):
            results.append(cross_val_score(classifier(max_iter=2), X, y, cv=6, error_score="raise"))
        numbers.append(CountedList.n_pickles)
    assert numbers[0] >= 6
    assert numbers[1] == 1
    assert_array_equal(results[0], results[1])


def count_threads():
    return number_of_threads(None), number_of_threads(3)


def test_a_fit_has_one_thread_unless_n_jobs_says_otherwise_not_those_of_the_cluster(client):
    assert client.submit(count_threads).result() == (1, 3)
    with joblib.parallel_config("dask"):
        assert joblib.effective_n_jobs(None) == 2
        assert joblib.Parallel()(joblib.delayed(count_threads)() for _ in range(2)) == [(1, 3)] * 2
        assert count_threads() == (1, 3)
