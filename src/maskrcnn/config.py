"""The settings, saved with every weight file; no torch in here.

A field is a number with a unit or the name of a part; anything else that differs between models is folded into the
weights when they are loaded. The defaults are the paper's model on COCO-sized photographs.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from annotated_types import Len
from pydantic import Field, model_validator

from maskrcnn.settings import Settings

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Depth = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext101_32x8d"]
Norm = Literal["frozen", "batch", "group"]
HeadNorm = Literal["none", "batch", "group"]
Resize = Literal["short_edge", "square", "centred_square", "centred", "none"]
Sampling = Literal["antialias", "plain", "zero_edge"]
LoggerName = Literal["tensorboard", "wandb", "mlflow"]
Corners = Literal["exclusive", "inclusive"]
Rounding = Literal["exact", "whole"]
Ranking = Literal["level", "all"]
LevelRule = Literal["floor", "floor_after", "round"]
Sampler = Literal["average", "unaligned", "corners"]
Choice = Literal["every", "best"]
Paste = Literal["centres", "padded", "zero_edge"]
Layers = Literal["heads", "3+", "4+", "5+", "all"]


class InputConfig(Settings):
    """How a picture becomes what the network sees.

    Attributes:
        mean: One a band, in the picture's own units (0 to 255 for 8 bits); subtracted.
        std: One a band, the same units; divided by.
        resize: `short_edge` scales the short edge to `min_size` unless the long one would pass `max_size`; `square`
            scales the long edge to `max_size` and pads to a square; `none` leaves the size. Two ways only enlarge, to
            a short edge of `min_size`, and put the picture in the middle of black: `centred_square` of a square of
            `max_size`, which the picture is shrunk to where it is larger; `centred` of the next multiples of `divisor`.
        sampling: How pixels of another size are made. `antialias` is bilinear, averages where the picture shrinks, and
            rounds; `plain` is bilinear without averaging or rounding, and cuts fractions off the size; `zero_edge`
            is bilinear with black round the picture, cuts fractions off the values, and rounds half sizes to even.
        min_size: Pixels of the short edge.
        max_size: Pixels the long edge may have at most.
        min_scale: The centred ways enlarge by at least this factor; 0 leaves it to `min_size`.
        divisor: Height and width are padded to a multiple of this many pixels.
    """

    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[Positive, ...] = (58.395, 57.12, 57.375)
    resize: Resize = "short_edge"
    sampling: Sampling = "antialias"
    min_size: Count = 800
    max_size: Count = 1333
    min_scale: Annotated[float, Field(ge=0)] = 0.0
    divisor: Literal[32, 64, 128] = 32

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(f"expected one mean and one std a band, got {len(self.mean)} and {len(self.std)}")
        if self.max_size < self.min_size:
            raise ValueError(f"expected max_size of at least min_size {self.min_size}, got {self.max_size}")
        return self

    @property
    def bands(self) -> int:
        """Number of bands of a picture, 3 for RGB."""
        return len(self.mean)


class BackboneConfig(Settings):
    """The residual network below the pyramid.

    Attributes:
        depth: Which network.
        norm: `frozen` keeps batch statistics and scales as they were loaded; `batch` learns them; `group` uses
            groups of channels of one picture, the choice for training from scratch with small batches.
        stride_in: Which convolution of a bottleneck halves the picture: the first 1x1 or the 3x3.
        pool_padding: Where the stem's max-pooling goes over the border: on `both` sides, or only `after` the last cell.
    """

    depth: Depth = "resnet50"
    norm: Norm = "frozen"
    stride_in: Literal["1x1", "3x3"] = "3x3"
    pool_padding: Literal["both", "after"] = "both"


class PyramidConfig(Settings):
    """The feature pyramid P2 to P6.

    Attributes:
        channels: Channels of every level.
        norm: Normalisation behind each of its convolutions.
    """

    channels: Count = 256
    norm: HeadNorm = "none"


class AnchorConfig(Settings):
    """The boxes that every cell of P2 to P6 proposes.

    Attributes:
        sizes: For each of the five levels the square roots of the anchors' areas, in pixels of the resized picture.
        ratios: Height / width of the anchors, the same at every level.
        corners: Where a box ends for proposals, regions and detections: `exclusive` is the right and lower border of
            its last pixel, `inclusive` the last pixel itself, one less.
        rounding: `exact` anchors every stride; or `whole` pixels, every padded size // cells of the level.
    """

    sizes: Annotated[tuple[Annotated[tuple[Positive, ...], Len(1)], ...], Len(5, 5)] = (
        (32.0,),
        (64.0,),
        (128.0,),
        (256.0,),
        (512.0,),
    )
    ratios: Annotated[tuple[Positive, ...], Len(1)] = (0.5, 1.0, 2.0)
    corners: Corners = "exclusive"
    rounding: Rounding = "exact"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len({len(level) for level in self.sizes}) != 1:
            raise ValueError("sizes: expected the same number of sizes at every level")
        return self

    @property
    def per_cell(self) -> int:
        """Anchors a cell."""
        return len(self.sizes[0]) * len(self.ratios)


class RPNConfig(Settings):
    """The region proposal network.

    Attributes:
        channels: Channels of its 3x3 convolutions; 0 takes the pyramid's.
        depth: How many 3x3 convolutions.
        stride: Only every so many cells of a level, down and across, have anchors.
        ranking: `level` takes the best anchors of each level and suppresses within it; `all` treats the levels as one,
            and in inference passes boxes without area on where proposals are missing.
        positive_iou: An anchor that overlaps an object by at least this is positive.
        negative_iou: An anchor that overlaps every object by less than this is negative.
        samples: Anchors a picture that the loss looks at.
        positive_fraction: Share of positives among them, at most.
        beta: Where the box loss turns from a parabola into a line, in units of deltas; 0 is L1.
        pre_nms_train: Best anchors a level, or of `all`, that enter NMS in training.
        pre_nms: The same in inference.
        proposals_train: Proposals a picture after NMS in training.
        proposals: The same in inference.
        nms_iou: A proposal that overlaps a better one of its level by more than this is dropped.
        min_side: Proposals with a side below this many pixels are dropped.
    """

    channels: Annotated[int, Field(ge=0)] = 0
    depth: Count = 1
    stride: Count = 1
    ranking: Ranking = "level"
    positive_iou: Probability = 0.7
    negative_iou: Probability = 0.3
    samples: Count = 256
    positive_fraction: Probability = 0.5
    beta: Annotated[float, Field(ge=0)] = 0.0
    pre_nms_train: Count = 2000
    pre_nms: Count = 1000
    proposals_train: Count = 1000
    proposals: Count = 1000
    nms_iou: Probability = 0.7
    min_side: Annotated[float, Field(ge=0)] = 1e-3


class RegionsConfig(Settings):
    """How regions are cut out of the pyramid, for boxes and masks alike.

    Attributes:
        level: A region's level from the side s of a square of its area: 4 + log2(s / 224), `floor` with 1e-8 added
            inside the logarithm, `floor_after` with 1e-6 outside it, `round` to the nearest, halves to even.
        sampler: What a cell of the pooled region is: `average` of bilinear samples at exact places; `unaligned`, the
            same half a cell further and with sides of at least one cell; `corners`, one sample each on a grid from
            corner to corner, zero outside the level.
    """

    level: LevelRule = "floor"
    sampler: Sampler = "average"


class BoxHeadConfig(Settings):
    """The second stage: class and box of each region.

    Attributes:
        kind: `2fc` is the paper's; `4conv1fc` has four 3x3 convolutions and one fully connected layer.
        channels: Width of the fully connected layers.
        conv_channels: Channels of the convolutions of `4conv1fc`.
        norm: Normalisation behind those convolutions.
        pool: Cells a side that RoIAlign gives the head.
        sampling_ratio: Samples a side of each such cell; 0 takes as many as the region has feature cells there.
        class_agnostic: One box for all classes instead of one a class.
        delta_std: Unit of the deltas dx, dy, dw, dh.
        samples: Regions a picture that the loss looks at.
        positive_fraction: Share of positives among them, at most.
        positive_iou: A region that overlaps an object by at least this is positive, any other is background.
        beta: Where the box loss turns from a parabola into a line, in units of deltas; 0 is L1.
    """

    kind: Literal["2fc", "4conv1fc"] = "2fc"
    channels: Count = 1024
    conv_channels: Count = 256
    norm: HeadNorm = "none"
    pool: Count = 7
    sampling_ratio: Annotated[int, Field(ge=0)] = 2
    class_agnostic: bool = False
    delta_std: tuple[Positive, Positive, Positive, Positive] = (0.1, 0.1, 0.2, 0.2)
    samples: Count = 512
    positive_fraction: Probability = 0.25
    positive_iou: Probability = 0.5
    beta: Annotated[float, Field(ge=0)] = 0.0


class MaskHeadConfig(Settings):
    """The third output: a small mask inside each box.

    Attributes:
        channels: Channels of its convolutions.
        convs: How many 3x3 convolutions before the upsampling.
        norm: Normalisation behind them.
        pool: Cells a side that RoIAlign gives the head; the mask has twice as many.
        sampling_ratio: Samples a side of each such cell; 0 takes as many as the region has feature cells there.
        class_agnostic: One mask for all classes instead of one a class.
        samples: Positive regions a picture that the loss looks at, at most.
        threshold: A pixel belongs to the object where the mask's probability is at least this.
        paste: How a mask gets into the picture. `centres` samples it at the centres of the box's pixels; `padded` pads
            it by a cell, cuts fractions off the box's corners, ends a pixel later, and wants more than the threshold;
            `zero_edge` rounds the boxes, of results too, and never falls below the mask's least probability.
    """

    channels: Count = 256
    convs: Count = 4
    norm: HeadNorm = "none"
    pool: Count = 14
    sampling_ratio: Annotated[int, Field(ge=0)] = 2
    class_agnostic: bool = False
    samples: Count = 512
    threshold: Probability = 0.5
    paste: Paste = "centres"


class DetectConfig(Settings):
    """What becomes a detection.

    Attributes:
        score_threshold: Only detections above this probability are kept.
        class_thresholds: One a class, where they were measured and stored: what people see of a class are detections
            above this probability. Evaluation looks at the others too.
        choice: `every` class of a region may become a detection, or only its `best`, and only if that is no background.
        nms_iou: A detection that overlaps a better one of its class by more than this is dropped.
        detections: Detections a picture, at most.
        candidates: Pairs of region and class that enter NMS, the best ones, at most.
        min_side: Detections with a side below this many pixels are dropped.
    """

    score_threshold: Probability = 0.05
    class_thresholds: tuple[Probability, ...] = ()
    choice: Choice = "every"
    nms_iou: Probability = 0.5
    detections: Count = 100
    candidates: Count = 10_000
    min_side: Annotated[float, Field(ge=0)] = 0.0


class ModelConfig(Settings):
    """Everything that defines a model but its weights.

    Attributes:
        classes: Names of the K foreground classes in label order.
        ignored_overlap: An anchor or region of which more than this share lies in an ignored region is not background.
        delta_clamp: Largest dw and dh that a box is decoded with, the logarithm of a factor; null for no limit.
    """

    classes: Annotated[tuple[str, ...], Len(1)]
    input: InputConfig = InputConfig()
    backbone: BackboneConfig = BackboneConfig()
    pyramid: PyramidConfig = PyramidConfig()
    anchors: AnchorConfig = AnchorConfig()
    rpn: RPNConfig = RPNConfig()
    regions: RegionsConfig = RegionsConfig()
    box_head: BoxHeadConfig = BoxHeadConfig()
    mask_head: MaskHeadConfig = MaskHeadConfig()
    detect: DetectConfig = DetectConfig()
    ignored_overlap: Probability = 0.5
    delta_clamp: Positive | None = 4.135166556742356

    @model_validator(mode="after")
    def _fits(self) -> Self:
        repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if repeated:
            raise ValueError(f"classes: expected every name once, got {', '.join(repeated)} twice")
        thresholds = len(self.detect.class_thresholds)
        if thresholds not in (0, len(self.classes)):
            raise ValueError(
                f"detect.class_thresholds: expected none or {len(self.classes)}, one a class, got {thresholds}"
            )
        return self


class AugmentConfig(Settings):
    """How training pictures are varied; every change moves picture, boxes and masks together.

    Attributes:
        flip: Share of pictures mirrored left to right.
        vertical_flip: Share mirrored top to bottom.
        turn: Share turned by 90, 180 or 270 degrees.
        scale: Smallest and largest factor of a random enlargement, cropped to the picture's size; 1, 1 leaves it.
        crop: Smallest share of each side that a random crop keeps; 1 leaves the picture whole.
        colour: Largest relative change of brightness, contrast and saturation.
        copy_paste: Share of pictures that get objects of another one, where all objects have masks.
    """

    flip: Probability = 0.5
    vertical_flip: Probability = 0.0
    turn: Probability = 0.0
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    colour: Probability = 0.0
    copy_paste: Probability = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: expected the smaller factor first, got {self.scale}")
        return self


class Stage(Settings):
    """A part of a staged schedule.

    Attributes:
        layers: What learns: `heads` is all but the backbone; `3+`, `4+`, `5+` add its stages from there on; `all`.
        epochs: For how long.
        rate: Factor on the learning rate.
    """

    layers: Layers = "all"
    epochs: Count = 1
    rate: Positive = 1.0


class TrainConfig(Settings):
    """How a model is trained.

    Attributes:
        stages: What learns for how many epochs, one part after the other.
        batch: Pictures a step and process; 0 finds the largest power of two that fits into memory.
        parts: A batch is computed in so many parts, one after the other, with the gradient of the whole: less memory
            for more time.
        accumulate: Batches whose gradients are added before the weights move; the loss is the mean of theirs.
        optimiser: `adamw`, or `sgd` with momentum.
        learning_rate: At its highest.
        momentum: Of `sgd`.
        weight_decay: On weights, not on biases and norms.
        warmup: Steps over which the learning rate rises.
        schedule: `cosine` falls to a hundredth, `step` falls tenfold at 2/3 and 8/9 of the steps, `constant` stays.
        clip_norm: Gradients are scaled down to this length at most; 0 leaves them.
        precision: `auto` takes bf16 where the device gains by it.
        checkpointing: Keep less of the backbone for the gradients and compute it again.
        compile: Compile the step on a GPU, anew for each of the few shapes of batches.
        seed: Everything random follows from it.
        workers: Processes that read pictures; -1 takes as many as there are cores to spare, at most 8.
        validate_every: Epochs between validations.
        patience: Validations without a better mask AP after which training stops; 0 never stops.
        checkpoint_minutes: Time between checkpoints inside an epoch.
        loggers: Who is shown curves, weights and sample pictures while training: `tensorboard`, `wandb`, `mlflow`.
        augment: How pictures are varied.
    """

    stages: Annotated[tuple[Stage, ...], Len(1)] = (Stage(epochs=24),)
    batch: Annotated[int, Field(ge=0)] = 4
    parts: Count = 1
    accumulate: Count = 1
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive = 1e-3
    momentum: Probability = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    warmup: Annotated[int, Field(ge=0)] = 100
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    clip_norm: Annotated[float, Field(ge=0)] = 5.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    checkpointing: bool = False
    compile: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=-1)] = -1
    validate_every: Count = 1
    patience: Annotated[int, Field(ge=0)] = 0
    checkpoint_minutes: Positive = 5.0
    loggers: tuple[LoggerName, ...] = ("tensorboard",)
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.compile and self.checkpointing:
            raise ValueError("compile: expected it without checkpointing, got both; choose one")
        return self

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)
