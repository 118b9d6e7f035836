"""The estimators' docstrings, and the page that lists their parameters by group."""

import ast
import html
import inspect
import re
from pathlib import Path

import pytest

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._documentation import PARAMETER_GROUPS
from sklearn_rnn.preprocessing import ForwardFill, RecurrentFeatures

ESTIMATORS = (RNNClassifier, RNNRegressor)
DOCUMENTED = (*ESTIMATORS, ForwardFill, RecurrentFeatures)
GROUPS = ["Architecture", "Sequences", "BPTT", "Optimizer", "Stopping", "Running"]
OF_ONE_ESTIMATOR = {"class_weight", "loss", "normalize_y"}

PAGE = Path(__file__).parent.parent / "docs" / "user_guide" / "parameters.rst"
needs_page = pytest.mark.skipif(
    not PAGE.exists(), reason="the tests run without the documentation's sources, as with an installed wheel"
)


def defaults_of(estimator_class):
    """The default of every parameter, by its name."""
    parameters = inspect.signature(estimator_class.__init__).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "self"}


def documented_parameters(estimator_class):
    """The lines ``name : type`` below "Parameters" in the docstring, in their order."""
    section = re.search(r"\nParameters\n-+\n(.*?)\n\w+\n-+\n", inspect.cleandoc(estimator_class.__doc__), re.DOTALL)
    return re.findall(r"^(\w+) : (.+)$", section[1], re.MULTILINE)


def sections_of_page():
    """The names that each section of the page lists, by the section's title, in their order."""
    _, *parts = re.split(r"\n(\w+)\n-+\n", PAGE.read_text(encoding="utf-8"))
    return {
        title: re.findall(r"\* - :class:`(\w+) <RNN(?:Classifier|Regressor)>`", text)
        for title, text in zip(parts[::2], parts[1::2])
    }


@pytest.mark.parametrize("estimator_class", DOCUMENTED)
def test_the_docstring_describes_every_parameter_of_the_signature_once(estimator_class):
    names = [name for name, _ in documented_parameters(estimator_class)]
    assert sorted(names) == sorted(defaults_of(estimator_class))


@pytest.mark.parametrize("estimator_class", DOCUMENTED)
def test_the_docstring_names_the_defaults_of_the_signature(estimator_class):
    defaults = defaults_of(estimator_class)
    for name, type_ in documented_parameters(estimator_class):
        documented = ast.literal_eval(re.search(r"default=(.+)$", type_)[1])
        assert documented == defaults[name], name
        assert type(documented) is type(defaults[name]), name


@pytest.mark.parametrize("estimator_class", DOCUMENTED)
def test_every_parameter_has_an_indented_description(estimator_class):
    lines = inspect.cleandoc(estimator_class.__doc__).splitlines()
    for name, type_ in documented_parameters(estimator_class):
        description = lines[lines.index(f"{name} : {type_}") + 1]
        assert re.match(r"    \S", description), name


def test_the_groups_stand_in_their_order_and_share_no_parameter():
    assert list(PARAMETER_GROUPS) == GROUPS
    names = re.findall(r"^(\w+) : ", "\n".join(PARAMETER_GROUPS.values()), re.MULTILINE)
    assert len(names) == len(set(names))
    assert set(names) | {"class_weight"} == set(defaults_of(RNNClassifier))
    assert set(names) | {"loss", "normalize_y"} == set(defaults_of(RNNRegressor))


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_the_groups_are_listed_above_the_parameters(estimator_class):
    text, _ = re.split(r"\nParameters\n-+\n", inspect.cleandoc(estimator_class.__doc__))
    items = re.findall(r"^\* (.+?): (.+?)(?=\n\*|\n*\Z)", text, re.MULTILINE | re.DOTALL)
    assert [title for title, _ in items] == [*GROUPS, "Of this estimator alone"]
    names = [name for _, listed in items for name in re.findall(r"\w+", listed)]
    assert names == [name for name, _ in documented_parameters(estimator_class)]


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_the_tooltips_of_html_diagrams_have_the_description_of_every_parameter(estimator_class):
    common = pytest.importorskip("sklearn.utils._repr_html.common", reason="tooltips come with scikit-learn 1.8")
    if not hasattr(common, "get_docstring"):
        pytest.skip("tooltips come with scikit-learn 1.9")
    for name, type_ in documented_parameters(estimator_class):
        tooltip = common.get_docstring(estimator_class, "Parameters", name)
        assert tooltip.startswith(html.escape(f"{name}: {type_}") + "<br><br>"), name
        assert len(tooltip.split("<br><br>")[1]) > 20, name


@needs_page
def test_the_page_lists_every_parameter_of_both_estimators_once():
    listed = [name for names in sections_of_page().values() for name in names]
    assert sorted(listed) == sorted(set().union(*map(defaults_of, ESTIMATORS)))


@needs_page
def test_the_page_has_the_groups_and_the_order_of_the_docstrings():
    sections = sections_of_page()
    assert list(sections) == GROUPS
    for title, text in PARAMETER_GROUPS.items():
        shared = [name for name in sections[title] if name not in OF_ONE_ESTIMATOR]
        assert shared == re.findall(r"^(\w+) : ", text, re.MULTILINE), title


@needs_page
def test_the_page_links_a_parameter_to_an_estimator_that_has_it():
    links = dict(re.findall(r"\* - :class:`(\w+) <(RNN\w+)>`", PAGE.read_text(encoding="utf-8")))
    classes = {cls.__name__: cls for cls in ESTIMATORS}
    assert all(name in defaults_of(classes[target]) for name, target in links.items())
