"""A model as a program of PyTorch's own operators, for any number and size of pictures.

References: torch.export.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from maskrcnn.engines.folding import fold_norms
from maskrcnn.engines.graphs.metadata import Takes
from maskrcnn.engines.graphs.network import GraphNetwork, PaddedPictures
from maskrcnn.engines.graphs.operators import Operators
from maskrcnn.engines.graphs.whole import WholePictures
from maskrcnn.model.mask_rcnn import MaskRCNN

OUTPUTS = ("boxes", "scores", "labels", "masks")
_DTYPES = {"uint8": torch.uint8, "float32": torch.float32}


def inputs_of(takes: Takes) -> tuple[str, ...]:
    """Name the inputs of a graph.

    >>> inputs_of("network"), inputs_of("uint8")
    (('images', 'size_hw'), ('images',))
    """
    return ("images", "size_hw") if takes == "network" else ("images",)


def capture(model: MaskRCNN, takes: Takes, operators: Operators) -> ExportedProgram:
    """Write down what a model does with pictures.

    Args:
        model: The model, on a CPU.
        takes: Which kind of picture, as in `About`.
        operators: How it suppresses and pools.
    """
    network = GraphNetwork(_with_parameters(fold_norms(model)), operators)
    bands = model.config.input.bands
    with torch.no_grad(), quietly():
        if takes == "network":
            return _capture_network(network, bands)
        images = torch.zeros(2, bands, 150, 200, dtype=_DTYPES[takes])
        shapes = ({0: Dim("batch"), 2: Dim("height"), 3: Dim("width")},)
        return _export(WholePictures(network), (images,), shapes)


def _with_parameters(model: MaskRCNN) -> MaskRCNN:
    """Make parameters of the tensors that a folded copy shares with its model: exporting wants them to be such."""
    for module in model.modules():
        for name, tensor in list(module._parameters.items()):
            if tensor is not None and not isinstance(tensor, nn.Parameter):
                module._parameters[name] = nn.Parameter(tensor, requires_grad=False)
    return model


def _capture_network(network: GraphNetwork, bands: int) -> ExportedProgram:
    batch = Dim("batch")
    images, size_hw = torch.zeros(2, bands, 160, 192), torch.tensor([[150, 180]] * 2)
    shapes = ({0: batch, 2: Dim("height"), 3: Dim("width")}, {0: batch})
    return _export(PaddedPictures(network), (images, size_hw), shapes)


def _export(module: nn.Module, arguments: tuple[Tensor, ...], shapes: tuple[dict[int, Dim], ...]) -> ExportedProgram:
    return torch.export.export(module, arguments, dynamic_shapes=shapes, strict=False)


@contextmanager
def quietly() -> Iterator[None]:
    """Leave out what the exporter says about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
