"""The parts of the network that are nearly all 3x3 convolutions, for a CPU: pyramid, anchor scores and heads on planes.

A 1x1 convolution is a matrix product there, which takes channels-last maps as they are, and adds to what is there.

Letters: B pictures, C channels, H, W cells, A anchors a cell, R regions, P cells of a region a side, M side of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskrcnn.engines.winograd import CELLS, Canvas, PlanarConv, lay_out, suits, take_rows
from maskrcnn.model.fpn import Pyramid
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.model.norm import ConvNorm
from maskrcnn.model.roi_heads import FourConvOneFC, MaskHead
from maskrcnn.model.rpn import AnchorScores, RPNHead
from maskrcnn.ops.roi_align import Table

AT_ONCE = 100  # regions whose masks are drawn together


class PlanarMaskRCNN(MaskRCNN):
    """The network with parts that give planes: RoIAlign, which wants rows, gets them once for both heads.

    Args:
        model: With norms folded; its parts are replaced where that gains.
    """

    def __init__(self, model: MaskRCNN) -> None:
        parts = (model.backbone, model.pyramid, model.rpn, model.box_head, model.mask_head)
        super().__init__(model.config, *parts)

    def table(self, features: Sequence[Tensor]) -> Table:
        """Lay P2 to P5 out for RoIAlign."""
        return super().table([level.contiguous(memory_format=torch.channels_last) for level in features])

    def _mask_logits(self, table: Table, boxes: Tensor, labels: Tensor, slots: Tensor) -> Tensor:
        """Pool and draw a canvas of regions at a time, so that memory does not grow with the detections."""
        draw = super()._mask_logits
        return torch.cat([draw(table, boxes, labels, part) for part in torch.split(slots, AT_ONCE)])


class _Lateral(nn.Module):
    """A 1x1 convolution to planes."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        assert conv.bias is not None
        self.weight = nn.Buffer(conv.weight.detach().flatten(1))
        self.bias = nn.Buffer(conv.bias.detach()[:, None])

    def forward(self, stage: Tensor, above: Tensor | None) -> Tensor:
        """Map a stage, (B, C, H, W), and add the next higher level where there is one."""
        B, _, H, W = stage.shape
        rows = stage.permute(0, 2, 3, 1).flatten(1, 2)
        if above is None:
            return torch.stack([torch.addmm(self.bias, self.weight, own.t()) for own in rows]).view(B, -1, H, W)
        # the bias goes onto the smaller map
        merged = F.interpolate(above + self.bias[:, None], size=(H, W), mode="nearest")
        for level, own in zip(merged.flatten(2), rows, strict=True):
            level.addmm_(self.weight, own.t())
        return merged


class PlanarPyramid(nn.Module):
    """The pyramid.

    Args:
        pyramid: With norms folded.
    """

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_Lateral(_conv(layer)) for layer in pyramid.lateral)
        self.output = nn.ModuleList(PlanarConv(_conv(layer)) for layer in pyramid.output)

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Compute P2 to P6 of C2 to C5, contiguous."""
        levels: list[Tensor] = []
        merged = None
        for stage, lateral, output in zip(reversed(stages), reversed(self.lateral), reversed(self.output), strict=True):
            merged = lateral(stage, merged)
            levels.insert(0, output(merged))
        return [*levels, F.max_pool2d(levels[-1], 1, 2)]


class PlanarRPNHead(nn.Module):
    """Scores of anchors; both outputs are one matrix product.

    Args:
        head: Whose convolutions suit.
    """

    def __init__(self, head: RPNHead) -> None:
        super().__init__()
        self.convs = nn.ModuleList(PlanarConv(conv) for conv in head.convs if isinstance(conv, nn.Conv2d))
        outputs = (head.objectness, head.deltas)
        self.anchors = head.objectness.out_channels
        self.weight = nn.Buffer(torch.cat([conv.weight.detach().flatten(1) for conv in outputs]))
        self.bias = nn.Buffer(torch.cat([conv.bias.detach() for conv in outputs if conv.bias is not None])[:, None])

    def forward(self, features: Sequence[Tensor]) -> AnchorScores:
        """Score the anchors of P2 to P6, as `RPNHead` does."""
        logits, deltas = [], []
        for level in features:
            scores = torch.stack([self._scores(picture[None]) for picture in level])
            logits.append(scores[..., : self.anchors].flatten(1))
            deltas.append(scores[..., self.anchors :].reshape(len(level), -1, 4))
        return AnchorScores(logits, deltas)

    def _scores(self, x: Tensor) -> Tensor:
        """Map one picture, (1, C, H, W), to (H·W, A + 4·A)."""
        for conv in self.convs:
            x = conv(x).relu_()
        return torch.addmm(self.bias, self.weight, x[0].flatten(1)).t()


class PlanarBody(nn.Module):
    """The body of a box head with convolutions.

    Args:
        body: Whose convolutions suit, with norms folded.
    """

    def __init__(self, body: FourConvOneFC) -> None:
        super().__init__()
        self.plain = body
        self.convs = nn.ModuleList(PlanarConv(_conv(layer)) for layer in body.convs)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (R, C, P, P) float to (R, channels) float."""
        if _cells(pooled) < CELLS:
            plain: Tensor = self.plain(pooled)
            return plain
        return F.relu(self.plain.fc1(take_rows(_convolve(pooled, self.convs))), inplace=True)


