"""Model selection for targets at every step."""

from sklearn_rnn.model_selection._cross_val_predict_steps import cross_val_predict_steps

__all__ = ["cross_val_predict_steps"]
