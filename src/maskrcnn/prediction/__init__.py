"""A trained model on pictures."""

from maskrcnn.prediction.loading import load
from maskrcnn.prediction.predictor import Predictor
from maskrcnn.prediction.preparing import Picture
from maskrcnn.prediction.tracing import Trace

__all__ = ["Picture", "Predictor", "Trace", "load"]
