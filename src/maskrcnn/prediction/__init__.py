"""A trained model on pictures."""

from maskrcnn.prediction.predictor import Picture, Predictor, load
from maskrcnn.prediction.tracing import Trace

__all__ = ["Picture", "Predictor", "Trace", "load"]
