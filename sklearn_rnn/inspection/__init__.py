"""Inspection of fitted networks: explanations, a diagnosis, gradients, pictures of training, states and predictions."""

from sklearn_rnn.inspection._diagnose import diagnose
from sklearn_rnn.inspection._displays.attribution import AttributionDisplay
from sklearn_rnn.inspection._displays.gradient_flow import GradientFlowDisplay
from sklearn_rnn.inspection._displays.hidden_states import HiddenStatesDisplay
from sklearn_rnn.inspection._displays.step_prediction import StepPredictionDisplay
from sklearn_rnn.inspection._displays.training_curve import TrainingCurveDisplay
from sklearn_rnn.inspection._displays.truncation_bias import TruncationBiasDisplay
from sklearn_rnn.inspection._explanations.attribute import attribute
from sklearn_rnn.inspection._explanations.permutation_importance import permutation_importance
from sklearn_rnn.inspection._gradient_flow import gradient_flow
from sklearn_rnn.inspection._truncation_bias import truncation_bias

__all__ = [
    "AttributionDisplay",
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
