"""The classes of COCO, as models count them.

References: COCO (1405.0312); its category ids run to 90 and leave out ten.
"""

from __future__ import annotations

from maskrcnn.zoo.folds import Own

_LIST = """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
    parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,
    teddy bear, hair drier, toothbrush
"""
NAMES = tuple(name.strip() for name in _LIST.split(","))
LAST_ID = 90
UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
IDS = tuple(i for i in range(1, LAST_ID + 1) if i not in UNUSED_IDS)


def names_by_id() -> tuple[str, ...]:
    """Return a name for each category id from 1 to 90; the ten ids without a category are `unused 12` and so on.

    >>> names_by_id()[10:14]
    ('fire hydrant', 'unused 12', 'stop sign', 'parking meter')
    """
    by_id = dict(zip(IDS, NAMES, strict=True))
    return tuple(by_id.get(i, f"unused {i}") for i in range(1, LAST_ID + 1))


def names_of_count(_: Own, count: int) -> tuple[str, ...] | None:
    """Take COCO's names where a model has as many classes."""
    return NAMES if count == len(NAMES) else None


def names_of_count_or_ids(own: Own, count: int) -> tuple[str, ...] | None:
    """Take COCO's names where a model has as many classes or one a category id."""
    return names_by_id() if count == LAST_ID else names_of_count(own, count)
