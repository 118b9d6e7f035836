"""The house stands: imports point down, nobody reaches into another module's private names, and importing is light."""

import ast
from pathlib import Path

import pytest
from helpers import run_python

import sklearn_rnn

ROOT = Path(sklearn_rnn.__file__).parent
# The folders and modules that each may import, besides itself.
MAY_IMPORT = {
    "_utils": set(),
    "_data": {"_utils"},
    "_network": {"_utils", "_data"},
    "_versions": {"_network"},
    "_model": {"_utils", "_data", "_network"},
    "_inference": {"_utils", "_data", "_network", "_model"},
    "_training": {"_utils", "_data", "_network", "_model", "_inference"},
    "_settings": {"_data", "_network", "_training"},
    "_identity": {"_utils", "_data"},
    "callbacks": {"_utils"},
    "_documentation": set(),
    "_scoring": {"_data", "_model"},
    "_fitted": {"_utils", "_data", "_model", "_inference"},
    "_resuming": {"_model", "_training", "_identity"},
    "datasets": set(),
    "preprocessing": {"_utils", "_data", "_network", "_inference"},
    "metrics": {"_data"},
    "model_selection": {"_data"},
    "_base": {
        "_utils",
        "_data",
        "_network",
        "_model",
        "_training",
        "_settings",
        "_scoring",
        "_fitted",
        "_resuming",
        "callbacks",
    },
    "_classifier": {"_data", "_training", "_settings", "_documentation", "_base"},
    "_regressor": {"_data", "_training", "_settings", "_documentation", "_base"},
    "_pipelines": {"_inference", "_base"},
    "export": {
        "_data",
        "_network",
        "_model",
        "_inference",
        "_settings",
        "_base",
        "_classifier",
        "_regressor",
        "_pipelines",
        "preprocessing",
    },
    "dask": {
        "_utils",
        "_data",
        "_network",
        "_model",
        "_inference",
        "_training",
        "_settings",
        "_documentation",
        "_identity",
        "_base",
        "_classifier",
        "_regressor",
        "preprocessing",
    },
    "_persistence": {"_utils", "_training", "_base", "preprocessing", "callbacks"},
    "inspection": {
        "_utils",
        "_data",
        "_network",
        "_model",
        "_inference",
        "_training",
        "_settings",
        "_base",
        "_pipelines",
        "preprocessing",
    },
    "utils": {"preprocessing"},
}
# Of scikit-learn, of Python, or of a draft of the object itself.
PRIVATE_NAMES_OF_OTHERS = {"_validate_params", "_init_callback_context", "_getframe", "_at_fork_reinit", "_replace"}

modules = [path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]
each_module = pytest.mark.parametrize("module", modules, ids=str)


def room_of(module):
    """The folder, or the module at the root, that a module belongs to."""
    return module.parts[0].removesuffix(".py")


def imports_of(module):
    """Rooms that a module imports when it is loaded: imports for type checkers alone do not count."""
    tree = ast.parse((ROOT / module).read_text())
    tree.body = [node for node in tree.body if not is_for_type_checkers(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "sklearn_rnn":
            _, *path = node.module.split(".")
            yield from [path[0]] if path else [alias.name for alias in node.names]


def is_for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


@each_module
def test_imports_point_down(module):
    room = room_of(module)
    assert room in MAY_IMPORT, f"{room} has no floor: give it one here and in docs/developer/architecture.rst"
    assert set(imports_of(module)) - {room} <= MAY_IMPORT[room]


@each_module
def test_nobody_reaches_into_anothers_private_names(module):
    tree = ast.parse((ROOT / module).read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_of_self(node)}
    own |= {node.target.id for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and is_name(node.target)}
    reached = {
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_of_self(node)
        if node.attr not in own | PRIVATE_NAMES_OF_OTHERS
    }
    assert not reached


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def is_name(node):
    return isinstance(node, ast.Name)


def is_of_self(node):
    return is_name(node.value) and node.value.id in ("self", "cls")


def test_the_package_does_not_import_other_models():
    """They take a third of the time of an import, and 10 MB."""
    program = """
        import sys
        import sklearn_rnn
        print(*(name for name in sys.modules if name.startswith(("sklearn.linear_model", "sklearn.model_selection"))))
    """
    assert run_python(program).split() == []
