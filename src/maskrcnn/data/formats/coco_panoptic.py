"""COCO panoptic: a JSON file, and a PNG for each picture whose colours are the ids of segments.

A segment's id is R + 256 G + 65536 B. Categories with `isthing` become classes; segments of the others, the
stuff, are no objects and are not read, and neither are pixels of id 0, which nothing is said about.
`iscrowd` is taken over. Where no category is a thing, the file has nothing to learn from and is refused.

References: cocodataset.org/#format-data, panoptic.
Letters: H, W height and width of a picture.
"""

from __future__ import annotations
