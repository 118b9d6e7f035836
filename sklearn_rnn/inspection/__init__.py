"""Inspection of fitted networks: explanations, a diagnosis, gradients, pictures of training, states and predictions."""

from sklearn_rnn.inspection._attribute import attribute
from sklearn_rnn.inspection._diagnose import diagnose
from sklearn_rnn.inspection._gradient_flow import gradient_flow
from sklearn_rnn.inspection._gradient_flow_display import GradientFlowDisplay
from sklearn_rnn.inspection._hidden_states_display import HiddenStatesDisplay
from sklearn_rnn.inspection._permutation_importance import permutation_importance
from sklearn_rnn.inspection._step_prediction_display import StepPredictionDisplay
from sklearn_rnn.inspection._training_curve_display import TrainingCurveDisplay
from sklearn_rnn.inspection._truncation_bias import truncation_bias
from sklearn_rnn.inspection._truncation_bias_display import TruncationBiasDisplay

__all__ = [
    "GradientFlowDisplay",
    "HiddenStatesDisplay",
    "StepPredictionDisplay",
    "TrainingCurveDisplay",
    "TruncationBiasDisplay",
    "attribute",
    "diagnose",
    "gradient_flow",
    "permutation_importance",
    "truncation_bias",
]
