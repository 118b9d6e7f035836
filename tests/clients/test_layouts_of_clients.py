"""The layouts of other libraries, as the user guide lists them: each library makes its data itself."""

import numpy as np
import pytest
from client_data import import_client
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import make_pipeline

from sklearn_rnn.preprocessing import ToSequences

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, which are not ours to mend

N_LAGS = 3
VALUES = np.arange(100.0, 112.0)
EXOGENOUS = -np.arange(12.0)


class Recorder(RegressorMixin, BaseEstimator):
    """Keeps the sequences that it is fitted on and predicts from: in the class, because the libraries clone it."""

    fitted_on = None
    predicted_from = None

    def fit(self, X, y):
        Recorder.fitted_on = X
        self.n_outputs_ = np.ndim(y)
        return self

    def predict(self, X):
        Recorder.predicted_from = X
        return X[:, -1, 0] + 1  # goes on as VALUES do


def recording(**layout):
    return make_pipeline(ToSequences(**layout), Recorder())


def daily(values):
    """Values as a pandas.Series of days."""
    pd = import_client("pandas")
    return pd.Series(values, index=pd.date_range("2024-01-01", periods=len(values), freq="D"), name="y")


def lags(values=VALUES, n_windows=9):
    """The windows before each target, (n_windows, N_LAGS), oldest first."""
    return np.array([values[i : i + N_LAGS] for i in range(n_windows)])


def steps_with(*features):
    """Sequences (n_windows, N_LAGS, n_features) of windows (n_windows, N_LAGS), or of values (n_windows,)."""
    features = [np.repeat(f[:, np.newaxis], N_LAGS, axis=1) if f.ndim == 1 else f for f in features]
    return np.stack(features, axis=-1)


def test_skforecast_has_the_newest_lag_first_and_exogenous_columns_at_the_end():
    recursive = import_client("skforecast.recursive")
    estimator = recording(layout="by_step", newest_first=True, exogenous=1)
    forecaster = recursive.ForecasterRecursive(estimator=estimator, lags=N_LAGS)
    exogenous = daily(EXOGENOUS).rename("day")
    forecaster.fit(y=daily(VALUES[:10]), exog=exogenous[:10])
    assert_array_equal(Recorder.fitted_on, steps_with(lags(n_windows=7), EXOGENOUS[3:10]))
    assert_array_equal(forecaster.predict(steps=2, exog=exogenous[10:]), [110, 111])
    assert_array_equal(Recorder.predicted_from, [[[109, -11], [110, -11], [111, -11]]] - np.array([1, 0]))


def test_skforecast_has_the_lags_of_several_series_one_series_after_the_other():
    direct = import_client("skforecast.direct")
    pd = import_client("pandas")
    estimator = recording(layout="by_feature", step_features=2, newest_first=True, exogenous=1)
    forecaster = direct.ForecasterDirectMultiVariate(
        estimator=estimator, level="a", steps=1, lags=N_LAGS, transformer_series=None
    )
    series = pd.DataFrame({"a": daily(VALUES), "b": daily(2 * VALUES)})
    forecaster.fit(series=series, exog=daily(EXOGENOUS).rename("day"))
    assert_array_equal(Recorder.fitted_on, steps_with(lags(), lags(2 * VALUES), EXOGENOUS[3:]))


def test_mlforecast_has_exogenous_columns_first_and_then_the_newest_lag():
    mlforecast = import_client("mlforecast")
    pd = import_client("pandas")
    frame = pd.DataFrame({"unique_id": "s", "ds": daily(VALUES).index, "y": VALUES, "day": EXOGENOUS})
    model = recording(layout="by_step", newest_first=True, exogenous=["day"])
    forecaster = mlforecast.MLForecast(models={"m": model}, freq="D", lags=[1, 2, 3])
    forecaster.fit(frame[:10], static_features=[])
    assert_array_equal(Recorder.fitted_on, steps_with(lags(n_windows=7), EXOGENOUS[3:10]))
    predicted = forecaster.predict(2, X_df=frame.loc[10:, ["unique_id", "ds", "day"]])
    assert_array_equal(predicted["m"], [110, 111])


