"""The examples of the README, the landing page and the user guide run, and show what they print."""

import doctest
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.rst", DOCS / "index.rst", *sorted((DOCS / "user_guide").glob("*.rst"))] if DOCS.exists() else []
EXAMPLES = {
    page.relative_to(ROOT).as_posix(): examples
    for page in PAGES
    if (examples := doctest.DocTestParser().get_examples(page.read_text(encoding="utf-8")))
}


def missing_packages(examples):
    """The packages that the examples import and that are not installed."""
    source = "".join(example.source for example in examples)
    return [
        name for name in set(re.findall(r"^ *(?:from|import) (\w+)", source, re.MULTILINE)) if find_spec(name) is None
    ]


@pytest.mark.skipif(
    not EXAMPLES, reason="the tests run without the documentation's sources, as with an installed wheel"
)
@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="the pages show how NumPy 2 prints numbers")
@pytest.mark.parametrize("page", EXAMPLES)
def test_the_examples_of_the_page_print_what_it_shows(page):
    if missing := missing_packages(EXAMPLES[page]):
        pytest.skip(f"the page needs {', '.join(missing)}")
    test = doctest.DocTest(EXAMPLES[page], {}, page, str(ROOT / page), 0, None)
    report = []
    results = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert results.failed == 0, "".join(report)
