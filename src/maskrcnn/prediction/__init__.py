"""A trained model on pictures."""

from maskrcnn.prediction.predictor import Picture, Predictor, load

__all__ = ["Picture", "Predictor", "load"]
