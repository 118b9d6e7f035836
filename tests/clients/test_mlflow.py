"""mlflow: a store of models, which keeps scikit-learn's estimators in files of skops."""

import numpy as np
import pytest
from client_data import announcements_ignored, classifier, import_client, two_classes
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import TimeDistributed

TRUSTED = ["sklearn_rnn.RNNClassifier", "sklearn_rnn.preprocessing.TimeDistributed"]
pytestmark = [announcements_ignored, pytest.mark.filterwarnings("ignore::UserWarning:mlflow")]


@pytest.fixture
def mlflow(monkeypatch):
    """The module. Nothing looks for a program git, and no requirements are asked from an index."""
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    import_client("skops.io")
    import_client("mlflow.sklearn")
    return import_client("mlflow")


@pytest.fixture(scope="module")
def pipeline():
    X, y = two_classes(lengths=(6, 7))
    X = np.array(X)
    return make_pipeline(TimeDistributed(StandardScaler()), classifier()).fit(X, y), X


def test_a_saved_pipeline_needs_two_trusted_names_and_predicts_the_same(mlflow, pipeline, tmp_path):
    fitted, X = pipeline
    options = {"serialization_format": "skops", "pip_requirements": []}
    with pytest.raises(mlflow.exceptions.MlflowException, match="Untrusted types found") as refused:
        mlflow.sklearn.save_model(fitted, tmp_path / "refused", **options)
    assert all(name in str(refused.value) for name in TRUSTED)
    assert str(refused.value).count("sklearn_rnn.") == len(TRUSTED)
    mlflow.sklearn.save_model(fitted, tmp_path / "model", skops_trusted_types=TRUSTED, **options)
    loaded = mlflow.sklearn.load_model(str(tmp_path / "model"))
    assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


def test_a_logged_pipeline_predicts_the_same(mlflow, pipeline, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    fitted, X = pipeline
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    try:
        with mlflow.start_run():
            logged = mlflow.sklearn.log_model(
                fitted, name="model", serialization_format="skops", skops_trusted_types=TRUSTED, pip_requirements=[]
            )
        loaded = mlflow.sklearn.load_model(logged.model_uri)
    finally:
        mlflow.set_tracking_uri(before)
    assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
