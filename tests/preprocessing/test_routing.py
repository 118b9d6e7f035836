"""TimeDistributed as a router of metadata: the transformer's requests decide, and weights of sequences are repeated."""

import numpy as np
import pytest
from helpers import make_sequences
from numpy.testing import assert_allclose, assert_array_equal
from refusals import LABELS, LENGTHS, classifier
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn.preprocessing import TimeDistributed

WEIGHTS = np.array([1.0, 0.0, 2.0, 3.0, 0.5, 1.0])


@pytest.fixture(autouse=True)
def with_routing():
    with config_context(enable_metadata_routing=True):
        yield


def weighted_mean():
    return np.average(np.concatenate(make_sequences(LENGTHS)), axis=0, weights=np.repeat(WEIGHTS, LENGTHS))


class Recorder(TransformerMixin, BaseEstimator):
    """Keeps the metadata of its fit."""

    def fit(self, X, y=None, site=None, unit=None):
        self.site_, self.unit_ = site, unit
        return self

    def transform(self, X):
        return np.asarray(X)


@pytest.mark.parametrize("method", ["fit", "fit_transform", "partial_fit"])
def test_requested_weights_reach_the_transformer(method):
    scaler = StandardScaler().set_fit_request(sample_weight=True).set_partial_fit_request(sample_weight=True)
    scaler = TimeDistributed(scaler)
    getattr(scaler, method)(make_sequences(LENGTHS), sample_weight=WEIGHTS)
    assert_allclose(scaler.transformer_.mean_, weighted_mean(), rtol=1e-12)


def test_weights_reach_the_transformer_through_a_pipeline():
    scaler = TimeDistributed(StandardScaler().set_fit_request(sample_weight=True))
    network = classifier().set_fit_request(sample_weight=True)
    pipeline = make_pipeline(scaler, network).fit(make_sequences(LENGTHS), LABELS, sample_weight=WEIGHTS)
    assert_allclose(pipeline[0].transformer_.mean_, weighted_mean(), rtol=1e-12)


def test_weights_that_nobody_requests_are_no_secret():
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        TimeDistributed(StandardScaler()).fit(make_sequences(LENGTHS), sample_weight=WEIGHTS)
    unwanted = TimeDistributed(StandardScaler().set_fit_request(sample_weight=False))
    pipeline = make_pipeline(unwanted, classifier().set_fit_request(sample_weight=True))
    pipeline.fit(make_sequences(LENGTHS), LABELS, sample_weight=WEIGHTS)
    mean = np.concatenate(make_sequences(LENGTHS)).mean(axis=0)
    assert_allclose(pipeline[0].transformer_.mean_, mean, rtol=1e-12)


def test_weights_may_have_another_name():
    inner = make_pipeline(StandardScaler().set_fit_request(sample_weight="importance"), Recorder())
    scaler = TimeDistributed(inner).fit(make_sequences(LENGTHS), importance=WEIGHTS)
    assert_allclose(scaler.transformer_[0].mean_, weighted_mean(), rtol=1e-12)


def test_metadata_of_sequences_and_of_steps_become_those_of_rows():
    recorder = Recorder().set_fit_request(site=True, unit=True)
    sites = np.array(list("abcdef"))
    of_steps = [np.arange(n) for n in LENGTHS]
    fitted = TimeDistributed(recorder).fit(make_sequences(LENGTHS), site=sites, unit="m").transformer_
    assert_array_equal(fitted.site_, np.repeat(sites, LENGTHS))
    assert fitted.unit_ == "m"
    fitted = TimeDistributed(recorder).fit(make_sequences(LENGTHS), site=of_steps).transformer_
    assert_array_equal(fitted.site_, np.concatenate(of_steps))
