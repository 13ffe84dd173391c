"""How good a model is: COCO's average precision and recall of boxes and masks."""

from maskrcnn.evaluation.coco import Metrics
from maskrcnn.evaluation.measuring import evaluate_results
from maskrcnn.evaluation.run import evaluate

__all__ = ["Metrics", "evaluate", "evaluate_results"]
