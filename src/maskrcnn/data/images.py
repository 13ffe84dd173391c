"""Pictures from files to arrays (H, W, bands), upright; the only place that decodes them.

| stored as | comes as |
|---|---|
| 8-bit grey, palette, 1-bit, CMYK, YCbCr, RGB | (H, W, 3) uint8 RGB |
| the same with alpha | the same: alpha is dropped, colours stay as they are stored |
| 16-bit, 32-bit or float grey | (H, W, 1) of that dtype, values unchanged |
| 16-bit colour PNG | (H, W, 3) uint16, values unchanged, alpha dropped |
| TIFF of other band counts or deeper than 8 bits | (H, W, bands) of its dtype, every band kept |
| several frames | the first one |

Deep colour in other kinds of file (JPEG 2000, AVIF, PPM) comes as 8 bits.

References: Pillow; tifffile; EXIF 2.32, tag 274 (orientation).
Letters: H, W height and width.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from maskrcnn.data.tiff import ORIENTATION, axes_of, first_picture, is_plain, is_tiff, open_tiff, orientation_of
from maskrcnn.errors import ImageError, InputError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_FEW_ROWS = 4
_MOST_LABEL_BANDS = 4

_UPRIGHT: dict[int, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


def read_image(path: str | Path) -> NDArray[np.generic]:
    """Read a picture, upright.

    Returns:
        (H, W, bands), contiguous; see the table above.

    Raises:
        ImageError: There is no such file, it is no picture, it is broken or cut off, or absurdly large.
    """
    path = Path(path)
    with _decoding(path):
        array = _read_tiff(path) if is_tiff(path) else _read_pillow(path)
    return np.require(array, requirements=["C", "W"])


def read_alpha(path: str | Path) -> NDArray[np.uint8] | None:
    """Read how opaque a picture is, upright.

    Returns:
        (H, W) uint8, 255 where nothing shines through; None where the file has no alpha.

    Raises:
        ImageError: There is no such file, it is no picture, it is broken or cut off.
    """
    path = Path(path)
    with _decoding(path), Image.open(path) as image:
        if "A" not in image.getbands() and "a" not in image.getbands() and "transparency" not in image.info:
            return None
        alpha = np.array(image.convert("RGBA").getchannel("A"))
        return np.ascontiguousarray(_turn(alpha[..., None], _orientation(image))[..., 0])


def read_labels(path: str | Path) -> NDArray[np.generic]:
    """Read a picture whose values are labels, upright and exactly as they are stored.

    Returns:
        (H, W), or (H, W, bands) of 2 to 4 bands. Indices of a palette, 0 and 1 of one bit; deep values and alpha
        are kept.

    Raises:
        ImageError: There is no such file, it is no picture, it is broken or cut off, absurdly large, or a stack.
    """
    path = Path(path)
    with _decoding(path):
        array = _stored_tiff(path) if is_tiff(path) else _stored_pillow(path)
    return array[..., 0] if array.shape[2:] == (1,) else array


def to_array(image: str | Path | Image.Image | NDArray[np.generic]) -> NDArray[np.generic]:
    """Turn whatever holds a picture into (H, W, bands).

    Args:
        image: A path is read, upright. A Pillow picture is taken as it stands, without turning it by its EXIF
            orientation, so that results are in its own pixels. An array is (H, W) or (H, W, bands) of real
            numbers; (H, W) uint8 becomes grey RGB, (H, W) of another dtype one band.

    Raises:
        ImageError: The picture can't be read, has no pixels, or has its bands first.
        InputError: It is none of these kinds.

    >>> to_array(np.zeros((4, 5), dtype=np.uint8)).shape, to_array(np.zeros((4, 5), dtype=np.uint16)).shape
    ((4, 5, 3), (4, 5, 1))
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        with _decoding(Path(getattr(image, "filename", "") or "picture")):
            return _bands(image)
    if isinstance(image, np.ndarray):
        return _checked(image)
    raise InputError(
        f"image: expected a path, a Pillow picture or an array (height, width, bands), got {type(image).__name__}"
    )


class Header(NamedTuple):
    """What the head of a picture says.

    Attributes:
        size_hw: Height and width that `read_image` gives, upright.
        orientation: The EXIF orientation by which it was turned for that, 1 to 8; 1 where it lies as it is stored.
    """

    size_hw: tuple[int, int]
    orientation: int


