"""Every public name has an example in its docstring, and the examples give the results that they show."""

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys

import pytest

import sklearn_rnn

# Optional libraries, each with a pattern of the examples that need it.
LIBRARIES = {
    "matplotlib": "Display",
    "narwhals": "sequences_from_frame|frame_from_sequences",
    "pandas": "import pandas",
    "polars": "import polars",
}
# Public packages that need a library.
OPTIONAL = {"sklearn_rnn.dask": "distributed"}
# show_versions has figures that differ between machines.
FLAGS = doctest.ELLIPSIS


def public_modules():
    """The package, and its modules whose names have no underscore."""
    names = [module.name for module in pkgutil.walk_packages(sklearn_rnn.__path__, "sklearn_rnn.")]
    missing = {name for name, library in OPTIONAL.items() if importlib.util.find_spec(library) is None}
    return [sklearn_rnn, *(importlib.import_module(name) for name in names if "._" not in name and name not in missing)]


def public_names():
    """Yield the name of everything that is public, and the object: functions, classes, and what classes define."""
    for module in public_modules():
        for name in module.__all__:
            public = getattr(module, name)
            yield f"{module.__name__}.{name}", public
            if inspect.isclass(public):
                yield from ((f"{module.__name__}.{name}.{member}", value) for member, value in members_of(public))


def members_of(cls):
    """Yield the public methods and properties that a class has from this package, and not from scikit-learn."""
    for name in dir(cls):
        static = inspect.getattr_static(cls, name)
        member = static if isinstance(static, property) else getattr(cls, name)
        function = static.fget if isinstance(static, property) else inspect.unwrap(member)
        if not name.startswith("_") and (getattr(function, "__module__", None) or "").startswith("sklearn_rnn"):
            yield name, member


def example_of(public):
    return doctest.DocTestParser().get_doctest(inspect.getdoc(public) or "", {}, "example", None, 0)


NAMES = dict(public_names())


def test_the_names_are_found():
    """So that the tests below test something."""
    assert {
        "sklearn_rnn.RNNClassifier",
        "sklearn_rnn.RNNClassifier.partial_fit",
        "sklearn_rnn.PredictionStream.state",
        "sklearn_rnn.datasets.make_copy_memory",
        "sklearn_rnn.inspection.AttributionDisplay.from_estimator",
        "sklearn_rnn.utils.estimator_checks.check_sequence_estimator",
    } <= set(NAMES)
    assert "sklearn_rnn.RNNClassifier.get_params" not in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example(name):
    assert "\nExamples\n--------\n" in (inspect.getdoc(NAMES[name]) or "")
    assert example_of(NAMES[name]).examples


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_examples_give_their_results(name):
    example = example_of(NAMES[name])
    source = "".join(line.source for line in example.examples)
    for library, pattern in LIBRARIES.items():
        if re.search(pattern, source):
            pytest.importorskip(library, reason=f"the example needs {library}")
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].use("Agg")
    messages = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=messages.append)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    assert result.attempted > 0
    assert not result.failed, "".join(messages)
