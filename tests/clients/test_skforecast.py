"""skforecast: forecasts of a network equal those of a loop, and beat the last period."""

import numpy as np
from client_data import PERIOD, announcements_ignored, forecast_by_hand, import_client, regressor, seasonal, windows_of
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from sklearn_rnn.preprocessing import ToSequences

pytestmark = announcements_ignored


def network(**layout):
    return make_pipeline(ToSequences("by_step", newest_first=True, **layout), regressor(max_iter=40))


def mean_absolute_error(forecasts, series):
    return np.abs(np.asarray(forecasts) - np.asarray(series)).mean()


def test_recursive_forecasts_are_those_of_a_loop():
    client = import_client("skforecast.recursive").ForecasterRecursive
    series = seasonal()
    past, future = series[:-PERIOD], series[-PERIOD:]
    forecaster = client(estimator=network(), lags=PERIOD)
    forecaster.fit(y=past)
    forecasts = forecaster.predict(steps=PERIOD)
    by_hand = regressor(max_iter=40).fit(*windows_of(past))
    assert_allclose(forecasts, forecast_by_hand(by_hand, past, PERIOD), rtol=1e-6, atol=1e-9)
    assert mean_absolute_error(forecasts, future) < 0.1  # the sine has an amplitude of 1, and the noise of 0.05


def test_direct_forecasts_have_a_network_for_each_step():
    client = import_client("skforecast.direct").ForecasterDirect
    series = seasonal()
    past, future = series[:-3], series[-3:]
    forecaster = client(estimator=network(), lags=PERIOD, steps=3)
    forecaster.fit(y=past)
    windows, _ = windows_of(past)
    last = past.to_numpy()[-PERIOD:, np.newaxis]
    by_hand = [
        regressor(max_iter=40).fit(windows[: len(windows) - 2], past.to_numpy()[PERIOD + step :][: len(windows) - 2])
        for step in range(3)
    ]
    forecasts = forecaster.predict()
    assert_allclose(forecasts, [one.predict(last[np.newaxis])[0] for one in by_hand], rtol=1e-6, atol=1e-9)
    assert mean_absolute_error(forecasts, future) < 0.15


def test_backtests_beat_the_value_of_a_period_before():
    client = import_client("skforecast.recursive").ForecasterRecursive
    model_selection = import_client("skforecast.model_selection")
    series = seasonal(20 * PERIOD)
    forecaster = client(estimator=network(), lags=PERIOD)
    folds = model_selection.TimeSeriesFold(steps=4, initial_train_size=15 * PERIOD, refit=False)
    metric, forecasts = model_selection.backtesting_forecaster(
        forecaster, y=series, cv=folds, metric="mean_absolute_error", show_progress=False
    )
    error = metric["mean_absolute_error"].item()
    assert len(forecasts) == 5 * PERIOD
    assert_allclose(error, mean_absolute_error(forecasts["pred"], series[15 * PERIOD :]), rtol=1e-9)
    assert error < mean_absolute_error(series[14 * PERIOD : -PERIOD], series[15 * PERIOD :])


def test_one_network_forecasts_several_series():
    client = import_client("skforecast.recursive").ForecasterRecursiveMultiSeries
    series = seasonal()
    both = {"a": series, "b": -series}
    forecaster = client(estimator=network(exogenous=1), lags=PERIOD, encoding="ordinal")
    forecaster.fit(series={name: values[:-3] for name, values in both.items()})
    forecasts = forecaster.predict(steps=3)
    for name, values in both.items():
        assert mean_absolute_error(forecasts.loc[forecasts["level"] == name, "pred"], values[-3:]) < 0.15


def test_intervals_come_from_the_residuals():
    client = import_client("skforecast.recursive").ForecasterRecursive
    series = seasonal()
    forecaster = client(estimator=network(), lags=PERIOD)
    forecaster.fit(y=series[:-PERIOD], store_in_sample_residuals=True)
    bounds = forecaster.predict_interval(steps=PERIOD, interval=[0.05, 0.95], n_boot=50)
    assert (bounds["lower_bound"] < bounds["upper_bound"]).all()
    assert bounds["pred"].between(bounds["lower_bound"], bounds["upper_bound"]).mean() > 0.9
    assert series[-PERIOD:].between(bounds["lower_bound"], bounds["upper_bound"]).mean() > 0.5