def header(path: str | Path) -> Header:
    """Read the head of a picture, without decoding the picture.

    Raises:
        ImageError: There is no such file, it is no picture, or absurdly large.
    """
    path = Path(path)
    with _decoding(path):
        return _tiff_header(path) if is_tiff(path) else _pillow_header(path)


def header_size(path: str | Path) -> tuple[int, int]:
    """Return the height and width that `read_image` gives, without decoding the picture.

    Raises:
        ImageError: There is no such file, it is no picture, or absurdly large.
    """
    return header(path).size_hw


def upright(array: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Turn what lies as a picture is stored, (H, W) or (H, W, bands), as `read_image` turns the picture.

    >>> upright(np.array([[[1], [2], [3]]]), 6)[..., 0].tolist()
    [[1], [2], [3]]
    """
    turned = _turn(array[..., None] if array.ndim == 2 else array, orientation)
    return turned[..., 0] if array.ndim == 2 else turned


def list_images(paths: Sequence[str | Path]) -> list[Path]:
    """List the pictures that files, folders and glob patterns name, each once.

    The order of `paths` is kept; within a folder or a pattern the order is natural (2 before 10). A folder
    gives the pictures that lie directly in it, known by their suffix; a pattern gives every such file that it
    matches; a file that is named itself is taken whatever its suffix.

    Raises:
        ImageError: A path does not exist, or a folder or pattern holds no picture.
    """
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_pictures_at(Path(path))))
    return list(found)


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort names with numbers as people do.

    >>> [p.name for p in sorted([Path("a10.jpg"), Path("a9.jpg")], key=natural_key)]
    ['a9.jpg', 'a10.jpg']
    """
    pieces = re.split(r"([0-9]+)", str(path))
    return [(0, int(piece), piece) if i % 2 else (1, 0, piece) for i, piece in enumerate(pieces)]


def _pictures_at(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        pictures = [inner for inner in path.iterdir() if _looks_like_picture(inner)]
        hint = f"sub-folders are not searched, try '{path}/**'"
    elif path.exists():
        raise ImageError(f"{path}: expected a picture or a folder, got neither")
    elif any(character in str(path) for character in "*?["):
        matches = map(Path, glob(str(path), recursive=True))  # noqa: PTH207  # Path.glob takes no absolute one
        pictures = [match for match in matches if _looks_like_picture(match)]
        hint = "quote a pattern and check its folder"
    else:
        raise ImageError(f"{path}: expected a picture or a folder of pictures, got no such file or folder", code="P101")
    if not pictures:
        raise ImageError(
            f"{path}: expected pictures ({', '.join(sorted(IMAGE_SUFFIXES))}), found none; {hint}", code="P101"
        )
    return sorted(pictures, key=natural_key)


def _looks_like_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Name the file in whatever goes wrong, and keep the decoders' warnings to ourselves."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: expected a picture, got no such file", code="P101") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: expected a picture, got a folder") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: expected a picture, got {_kind(path)}") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError(f"{path}: expected at most {limit:,} pixels, got more") from None
    except MemoryError:
        raise ImageError(f"{path}: expected a picture that fits into memory, got a larger one") from None
    except Exception as error:  # the decoders raise whatever their own slip is: struct.error, SyntaxError, KeyError
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(f"{path}: expected a whole picture, got one that can't be read: {reason}") from error


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    return f"a file of another kind, starting with {start!r}" if start else "an empty file"


def _checked(array: NDArray[np.generic]) -> NDArray[np.generic]:
    if array.ndim not in (2, 3) or array.dtype.kind not in "buif":
        raise InputError(
            "image: expected an array (height, width) or (height, width, bands) of numbers, "
            f"got {array.dtype} of shape {array.shape}"
        )
    if array.size == 0:
        raise ImageError(f"image: expected at least one pixel and one band, got shape {array.shape}")
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3 if array.dtype == np.uint8 else 1, axis=2)
    if array.shape[0] <= _FEW_ROWS and min(array.shape[1:]) > 8 * _FEW_ROWS:
        raise ImageError(
            f"image: expected (height, width, bands), got shape {array.shape}; for bands first use "
            "image.transpose(1, 2, 0)"
        )
    return array


# Pillow


def _read_pillow(path: Path) -> NDArray[np.generic]:
    with Image.open(path) as image:
        orientation = _orientation(image)
        array = _deep_colour(image, path) if _is_deep_colour(image) else _bands(image)
    return _turn(array, orientation)


def _stored_pillow(path: Path) -> NDArray[np.generic]:
    with Image.open(path) as image:
        orientation = _orientation(image)
        if _is_deep_colour(image):
            array = _deep_colour(image, path)
        elif image.mode in {"L", "LA", "P", "RGB", "RGBA"}:
            array = np.array(image)
        elif image.mode == "1":
            array = np.array(image).astype(np.uint8)
        elif image.mode == "PA":
            array = np.array(image.convert("RGBA"))
        else:
            array = _bands(image)
    return _turn(array.reshape(*array.shape[:2], -1), orientation)


def _pillow_header(path: Path) -> Header:
    with Image.open(path) as image:
        orientation = _orientation(image)
        return Header(_turned((image.height, image.width), orientation), orientation)


def _turn(array: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    return _UPRIGHT[orientation](array) if orientation in _UPRIGHT else array


def _turned(size_hw: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size_hw[1], size_hw[0]) if orientation >= 5 else size_hw


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; what can't be read counts as upright, as it does in a browser."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself
    if image.format == "PNG" and not _png_has_exif(image):
        return 1
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return orientation if orientation in range(1, 9) else 1


def _png_has_exif(image: Image.Image) -> bool:
    """Look for EXIF, also behind the pixels, where Pillow would decode the picture to find it."""
    if {"exif", "Raw profile type exif", "XML:com.adobe.xmp"} & image.info.keys():
        return True
    with Path(image.filename).open("rb") as file:  # type: ignore[attr-defined]  # opened from a path, so it has one
        return b"eXIf" in _png_chunks(file)


def _png_chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(8)
    while len(head := file.read(8)) == 8:
        yield head[4:]
        file.seek(int.from_bytes(head[:4], "big") + 4, 1)


def _bands(image: Image.Image) -> NDArray[np.generic]:
    if 0 in image.size:
        raise ImageError(f"{getattr(image, 'filename', 'image')}: expected at least one pixel, got {image.size}")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in {"PNG", "PPM"}):
        return np.array(image).astype(np.uint16)[..., None]
    if image.mode in {"I", "F"}:
        return np.array(image)[..., None]
    plain = image.convert("RGBA") if image.mode == "RGBa" else image
    return np.array(plain.convert("RGB"))


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    return arguments if isinstance(arguments, str) else ""


def _is_deep_colour(image: Image.Image) -> bool:
    return image.format == "PNG" and _raw_mode(image) in {"RGB;16B", "RGBA;16B", "LA;16B"}


def _deep_colour(image: Image.Image, path: Path) -> NDArray[np.generic]:
    """Read 16-bit colour, of which Pillow keeps the byte that it takes for the high one.

    Told the other byte order, it keeps the other byte: two passes give both.
    """
    if _raw_mode(image) == "LA;16B":
        raise ImageError(
            f"{path}: expected a PNG of 8 bits or without alpha, got 16-bit grey with alpha; save it without alpha"
        )
    high = np.array(image).astype(np.uint16)
    with Image.open(path) as again:
        codec, extents, offset, _ = again.tile[0]
        again.tile = [(codec, extents, offset, f"{again.mode};16L")]  # type: ignore[list-item]  # newer: named
        low = np.array(again).astype(np.uint16)
    deep: NDArray[np.uint16] = high * np.uint16(256) + low
    return deep[..., :3]


# TIFF


def _read_tiff(path: Path) -> NDArray[np.generic]:
    with open_tiff(path) as tiff:
        axes, shape = axes_of(tiff, path)
        if is_plain(tiff, axes):
            return _read_pillow(path)
        return _turn(first_picture(tiff, axes, shape, path), orientation_of(tiff))


def _stored_tiff(path: Path) -> NDArray[np.generic]:
    with open_tiff(path) as tiff:
        axes, shape = axes_of(tiff, path)
        frames = math.prod(n for axis, n in zip(axes, shape, strict=True) if axis not in "YX")
        if set(axes) - set("YXS") or frames > _MOST_LABEL_BANDS:
            raise ImageError(
                f"{path}: expected labels of one plane, got a stack of {frames}; save each plane as a file of its own"
            )
        plain = is_plain(tiff, axes)
    return _stored_pillow(path) if plain else _read_tiff(path)


def _tiff_header(path: Path) -> Header:
    with open_tiff(path) as tiff:
        axes, shape = axes_of(tiff, path)
        orientation = orientation_of(tiff)
        if is_plain(tiff, axes):
            return Header(_pillow_header(path).size_hw, orientation)
        size_hw = shape[axes.index("Y")], shape[axes.index("X")]
        return Header(_turned(size_hw, orientation), orientation)
