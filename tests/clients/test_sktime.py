"""sktime: forecasters by reduction, and classifiers of its panels."""

import numpy as np
import pytest
from client_data import (
    PERIOD,
    announcements_ignored,
    classifier,
    forecast_by_hand,
    import_client,
    regressor,
    seasonal,
    windows_of,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline

from sklearn_rnn.preprocessing import ToSequences

pytestmark = announcements_ignored


def basic_motions(split, form):
    """Six channels of 100 steps, four kinds of motion; the library brings these data."""
    return import_client("sktime.datasets").load_basic_motions(split=split, return_type=form)


# ---- Forecasts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scitype", "layout"), [("tabular-regressor", "by_step"), ("time-series-regressor", "case_channel_time")]
)
def test_recursive_reduction_forecasts_as_a_loop_does(scitype, layout):
    compose = import_client("sktime.forecasting.compose")
    series = seasonal()
    past, future = series[:-PERIOD], series[-PERIOD:]
    network = make_pipeline(ToSequences(layout), regressor(max_iter=40))
    forecaster = compose.make_reduction(network, window_length=PERIOD, strategy="recursive", scitype=scitype)
    forecasts = forecaster.fit(past, fh=np.arange(1, PERIOD + 1)).predict()
    by_hand = regressor(max_iter=40).fit(*windows_of(past))
    assert_allclose(forecasts, forecast_by_hand(by_hand, past, PERIOD), rtol=1e-6, atol=1e-9)
    assert np.abs(forecasts - future).mean() < 0.1


@pytest.mark.parametrize("strategy", ["direct", "multioutput"])
def test_other_reductions_forecast_half_a_period(strategy):
    compose = import_client("sktime.forecasting.compose")
    series, horizon = seasonal(), PERIOD // 2
    forecaster = compose.make_reduction(regressor(max_iter=40), window_length=PERIOD, strategy=strategy)
    forecasts = forecaster.fit(series[:-horizon], fh=np.arange(1, horizon + 1)).predict()
    assert forecasts.index.equals(series.index[-horizon:])
    assert np.abs(forecasts - series[-horizon:]).mean() < 0.15


# ---- Classification ----------------------------------------------------------------------------------


def test_a_pipeline_hands_over_one_channel_after_the_other():
    compose = import_client("sktime.classification.compose")
    truncation = import_client("sktime.transformations.panel.truncation")
    X, y = basic_motions("train", "numpy3D")
    X_test, y_test = basic_motions("test", "numpy3D")
    network = make_pipeline(ToSequences("by_feature", step_features=6), classifier())
    first_half = truncation.TruncationTransformer(lower=0, upper=50)
    pipeline = compose.SklearnClassifierPipeline(network, [first_half]).fit(X, y)
    by_hand = classifier().fit(X[..., :50].transpose(0, 2, 1), y)
    assert_allclose(pipeline.predict_proba(X_test), by_hand.predict_proba(X_test[..., :50].transpose(0, 2, 1)))
    assert np.mean(pipeline.predict(X_test) == y_test) > 0.8


def test_panels_of_unequal_lengths_are_padded_and_unpadded():
    datasets = import_client("sktime.datasets")
    compose = import_client("sktime.classification.compose")
    padder = import_client("sktime.transformations.panel.padder")
    X, y = datasets.load_japanese_vowels(split="train", return_type="nested_univ")
    assert len({len(cell) for cell in X.iloc[:, 0]}) > 10
    network = make_pipeline(ToSequences("by_feature", step_features=12, padding=0), classifier(max_iter=5))
    pipeline = compose.SklearnClassifierPipeline(network, [padder.PaddingTransformer(pad_length=29)]).fit(X, y)
    direct = classifier(max_iter=5).fit(X, y)
    assert_array_equal(pipeline.predict(X), direct.predict(X))
    assert direct.score(X, y) > 0.6  # of nine speakers


@pytest.mark.parametrize("form", ["nested_univ", "pd-multiindex"])
def test_frames_of_panels_need_no_layout(form):
    X, y = basic_motions("train", form)
    X_test, y_test = basic_motions("test", form)
    arrays, arrays_test = (basic_motions(split, "numpy3D")[0].transpose(0, 2, 1) for split in ("train", "test"))
    network, by_hand = classifier().fit(X, y), classifier().fit(arrays, y)
    assert network.n_features_in_ == len(network.feature_names_in_) == 6
    assert_array_equal(network.predict_proba(X_test), by_hand.predict_proba(arrays_test))
    assert network.score(X_test, y_test) > 0.8
