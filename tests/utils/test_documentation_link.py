"""The diagrams of the estimators link to their pages in the API reference."""

import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

import sklearn_rnn
from sklearn_rnn import RNNClassifier, RNNRegressor, preprocessing
from sklearn_rnn._utils import documentation_link
from sklearn_rnn.preprocessing import TimeDistributed

ADDRESS = "https://docs.example"
ROOT = Path(__file__).parent.parent.parent
PUBLIC = [getattr(module, name) for module in (sklearn_rnn, preprocessing) for name in module.__all__]
ESTIMATORS = [public for public in PUBLIC if isinstance(public, type) and issubclass(public, BaseEstimator)]


@pytest.fixture
def address(monkeypatch):
    """An address, whether the package is installed or not."""
    monkeypatch.setattr(documentation_link, "documentation_address", lambda: ADDRESS)


def make(estimator_class):
    """An estimator of this class."""
    arguments = {"TimeDistributed": [StandardScaler()], "ToSequences": ["series_first"]}
    return estimator_class(*arguments.get(estimator_class.__name__, []))


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_every_estimator_links_to_the_page_of_its_public_name(address, estimator_class):
    package = "sklearn_rnn" if estimator_class in (RNNClassifier, RNNRegressor) else "sklearn_rnn.preprocessing"
    link = f"{ADDRESS}/page/generated/{package}.{estimator_class.__name__}.html"
    assert make(estimator_class)._get_doc_link() == link
    assert f'href="{link}"' in estimator_html_repr(make(estimator_class))


def test_a_pipeline_shows_the_links_of_its_steps(address):
    diagram = estimator_html_repr(make_pipeline(TimeDistributed(StandardScaler()), RNNClassifier()))
    links = re.findall(rf'href="{ADDRESS}/page/generated/([^"]+)\.html"', diagram)
    assert links == ["sklearn_rnn.preprocessing.TimeDistributed", "sklearn_rnn.RNNClassifier"]


def test_a_user_s_subclass_has_no_link(address):
    class MyClassifier(RNNClassifier):
        pass

    assert MyClassifier()._get_doc_link() == ""


def test_the_address_is_that_of_the_metadata(monkeypatch):
    class Metadata:
        def get_all(self, name, default):
            return {"Project-URL": ["Source, https://source.example", f"Documentation, {ADDRESS}"]}[name]

    monkeypatch.setattr(documentation_link, "metadata", lambda name: Metadata())
    assert documentation_link.documentation_address.__wrapped__() == ADDRESS


def test_without_metadata_there_is_no_link(monkeypatch):
    def find_nothing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(documentation_link, "metadata", find_nothing)
    assert documentation_link.documentation_address.__wrapped__() is None
    monkeypatch.setattr(documentation_link, "documentation_address", lambda: None)
    assert RNNClassifier()._get_doc_link() == ""
    assert "sklearn_rnn.RNNClassifier.html" not in estimator_html_repr(RNNClassifier())


@pytest.mark.skipif(not (ROOT / "docs" / "api.rst").exists(), reason="needs the documentation's sources")
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_the_api_reference_generates_the_page(estimator_class):
    link = make(estimator_class)._doc_link_template
    assert "/generated/{estimator_module}.{estimator_name}.html" in link
    listed = re.findall(r"^   ([\w.]+)$", (ROOT / "docs" / "api.rst").read_text(encoding="utf-8"), re.MULTILINE)
    assert any(name.split(".")[-1] == estimator_class.__name__ for name in listed)
