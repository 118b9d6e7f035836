"""The documentation's pages: what the API reference lists, and the check of the built pages."""

import ast
import inspect
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from sklearn_rnn import MemoryEstimate, RNNClassifier

DOCS = Path(__file__).parent.parent / "docs"
PACKAGES = [
    "",
    "callbacks",
    "preprocessing",
    "metrics",
    "model_selection",
    "inspection",
    "datasets",
    "export",
    "dask",
    "utils.estimator_checks",
]

pytestmark = pytest.mark.skipif(
    not DOCS.exists(), reason="the tests run without the documentation's sources, as with an installed wheel"
)


@pytest.fixture
def public_members(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    yield import_module("public_members")
    del sys.modules["public_members"]


@pytest.fixture
def check_pages(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    yield import_module("check_pages")
    del sys.modules["check_pages"]


def public_names(package):
    """The names in a package's ``__all__``, also without the libraries that it imports."""
    tree = ast.parse(Path(find_spec(package).origin).read_text(encoding="utf-8"))
    return next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )


def test_the_api_reference_lists_every_public_name_once():
    listed = re.findall(r"^   ([\w.]+)$", (DOCS / "api.rst").read_text(encoding="utf-8"), re.MULTILINE)
    public = [
        f"{package}.{name}".lstrip(".")
        for package in PACKAGES
        for name in public_names(f"sklearn_rnn.{package}".rstrip("."))
    ]
    assert sorted(listed) == sorted(public)


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (
            RNNClassifier,
            {"fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score", "stream", "hidden_states"}
            | {"memory_estimate", "reset_state", "weights_"},
        ),
        (MemoryEstimate, set()),  # a tuple, whose fields are in its docstring
    ],
)
def test_the_page_of_a_class_has_the_members_that_this_package_defines(public_members, cls, names):
    skipped = {
        name
        for name, member in inspect.getmembers(cls)
        if public_members.skip_members_of_other_packages(None, "class", name, member, False, {})
    }
    shown = {name for name in dir(cls) if not name.startswith("_")} - skipped
    assert names <= shown
    assert not {"get_params", "get_metadata_routing", "set_fit_request", "count", "index"} & shown


def test_the_check_of_the_pages_reports_links_to_nowhere(check_pages, tmp_path):
    for name in ("index.html", "other.html"):
        (tmp_path / name).write_text("")
    check = check_pages.Check(tmp_path, "http://127.0.0.1/")
    assert check.pages == ["index.html", "other.html"]
    check.anchors = {"index.html": set(), "other.html": {"here"}}
    check.links["index.html"] = [
        "http://127.0.0.1/",
        "http://127.0.0.1/other.html#here",
        "http://127.0.0.1/other.html#gone",
        "http://127.0.0.1/gone.html",
        "https://example.org/gone.html",
    ]
    check.compare_links()
    assert list(check.faults["index.html"]) == [
        "links to #gone of other.html, which does not exist",
        "links to gone.html, which does not exist",
    ]


def test_the_check_of_the_pages_reports_requests_to_other_machines(check_pages, tmp_path):
    check = check_pages.Check(tmp_path, "http://127.0.0.1:8000/")
    for url in ("http://127.0.0.1:8000/_static/pages.css", "data:image/png;base64,", "https://cdn.example.org/math.js"):
        check.check_request("index.html", url)
    assert list(check.faults["index.html"]) == ["asks another machine: https://cdn.example.org/math.js"]
