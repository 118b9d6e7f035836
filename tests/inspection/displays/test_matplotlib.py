"""matplotlib is imported to draw, and only then."""

import sys

import pytest
from helpers import run_python

from sklearn_rnn.inspection import (
    AttributionDisplay,
    GradientFlowDisplay,
    HiddenStatesDisplay,
    StepPredictionDisplay,
    TrainingCurveDisplay,
    TruncationBiasDisplay,
)

DISPLAYS = {
    AttributionDisplay: {"attributions": [[0.0]], "feature_names": ["x0"]},
    GradientFlowDisplay: {"flows": {"a": None}},
    HiddenStatesDisplay: {"hidden_states": [[0.0]], "unit_order": [0]},
    StepPredictionDisplay: {"y_true": [0.0], "y_pred": [0.0]},
    TrainingCurveDisplay: {"losses": [0.0]},
    TruncationBiasDisplay: {"truncations": [1], "relative_bias": [0.0], "cosine": [1.0], "relative_norm": [1.0]},
}


def test_importing_inspection_does_not_import_matplotlib():
    program = "import sys; import sklearn_rnn.inspection; print('matplotlib' in sys.modules)"
    assert run_python(program) == "False\n"


@pytest.mark.parametrize(("display", "arrays"), DISPLAYS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_without_matplotlib_the_error_names_the_extra(monkeypatch, display, arrays):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    made = display(**arrays)
    assert {name: getattr(made, name) for name in arrays} == arrays
    message = r'needs matplotlib: pip install "sklearn-rnn\[plot\]"'
    n_data = {TrainingCurveDisplay: 0, AttributionDisplay: 1, HiddenStatesDisplay: 1}.get(display, 2)
    with pytest.raises(ImportError, match=rf"^{display.__name__}.from_estimators? {message}"):
        display.from_estimator("not looked at", *[[]] * n_data)
    if display is not GradientFlowDisplay:  # it looks at its flows first
        with pytest.raises(ImportError, match=rf"^{display.__name__}.plot {message}"):
            made.plot()
