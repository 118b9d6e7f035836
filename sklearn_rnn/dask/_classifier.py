"""DaskRNNClassifier: the plain classifier, trained on parts that stay on their workers."""

from __future__ import annotations

from sklearn.utils.metaestimators import available_if

from sklearn_rnn._classifier import RNNClassifier
from sklearn_rnn._settings import can_partial_fit
from sklearn_rnn.dask._mixin import DaskMixin
from sklearn_rnn.dask._parts import is_collection
from sklearn_rnn.dask._settings import CONSTRAINTS, document_dask_rnn, init_of


@document_dask_rnn
class DaskRNNClassifier(DaskMixin, RNNClassifier):
    """Recurrent neural network classifier for data in parts on a Dask cluster.

    The result has the same bits for any number of workers and threads, and when workers are lost. See the
    :ref:`user guide <dask>`. The parameters by group:

    {groups}

    Parameters
    ----------
    {parameters}
    class_weight : dict, "balanced" or None, default=None
        As for :class:`~sklearn_rnn.RNNClassifier`.
    {of_cluster}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels; for multilabel targets the labels' indices.
    {attributes}

    See Also
    --------
    DaskRNNRegressor : The same for real-valued targets.
    sklearn_rnn.RNNClassifier : For data in the memory of one process.

    References
    ----------
    {references}

    Examples
    --------
    >>> import dask.bag as db
    >>> from distributed import Client
    >>> from sklearn_rnn.dask import DaskRNNClassifier
    >>> from sklearn_rnn.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(subset="train", return_X_y=True)
    >>> X, y = (db.from_sequence(values, npartitions=4) for values in (X, y))
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     clf = DaskRNNClassifier(16, max_iter=5, random_state=0).fit(X, y)
    >>> clf.to_local()
    RNNClassifier(hidden_layer_sizes=16, max_iter=5, random_state=0)
    """

    _plain_class = RNNClassifier
    _parameter_constraints: dict = {**RNNClassifier._parameter_constraints, **CONSTRAINTS}
    __init__ = init_of(RNNClassifier)

    @available_if(can_partial_fit)
    def partial_fit(self, X, y=None, classes=None, sample_weight=None):
        """Pass over the parts once, continuing from the current weights and optimizer state.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.
        classes : array-like of shape (n_classes,), default=None
            All labels of all calls; required in the first one.

        Returns
        -------
        self : object
            The trained estimator.

        Examples
        --------
        >>> import dask.bag as db
        >>> from distributed import Client
        >>> from sklearn_rnn.dask import DaskRNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> X, y = (db.from_sequence(values, npartitions=2) for values in (X, y))
        >>> with Client(processes=False, dashboard_address=":0") as client:
        ...     clf = DaskRNNClassifier(8, random_state=0)
        ...     clf = clf.partial_fit(X, y, classes=["down", "up"])
        >>> clf.n_iter_
        1
        """
        return super().partial_fit(X, y, classes, sample_weight)

    def predict_proba(self, X):
        """Predict probabilities of the classes, lazily for collections.

        Parameters
        ----------
        X : collection of Dask, or array-like or list
            Sequences, as for ``predict``.

        Returns
        -------
        collection of the kind of X, or ndarray
            With a column for each class, in the order of ``classes_``.

        Examples
        --------
        >>> import dask.bag as db
        >>> from distributed import Client
        >>> from sklearn_rnn.dask import DaskRNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> X, y = (db.from_sequence(values, npartitions=2) for values in (X, y))
        >>> with Client(processes=False, dashboard_address=":0") as client:
        ...     clf = DaskRNNClassifier(8, max_iter=20, random_state=0).fit(X, y)
        ...     [len(of_sequence) for of_sequence in clf.predict_proba(X)]
        [2, 2, 2, 2]
        """
        return self._lazily("predict_proba", X) if is_collection(X) else super().predict_proba(X)

    def predict_log_proba(self, X):
        """Predict logarithms of the probabilities of the classes, lazily for collections.

        Parameters
        ----------
        X : collection of Dask, or array-like or list
            Sequences, as for ``predict``.

        Returns
        -------
        collection of the kind of X, or ndarray
            In the form of ``predict_proba``.

        Examples
        --------
        >>> import dask.bag as db
        >>> from distributed import Client
        >>> from sklearn_rnn.dask import DaskRNNClassifier
        >>> X = [[0.1, 0.5, 0.9], [0.8, 0.3], [0.2, 0.4, 0.6, 0.7], [0.9, 0.1]]
        >>> y = ["up", "down", "up", "down"]
        >>> X, y = (db.from_sequence(values, npartitions=2) for values in (X, y))
        >>> with Client(processes=False, dashboard_address=":0") as client:
        ...     clf = DaskRNNClassifier(8, max_iter=20, random_state=0).fit(X, y)
        ...     [len(of_sequence) for of_sequence in clf.predict_log_proba(X)]
        [2, 2, 2, 2]
        """
        return self._lazily("predict_log_proba", X) if is_collection(X) else super().predict_log_proba(X)
