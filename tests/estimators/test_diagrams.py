"""HTML diagrams of the estimators, as notebooks show them."""

import re

import pytest
from sklearn import config_context
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_estimators import classifier, small_data

from sklearn_rnn import RNNClassifier, RNNRegressor
from sklearn_rnn._base import BaseRNN
from sklearn_rnn._network.engines.notice import engine_name

X, y, _ = small_data(lengths=(4,) * 4)
ESTIMATORS = {
    "alone": lambda: RNNClassifier(hidden_layer_sizes=5),
    "fitted": lambda: classifier(max_iter=1, n_iter_no_change=float("inf")).fit(X, y),
    "in a pipeline": lambda: make_pipeline(StandardScaler(), RNNRegressor(cell="lstm")),
    "in a search": lambda: GridSearchCV(make_pipeline(StandardScaler(), RNNClassifier()), {}),
}
CAPTION = f'<div class="caption">engine: {engine_name()}</div>'

each_place = pytest.mark.parametrize("place", ESTIMATORS)


def without_numbers_of_elements(diagram):
    """scikit-learn counts the diagrams of a process, and their elements."""
    return re.sub(r"(sk-(?:container|estimator)-id-)\d+", r"\1", diagram)


@each_place
def test_diagrams_name_the_engine_under_the_estimator(place):
    diagram = ESTIMATORS[place]()._repr_html_()
    assert diagram.count(CAPTION) == 1
    assert re.search(rf"<div>RNN(Classifier|Regressor)</div>{re.escape(CAPTION)}", diagram)


@each_place
def test_all_else_in_a_diagram_is_scikit_learns(place, monkeypatch):
    estimator = ESTIMATORS[place]()
    diagram = without_numbers_of_elements(estimator._repr_html_())
    monkeypatch.delattr(BaseRNN, "_sk_visual_block_")
    assert diagram.replace(CAPTION, "") == without_numbers_of_elements(estimator._repr_html_())


@each_place
def test_there_is_no_diagram_where_text_was_asked_for(place):
    estimator = ESTIMATORS[place]()
    with config_context(display="text"):
        assert not hasattr(estimator, "_repr_html_")
        assert estimator._repr_mimebundle_() == {"text/plain": repr(estimator)}
    assert "engine" not in repr(estimator)
