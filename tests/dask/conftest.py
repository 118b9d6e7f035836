"""A cluster of two workers in this process, for all tests of a session."""

import pytest
from helpers import import_client


@pytest.fixture(scope="session")
def client():
    distributed = import_client("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client
