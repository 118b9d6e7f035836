"""The examples of the page about exports run."""

import doctest
from pathlib import Path

import pytest
from helpers import import_client, import_torch

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "export.rst"
pytestmark = [
    pytest.mark.skipif(
        not PAGE.exists(), reason="the tests run without the documentation's sources, as with an installed wheel"
    ),
    pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # of skl2onnx itself
]


def run_examples(of_torch):
    """Run the examples of the section about PyTorch, or of those before it."""
    before, title, after = PAGE.read_text(encoding="utf-8").partition("\nPyTorch\n-------\n")
    assert title
    examples = doctest.DocTestParser().get_doctest(after if of_torch else before, {}, PAGE.name, str(PAGE), 0)
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples)
    assert results.attempted > 5
    assert results.failed == 0


def test_the_examples_of_onnx_run():
    for module in ("onnx", "onnxruntime", "skl2onnx"):
        import_client(module)
    run_examples(of_torch=False)


@pytest.mark.torch
def test_the_examples_of_torch_run():
    import_torch()
    run_examples(of_torch=True)
