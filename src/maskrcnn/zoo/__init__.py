"""Weights of other projects, read without their code, every tensor accounted for."""

from maskrcnn.zoo.foreign import Foreign, Recognised
from maskrcnn.zoo.ledger import Entry
from maskrcnn.zoo.reading import read_foreign, recognise

__all__ = ["Entry", "Foreign", "Recognised", "read_foreign", "recognise"]
