"""Inspection of fitted networks: gradients, training, states and predictions, in figures and pictures; a diagnosis."""

from sklearn_rnn.inspection._diagnose import diagnose
from sklearn_rnn.inspection._gradient_flow import gradient_flow
from sklearn_rnn.inspection._gradient_flow_display import GradientFlowDisplay
from sklearn_rnn.inspection._hidden_states_display import HiddenStatesDisplay
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
    "diagnose",
    "gradient_flow",
    "truncation_bias",
]