@pytest.mark.parametrize("scitype", ["tabular-regressor", "infer"])
def test_reduction_in_sktime_has_one_feature_after_the_other(scitype):
    compose = import_client("sktime.forecasting.compose")
    estimator = recording(layout="by_feature", step_features=2)
    forecaster = compose.make_reduction(estimator, window_length=N_LAGS, strategy="recursive", scitype=scitype)
    exogenous = daily(EXOGENOUS).rename("day").to_frame()
    forecaster.fit(daily(VALUES[:11]), X=exogenous[:11], fh=[1])
    assert_array_equal(Recorder.fitted_on, steps_with(lags(n_windows=8), lags(EXOGENOUS, n_windows=8)))
    assert_array_equal(np.ravel(forecaster.predict(X=exogenous[11:])), [111])


def test_tabularizer_in_sktime_has_one_channel_after_the_other():
    reduce = import_client("sktime.transformations.panel.reduce")
    cases = np.arange(30.0).reshape(3, 2, 5)  # case, channel, time
    table = reduce.Tabularizer().fit_transform(cases)
    sequences = ToSequences("by_feature", step_features=2).fit_transform(table)
    assert_array_equal(sequences, cases.transpose(0, 2, 1))


def test_darts_has_the_lags_of_covariates_one_after_the_other():
    darts = import_client("darts")
    models = import_client("darts.models")
    index = daily(VALUES).index
    series, past, future = (
        darts.TimeSeries.from_times_and_values(index, values) for values in (VALUES, 2 * VALUES, EXOGENOUS)
    )
    estimator = recording(layout="by_feature", step_features=2, exogenous=1)
    model = models.SKLearnModel(
        lags=N_LAGS, lags_past_covariates=N_LAGS, lags_future_covariates=[0], model=estimator, multi_models=False
    )
    model.fit(series, past_covariates=past, future_covariates=future)
    assert_array_equal(Recorder.fitted_on, steps_with(lags(), lags(2 * VALUES), EXOGENOUS[3:]))


def test_darts_has_the_components_of_a_series_step_after_step():
    darts = import_client("darts")
    models = import_client("darts.models")
    both = np.column_stack([VALUES, 2 * VALUES])
    series = darts.TimeSeries.from_times_and_values(daily(VALUES).index, both)
    past = darts.TimeSeries.from_times_and_values(daily(VALUES).index, VALUES)
    model = models.SKLearnModel(
        lags=None, lags_past_covariates=N_LAGS, model=recording(layout="by_step", step_features=2), multi_models=False
    )
    model.fit(past, past_covariates=series)
    assert_array_equal(Recorder.fitted_on, steps_with(lags(), lags(2 * VALUES)))


def test_tslearn_pads_the_end_with_nan():
    utils = import_client("tslearn.utils")
    series = [[1.0, 2.0, 3.0], [4.0, 5.0], [6.0]]
    data = utils.to_time_series_dataset(series)
    sequences = ToSequences("case_time_channel", padding=np.nan).fit_transform(data)
    assert [sequence[:, 0].tolist() for sequence in sequences] == series


def test_aeon_has_case_channel_time():
    datasets = import_client("aeon.testing.data_generation")
    X, _ = datasets.make_example_3d_numpy(n_cases=4, n_channels=3, n_timepoints=8)
    assert_array_equal(ToSequences("case_channel_time").fit_transform(X)[2, :, 1], X[2, 1])
    X, _ = datasets.make_example_3d_numpy_list(n_cases=4, n_channels=2, min_n_timepoints=5, max_n_timepoints=9)
    sequences = ToSequences("case_channel_time").fit_transform(X)
    assert [sequence.shape for sequence in sequences] == [x.shape[::-1] for x in X]
    assert_array_equal(sequences[3][:, 1], X[3][1])
