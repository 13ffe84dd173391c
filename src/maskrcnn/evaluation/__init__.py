"""How good a model is: COCO's average precision and recall, other measures, and what a model gets wrong."""

from maskrcnn.evaluation.analysis import Analysis, analyse, analyse_results
from maskrcnn.evaluation.coco import Metrics
from maskrcnn.evaluation.measuring import evaluate_results
from maskrcnn.evaluation.run import evaluate

__all__ = ["Analysis", "Metrics", "analyse", "analyse_results", "evaluate", "evaluate_results"]
