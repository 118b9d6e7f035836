"""DaskRNNRegressor: the plain regressor, trained on parts that stay on their workers."""

from __future__ import annotations

from sklearn.utils.metaestimators import available_if

from sklearn_rnn._regressor import RNNRegressor
from sklearn_rnn._settings import can_partial_fit
from sklearn_rnn.dask._mixin import DaskMixin
from sklearn_rnn.dask._settings import CONSTRAINTS, document_dask_rnn, init_of


@document_dask_rnn
class DaskRNNRegressor(DaskMixin, RNNRegressor):
    """Recurrent neural network regressor for data in parts on a Dask cluster.

    The result has the same bits for any number of workers and threads, and when workers are lost. See the
    :ref:`user guide <dask>`. The parameters by group:

    {groups}

    Parameters
    ----------
    {parameters}
    loss : {{"squared_error", "absolute_error", "huber", "poisson"}}, default="squared_error"
        As for :class:`~sklearn_rnn.RNNRegressor`.
    normalize_y : bool, default=True
        As for :class:`~sklearn_rnn.RNNRegressor`.
    {of_cluster}

    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape (n_outputs,), float64
        As of :class:`~sklearn_rnn.RNNRegressor`.
    {attributes}

    See Also
    --------
    DaskRNNClassifier : The same for class labels.
    sklearn_rnn.RNNRegressor : For data in the memory of one process.

    References
    ----------
    {references}

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from sklearn_rnn.dask import DaskRNNRegressor
    >>> from sklearn_rnn.datasets import make_noisy_sines
    >>> X, y = make_noisy_sines(40, random_state=0)
    >>> X, y = da.from_array(X, chunks=(20, -1, -1)), da.from_array(y, chunks=20)
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     reg = DaskRNNRegressor(4, max_iter=2, random_state=0).fit(X, y)
    >>> len(reg.loss_curve_)
    2
    """

    _plain_class = RNNRegressor
    _parameter_constraints: dict = {**RNNRegressor._parameter_constraints, **CONSTRAINTS}
    __init__ = init_of(RNNRegressor)

    @available_if(can_partial_fit)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Pass over the parts once, continuing from the current weights and optimizer state.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        self : object
            The trained estimator.

        Examples
        --------
        >>> import dask.array as da
        >>> from distributed import Client
        >>> from sklearn_rnn.dask import DaskRNNRegressor
        >>> from sklearn_rnn.datasets import make_noisy_sines
        >>> X, y = make_noisy_sines(40, random_state=0)
        >>> X, y = da.from_array(X, chunks=(20, -1, -1)), da.from_array(y, chunks=20)
        >>> with Client(processes=False, dashboard_address=":0") as client:
        ...     reg = DaskRNNRegressor(4, random_state=0).partial_fit(X, y)
        >>> reg.n_iter_
        1
        """
        return super().partial_fit(X, y, sample_weight)