class PlanarMaskHead(nn.Module):
    """The mask head; of the last layer only the class of a region is computed.

    Args:
        head: Whose convolutions suit, with norms folded.
    """

    def __init__(self, head: MaskHead) -> None:
        super().__init__()
        self.plain = head
        self.convs = nn.ModuleList(PlanarConv(_conv(layer)) for layer in head.convs)
        upsample = head.upsample
        assert upsample.bias is not None
        # (2·2·C', C): a row for each of the four cells that a cell becomes, and each channel
        self.weight = nn.Buffer(upsample.weight.detach().permute(2, 3, 1, 0).flatten(0, 2).contiguous())
        self.bias = nn.Buffer(upsample.bias.detach().repeat(4)[:, None])

    def forward(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """Draw the mask of one class for each region, as `MaskHead` does."""
        if _cells(pooled) < CELLS:
            plain: Tensor = self.plain(pooled, labels)
            return plain
        last = self.plain.logits
        choice = torch.zeros_like(labels) if self.plain.config.class_agnostic else labels.clamp(0, len(last.weight) - 1)
        assert last.bias is not None
        weight, bias = last.weight.flatten(1)[choice], last.bias[choice]
        canvas = _convolve(pooled, self.convs)
        rows = canvas.rows().unbind(1)
        columns = rows[0].shape[2]
        drawn = [
            self._draw(row[:, :, : len(own)], own) for row, own in zip(rows, torch.split(weight, columns), strict=True)
        ]
        return torch.cat(drawn) + bias[:, None, None]

    def _draw(self, maps: Tensor, weight: Tensor) -> Tensor:
        """Upsample the maps of a row, (C, P, n, P), and add up their channels by (n, C') weights: (n, M, M)."""
        C, P, n, _ = maps.shape
        upsampled = torch.addmm(self.bias, self.weight, maps.reshape(C, -1)).relu_().view(4, -1, P, n, P)
        logits = upsampled.mul_(weight.t()[:, None, :, None]).sum(dim=1)
        return logits.view(2, 2, P, n, P).permute(3, 2, 0, 4, 1).reshape(n, 2 * P, 2 * P)


def _cells(pooled: Tensor) -> int:
    return pooled.shape[0] * pooled.shape[2] * pooled.shape[3]


def _convolve(pooled: Tensor, convs: nn.ModuleList) -> Canvas:
    canvas = lay_out(pooled)
    for conv in convs:
        canvas = canvas.rectify_(conv(canvas.planes))
    return canvas


def _conv(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, ConvNorm)
    return layer.conv


def _suit(layers: nn.ModuleList) -> bool:
    """Say whether all layers are convolutions that gain, without a norm behind them."""
    if any(isinstance(layer, ConvNorm) and not isinstance(layer.norm, nn.Identity) for layer in layers):
        return False
    return all(suits(layer.conv if isinstance(layer, ConvNorm) else layer) for layer in layers)  # type: ignore[arg-type]


def to_planes(model: MaskRCNN) -> MaskRCNN:
    """Replace the parts that gain in a network whose norms are folded; the rest stays as it is."""
    model = PlanarMaskRCNN(model).eval()
    if _suit(model.pyramid.output):
        model.pyramid = PlanarPyramid(model.pyramid)  # type: ignore[assignment]  # the same forward
    if _suit(model.rpn.head.convs):
        model.rpn.head = PlanarRPNHead(model.rpn.head)  # type: ignore[assignment]
    if isinstance(model.box_head.body, FourConvOneFC) and _suit(model.box_head.body.convs):
        model.box_head.body = PlanarBody(model.box_head.body)
    if _suit(model.mask_head.convs):
        model.mask_head = PlanarMaskHead(model.mask_head)  # type: ignore[assignment]
    return model
