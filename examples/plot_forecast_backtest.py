"""
Forecasts, tested backwards in time
===================================

A forecast is tested on times after those of its training, again and again: a backtest. Here networks forecast two
monthly series up to a year ahead: carbon dioxide at Mauna Loa, which rises from year to year, and the temperature of
the sea where El Niño appears, which has no trend. Two other forecasts stand beside them: the value of a year before,
and a seasonal ARIMA model. A network that does not beat the first is of no use; the second is hard to beat on series
this short.
"""

# %%
# Both series ship with statsmodels.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import TimeSeriesSplit
from statsmodels.datasets import co2, elnino
from statsmodels.tsa.statespace.sarimax import SARIMAX

from sklearn_rnn import RNNRegressor
from sklearn_rnn.preprocessing import sliding_windows

plt.rc("font", size=13)

weekly = co2.load_pandas().data["co2"]
series = {
    "CO2 (ppm)": weekly.resample("MS").mean().interpolate().to_numpy(),
    "sea temperature (°C)": elnino.load_pandas()
    .data.iloc[:, 1:]
    .to_numpy(float)
    .ravel(),
}

fig, axes = plt.subplots(2, 1, figsize=(7, 4), layout="constrained")
for ax, (name, values) in zip(axes, series.items()):
    ax.plot(values, linewidth=0.8)
    ax.set(xlabel="month", ylabel=name)
plt.show()

# %%
# Windows
# -------
#
# ``sliding_windows`` cuts a series into windows of two years. The targets of each window are the twelve months after
# it. The origin is its last month.

N_MONTHS = 12  # to forecast
X, y, origins, _ = sliding_windows(series["CO2 (ppm)"], window=24, horizon=N_MONTHS)
print(X.shape, y.shape, origins[:3])

# %%
# The backtest trains three times: on all windows before a test period, which has the next 60. The gap keeps the targets
# of the training out of the test period: those of its last window reach 12 months ahead.

backtest = TimeSeriesSplit(3, test_size=60, gap=N_MONTHS - 1)
for train, test in backtest.split(X):
    last_target = origins[train[-1]] + N_MONTHS
    print(
        f"trained on values up to month {last_target}, the first forecast is made in "
        f"month {origins[test[0]]}"
    )

# %%
# Four forecasters
# ----------------
#
# Each gets a series, its windows, and the training and test windows of a split. It returns forecasts of shape
# (n_test, 12). The ARIMA model gets orders that suit the series: it takes differences to remove a trend. Between two
# forecasts it learns of one more month; its parameters are fitted once for each test period, as those of the networks.
#
# The network as it is predicts the values themselves. A network knows no values beyond those that it was trained on. So
# the second one predicts changes: how much each month will differ from the same month of the year before, and it reads
# each window relative to its mean.


def value_of_a_year_before(values, X, y, origins, train, test):
    return X[test, -N_MONTHS:, 0]


def seasonal_arima(values, X, y, origins, train, test):
    start = origins[test[0]] + 1
    has_trend = values is series["CO2 (ppm)"]
    model = SARIMAX(
        values[:start], order=(1, int(has_trend), 1), seasonal_order=(0, 1, 1, 12)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its start values
        fitted = model.fit(disp=False)
    forecasts = [fitted.forecast(N_MONTHS)]
    for month in range(start, origins[test[-1]] + 1):
        fitted = fitted.extend(values[month : month + 1])
        forecasts.append(fitted.forecast(N_MONTHS))
    return np.array(forecasts)


def network(values, X, y, origins, train, test):
    regressor = RNNRegressor((16,), max_iter=50, random_state=0).fit(X[train], y[train])
    return regressor.predict(X[test])


def network_of_changes(values, X, y, origins, train, test):
    year_before = X[:, -N_MONTHS:, 0]
    relative = X - X.mean(axis=1, keepdims=True)
    changes = network(values, relative, y - year_before, origins, train, test)
    return year_before[test] + changes


forecasters = {
    "a year before": value_of_a_year_before,
    "seasonal ARIMA": seasonal_arima,
    "network": network,
    "network of changes": network_of_changes,
}

# %%
# What came out
# -------------

errors = {}
for name, values in series.items():
    X, y, origins, _ = sliding_windows(values, window=24, horizon=N_MONTHS)
    print(f"\nmean absolute error, {name}   1 month  6 months  12 months  all")
    for method, forecast in forecasters.items():
        absolute = [
            np.abs(forecast(values, X, y, origins, train, test) - y[test])
            for train, test in backtest.split(X)
        ]
        errors[name, method] = error = np.concatenate(absolute).mean(axis=0)
        print(
            f"{method:>20} {error[0]:20.2f} {error[5]:9.2f} {error[11]:10.2f} "
            f"{error.mean():6.2f}",
            flush=True,
        )

# %%

fig, axes = plt.subplots(2, 1, figsize=(7, 5.5), layout="constrained")
for ax, name in zip(axes, series):
    for method in forecasters:
        ax.plot(
            np.arange(1, N_MONTHS + 1), errors[name, method], marker=".", label=method
        )
    ax.set(xlabel="months ahead", ylabel="mean absolute error", title=name, ylim=0)
axes[0].legend()
plt.show()

# %%
# On the rising series the network of values is hardly better than the value of a year before: most of the test period
# is higher than all that it was trained on. The network of changes comes close to the ARIMA model.
#
# On the sea's temperature, changes do not help, and the ARIMA model wins clearly. It has four parameters to learn from
# some 600 months, and the network almost three thousand. For a single short series, take ARIMA. A network needs more
# data: many series at once (``sliding_windows`` takes a list), longer ones, or other columns that tell of the future.
