import torch

from maskrcnn.config import AnchorConfig, Corners, InputConfig, ModelConfig, Resize
from maskrcnn.model.frame import Frame

SIZE = torch.tensor([[50, 90], [64, 31]])


def frame(tiny: ModelConfig, resize: Resize = "short_edge", corners: Corners = "exclusive") -> Frame:
    return Frame(tiny.change(input=InputConfig(resize=resize), anchors=AnchorConfig(corners=corners)))


def test_a_picture_in_the_corner_is_all_that_is_seen(tiny: ModelConfig) -> None:
    seen, picture = frame(tiny).limits(SIZE, (64, 96))
    assert seen.tolist() == picture.tolist() == [[0, 0, 90, 50], [0, 0, 31, 64]]


def test_a_centred_picture_lies_in_black_that_is_seen(tiny: ModelConfig) -> None:
    """Of an odd padding the smaller half is before the picture."""
    seen, picture = frame(tiny, resize="centred").limits(SIZE, (64, 96))
    assert seen.tolist() == [[0, 0, 96, 64]] * 2
    assert picture.tolist() == [[3, 7, 93, 57], [32, 0, 63, 64]]


def test_boxes_end_on_their_last_pixel_inside_and_come_back(tiny: ModelConfig) -> None:
    inclusive = frame(tiny, resize="centred", corners="inclusive")
    limits = inclusive.limits(SIZE, (64, 96))
    assert limits.picture.tolist() == [[3, 7, 92, 56], [32, 0, 62, 63]]
    boxes = torch.tensor([[[3.0, 7, 93, 57]], [[40.0, 8, 41, 9]]])
    assert inclusive.enter(boxes).tolist() == [[[3, 7, 92, 56]], [[40, 8, 40, 8]]]
    assert inclusive.leave(inclusive.enter(boxes), limits).tolist() == [[[0, 0, 90, 50]], [[8, 8, 9, 9]]]
