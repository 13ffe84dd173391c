"""What can be wrong with data: every finding has a code that stays, and says what it does to training.

Letters of the codes: F the annotation file and its records, P pictures, G the geometry of objects, C classes,
S the set as a whole. A code is never given another meaning; one that is no longer used is not used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The gravest first."""


class Rule(NamedTuple):
    """A kind of finding.

    Attributes:
        name: A few words joined by hyphens, as people search for it.
        severity: `error` stops training; `warning` harms it; `note` is worth a look.
        meaning: What is the case.
        effect: What it does to training or evaluation.
        mend: What `--fix` does about it in a copy; empty where only a person can.
        example: The detail of such a finding.
    """

    name: str
    severity: Severity
    meaning: str
    effect: str
    mend: str
    example: str


RULES: dict[str, Rule] = {
    # The annotation file and its records
    "F001": Rule(
        "unreadable-file",
        "error",
        "The annotation file can't be opened or parsed.",
        "nothing of the file can be used",
        "",
        "line 7, column 3: expected JSON, got: Expecting ',' delimiter",
    ),
    "F002": Rule(
        "unknown-format",
        "error",
        "No known format fits the file or folder, or more than one does.",
        "nothing can be read",
        "",
        "expected annotations of a known kind; found 12 .jpg",
    ),
    "F003": Rule(
        "malformed-record",
        "error",
        "A field of a record is missing or not what the format says.",
        "the record has no meaning, so it can't be learnt",
        "leaves it out",
        "region 3 of cat.jpg: all_points_x: expected a list, got 'x'",
    ),
    "F004": Rule(
        "duplicate-record",
        "error",
        "Two records have the same name or id.",
        "it is not certain which of the two holds",
        "keeps the first",
        "expected one entry for cat.jpg, got a second one",
    ),
    "F005": Rule(
        "unknown-picture",
        "error",
        "An object names a picture that the file does not have.",
        "the object belongs to no picture",
        "leaves it out",
        "annotation 18: image_id: expected the id of one of the images, got 99",
    ),
    "F006": Rule(
        "several-meanings",
        "error",
        "A file can be understood in more than one way.",
        "it is not certain what was meant",
        "",
        "expected one region attribute that holds the class, got 'kind', 'colour'",
    ),
    "F007": Rule(
        "unsafe-archive",
        "error",
        "An archive holds links, paths that lead out of it, or far too much.",
        "unpacking could write outside of its folder or fill the disk",
        "",
        "expected paths inside of the archive, got '../../x.png'",
    ),
    "F008": Rule(
        "picture-listed-twice",
        "warning",
        "Two records are about the same picture file.",
        "what only one of the two has is background in the other, and the picture counts twice",
        "joins their objects in one record",
        "cat.jpg is listed twice, as picture 4 with 2 objects and as picture 9 with 1 object",
    ),
    "F009": Rule(
        "unannotated-picture",
        "error",
        "A picture of the set has no annotation, and nothing says that it shows no object.",
        "objects on it would be learnt as background",
        "leaves it out",
        "b.png: expected a label image of the same name, found none",
    ),
    # Pictures
    "P101": Rule(
        "missing-picture",
        "error",
        "A picture that the annotations name is not there.",
        "training would stop when it is asked for",
        "leaves it out",
        "expected a picture, found none in photos, photos/images",
    ),
    "P102": Rule(
        "broken-picture",
        "error",
        "A file is no picture, or of a kind that can't be read.",
        "training would stop when it is decoded",
        "leaves it out",
        "expected a picture, got an empty file",
    ),
    "P103": Rule(
        "other-size",
        "error",
        "A picture has another size than its annotations were made for.",
        "masks would lie beside their objects",
        "leaves it out",
        "expected 480x640 (height x width) as the annotations say, got 960x1280",
    ),
    "P104": Rule(
        "cut-off-picture",
        "error",
        "The head of a picture can be read, and its pixels can't: it was not copied to the end, or is damaged.",
        "training would stop when it is decoded",
        "leaves it out",
        "expected a whole picture, got one that can't be read: image file is truncated",
    ),
    "P105": Rule(
        "duplicate-picture",
        "warning",
        "Two pictures of the set are the same file, byte for byte, and have the same objects.",
        "it counts twice; after a random split it may stand on both sides",
        "keeps the first",
        "the same bytes as cat.jpg",
    ),
    "P106": Rule(
        "duplicate-picture-other-objects",
        "warning",
        "Two pictures of the set are the same file, byte for byte, and their objects differ.",
        "what one teaches as an object the other teaches as background",
        "keeps the one with more objects",
        "the same bytes as cat.jpg, which has 3 objects; this one has 1 object",
    ),
    "P107": Rule(
        "oversized-picture",
        "warning",
        "A picture has more than 50 million pixels.",
        "decoding it takes a second and most of a gigabyte each time; objects shrink with it",
        "",
        "12000x9000 are 108 million pixels; cut it into tiles with maskrcnn data crop",
    ),
    "P108": Rule(
        "annotated-unturned",
        "error",
        "The EXIF orientation turns the picture, and the annotation was made without turning it.",
        "masks would lie beside their objects",
        "turns the objects and stores the picture upright",
        "EXIF turns it to 640x480 (height x width); the annotations fit 480x640 only",
    ),
    "P109": Rule(
        "exif-turned",
        "note",
        "The EXIF orientation turns the picture, and the annotation was made on the turned one.",
        "none here; programs that ignore the orientation would see objects elsewhere",
        "stores it upright",
        "EXIF orientation 6; the annotations fit the turned picture",
    ),
    "P110": Rule(
        "exif-uncertain",
        "warning",
        "The EXIF orientation turns the picture, and nothing says whether it was annotated before or after.",
        "if it was annotated unturned, masks lie beside their objects",
        "",
        "EXIF orientation 3; the objects fit both ways: look at it with maskrcnn data show",
    ),
    "P111": Rule(
        "other-bands",
        "error",
        "A picture has another number of bands than the first one of the set.",
        "training would stop there: a model is made for one number of bands",
        "leaves it out",
        "expected 3 bands as in most pictures, got 1",
    ),
    "P112": Rule(
        "blank-picture",
        "warning",
        "All pixels of a picture have the same value, and it has objects.",
        "objects are learnt that can't be seen",
        "",
        "every pixel is 0, and it has 2 objects",
    ),
    "P113": Rule(
        "unlisted-pictures",
        "note",
        "Pictures lie beside those of the set that no record names.",
        "they are not used, not even as pictures without objects",
        "",
        "3 pictures in photos/train are not in the file, such as IMG_7.jpg",
    ),
    # Geometry of objects
    "G201": Rule(
        "too-few-points",
        "error",
        "An outline has fewer than three points.",
        "an outline of less than three points has no area",
        "leaves it out",
        "region 3 of cat.jpg: polygon has 2 points, expected at least 3",
    ),
    "G202": Rule(
        "no-area",
        "warning",
        "An object is a point, a line of two points, or a box without area.",
        "a point or a line can't be learnt; the object is left out",
        "leaves it out",
        "a point has no area",
    ),
    "G203": Rule(
        "outside-picture",
        "warning",
        "An object lies wholly outside of its picture.",
        "nothing of the object can be seen; it is left out",
        "leaves it out",
        "it lies wholly outside of the picture of 480x640 (height x width)",
    ),
    "G204": Rule(
        "empty-mask",
        "warning",
        "A mask has no pixel.",
        "nothing of its shape can be learnt; without a box it is left out",
        "leaves it out",
        "its mask covers no pixel and it has no box",
    ),
    "G205": Rule(
        "broken-runs",
        "error",
        "Run lengths are cut off, negative or sum to another size.",
        "run lengths that do not fit the picture are no mask",
        "leaves it out",
        "expected runs from 0 up that sum to 307200, got a sum of 307199",
    ),
    "G206": Rule(
        "line-outline",
        "warning",
        "All corners of an outline lie on one line.",
        "it becomes a line of pixels or a single one, which can't be learnt",
        "leaves it out",
        "4 corners on one line have no area",
    ),
    "G207": Rule(
        "over-border",
        "note",
        "An object reaches over the border of its picture by more than 2 pixels.",
        "it is cut off at the border",
        "cuts it off there",
        "reaches 14 pixels over the border of 480x640 (height x width)",
    ),
    "G208": Rule(
        "mostly-outside",
        "warning",
        "More than half of an object's box lies outside of its picture.",
        "a strip of it is learnt as the whole object; the annotation may belong to another picture or size",
        "cuts it off at the border",
        "78% of it lies outside of the picture of 480x640 (height x width)",
    ),
    "G209": Rule(
        "tiny-object",
        "warning",
        "An object is less than 2 pixels wide or high when the picture's short edge is at most 800 pixels.",
        "no anchor fits it and its mask is a single cell: it lowers the scores and teaches nothing",
        "",
        "0.8x3.1 pixels at training size",
    ),
    "G210": Rule(
        "duplicate-object",
        "warning",
        "Two objects of one class have the same shape, or share more than 95% of their pixels.",
        "the object counts twice; evaluation takes one of the two for missed",
        "keeps the first",
        "the same as region 2, IoU 1.00",
    ),
    "G211": Rule(
        "heavy-overlap",
        "warning",
        "Two objects of one class share more than 75% of their pixels.",
        "at most one of the two is found, as overlapping detections of one class are suppressed",
        "",
        "shares its pixels with region 2, IoU 0.83",
    ),
    "G212": Rule(
        "two-classes",
        "warning",
        "Two objects of different classes share more than 95% of their pixels.",
        "the same pixels are taught as two classes",
        "",
        "the same as annotation 17 (cat), IoU 0.98",
    ),
    "G213": Rule(
        "box-disagrees",
        "warning",
        "The stated box is more than 2 pixels off the mask.",
        "training and evaluation take the mask's; other programs would learn the wrong one",
        "takes the box from the mask",
        "expected x1, y1, x2, y2 of 10, 20, 50, 60 as the mask's, got 10, 20, 60, 80: "
        "are these corners instead of width and height?",
    ),
    "G214": Rule(
        "area-disagrees",
        "warning",
        "The stated area is far from that of the mask.",
        "AP of small, medium and large objects is counted in the wrong class of size",
        "takes the area from the mask",
        "expected 1,256 pixels as the mask's, got 1,600",
    ),
    "G215": Rule(
        "self-crossing",
        "warning",
        "An outline crosses itself, and the crossing changes what is inside.",
        "parts that were meant to be inside are outside, or the reverse",
        "keeps the pixels that it fills",
        "its lines cross; it encloses 900 and fills 1,800 pixels",
    ),
    "G216": Rule(
        "specks",
        "warning",
        "A mask is made of ten or more parts of a few pixels each, or is full of holes.",
        "noise is learnt as shape; the mask was likely made by a threshold",
        "",
        "at least 40 parts of 3 pixels each",
    ),
    "G217": Rule(
        "stray-object",
        "note",
        "An object of at most 25 pixels is a thousandth of the usual size of its class.",
        "likely a stray click, learnt as an object",
        "",
        "9 pixels, where the median of its class is 21,000",
    ),
    "G218": Rule(
        "box-among-masks",
        "warning",
        "An object has a box only, and others of the same picture have masks.",
        "none of the masks of that picture is learnt",
        "",
        "1 of 5 objects has a box only",
    ),
    "G219": Rule(
        "covers-picture",
        "note",
        "An object covers 95% or more of its picture.",
        "the network hardly sees its border; it may be a region that was drawn by mistake",
        "",
        "covers 99% of the picture",
    ),
    # Classes
    "C301": Rule(
        "unknown-class",
        "error",
        "An object's class is not one of those that the file declares.",
        "the object's class is not one of those that are declared",
        "leaves it out",
        "annotation 18: category_id: expected the id of one of the categories, got 91",
    ),
    "C302": Rule(
        "no-class",
        "error",
        "An object has no class where others have one.",
        "the object has no class where others have one",
        "leaves it out",
        "region 3 of cat.jpg: attribute 'class': expected one class, got nothing",
    ),
    "C303": Rule(
        "several-classes",
        "error",
        "An object has several classes.",
        "the object has several classes where one is needed",
        "leaves it out",
        "region 3 of cat.jpg: attribute 'class': expected one class, got cat and dog",
    ),
    "C304": Rule(
        "ids-off-by-one",
        "error",
        "Class ids of objects are one apart from those that are declared, or there is one name too few.",
        "every object would be learnt as the class before or after its own",
        "",
        "objects have the ids 0 to 2, declared are 1 to 3: were they counted from 0?",
    ),
    "C305": Rule(
        "unused-classes",
        "note",
        "Classes are declared that no object has.",
        "they are never found, and take a place in the network",
        "",
        "2 of 80 classes have no object: toaster, hair drier",
    ),
    "C306": Rule(
        "similar-names",
        "warning",
        "Names of classes differ by capitals, white space or hyphens only.",
        "objects of one kind are learnt as two, each against the other",
        "joins them under the name with the most objects",
        "'Cat' (4 objects) and 'cat' (120 objects)",
    ),
    "C307": Rule(
        "plural-names",
        "warning",
        "Names of classes differ by a plural only.",
        "objects of one kind are learnt as two, each against the other",
        "",
        "'car' (90 objects) and 'cars' (7 objects): join them with --classes",
    ),
    "C308": Rule(
        "background-class",
        "warning",
        "A class has a name such as background.",
        "background is what no class has; objects of that class would be found as things",
        "",
        "'background' has 12 objects: drop it with --classes",
    ),
    "C309": Rule(
        "class-imbalance",
        "note",
        "A class has less than a hundredth of the objects of the most frequent one.",
        "it will be found poorly, and its AP is uncertain",
        "",
        "zebra (3), okapi (1) beside person (11,204)",
    ),
    # The set as a whole
    "S401": Rule(
        "no-objects",
        "warning",
        "No picture of the set has any object.",
        "nothing can be learnt, and AP has no meaning",
        "",
        "12 pictures, no object",
    ),
    "S402": Rule(
        "pictures-without-objects",
        "note",
        "Pictures have no object.",
        "they teach what background is, which is useful if it is true",
        "",
        "12 of 61 pictures (20%), such as cat.jpg",
    ),
    "S403": Rule(
        "ignored-regions",
        "note",
        "Regions are marked as crowds or to be ignored.",
        "nothing is learnt there, and detections there are not counted",
        "",
        "3 regions on 2 pictures, such as annotation 9 of cat.jpg",
    ),
    "S404": Rule(
        "near-duplicates",
        "note",
        "Pictures of the set look the same.",
        "they count several times; after a random split they may stand on both sides",
        "",
        "2 pictures look the same: a.jpg, b.jpg",
    ),
    "S405": Rule(
        "shared-picture",
        "warning",
        "A picture stands in two sets, byte for byte.",
        "what is measured there was learnt by heart: the numbers are too good",
        "`--deleak` writes the other set without it",
        "the same bytes as cat.jpg of photos/train",
    ),
    "S406": Rule(
        "shared-look",
        "warning",
        "A picture looks the same as one of another set: stored anew, resized, or the next of a burst.",
        "what is measured there was learnt by heart: the numbers are too good",
        "`--deleak` writes the other set without it",
        "looks the same as cat.jpg of photos/train",
    ),
    "S407": Rule(
        "class-only-here",
        "error",
        "Another set has objects of a class that the first set does not have.",
        "evaluation is refused, as the model would not know the class",
        "",
        "objects of zebra (4), which photos/train does not have",
    ),
    "S408": Rule(
        "objects-differ",
        "note",
        "Of pictures that look the same and have one size, some have far fewer objects.",
        "objects may have been forgotten: they would be learnt as background",
        "",
        "b.jpg has 0 objects, a.jpg which looks the same has 5",
    ),
    "S409": Rule(
        "boxes-only",
        "note",
        "Objects have boxes and no masks.",
        "they train boxes and classes, not masks",
        "",
        "5 of 255 objects have a box only, such as annotation 9 of cat.jpg",
    ),
}
"""Every kind of finding, by its code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or worth a look.

    Attributes:
        code: One of `RULES`.
        file: The annotation file or folder.
        picture: The picture's name; empty where the finding is about more than one.
        annotation: Which annotation, such as `annotation 1768`; empty where it is about more than one.
        detail: What exactly is wrong: what was expected, what was found.
    """

    code: str
    file: str
    picture: str
    annotation: str
    detail: str

    @property
    def rule(self) -> Rule:
        """What kind of finding it is."""
        return RULES[self.code]

    def __str__(self) -> str:
        about = [self.file] if self.file else []
        if self.annotation or self.picture:
            about.append(" of ".join(filter(None, (self.annotation, self.picture))))
        return ": ".join([f"{self.code} {self.rule.name}", *about, self.detail])
