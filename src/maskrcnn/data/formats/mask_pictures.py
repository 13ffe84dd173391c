"""Masks of single objects that are kept as pictures: what is not black, or not transparent, is the object.

Letters: H, W height and width.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskrcnn.errors import AnnotationError

_MOST_PIXELS = 1 << 27


def read_mask(source: Path | bytes, where: str, most_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask.

    Args:
        source: A picture's file, or its bytes.
        where: File, name and picture, for errors.
        most_hw: The largest height and width that the mask can have; checked before it is decoded.

    Returns:
        (H, W) bool.

    Raises:
        AnnotationError: It is no picture, broken, or larger.
    """
    from PIL import Image

    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as picture,
        ):
            _check_size(picture.height, picture.width, where, most_hw)
            plain = picture if picture.mode in ("1", "L", "P", "I;16", "I") else picture.convert("RGBA")
            pixels = np.array(plain)
    except AnnotationError:
        raise
    except FileNotFoundError:
        raise AnnotationError(f"{where}: expected a mask in {source!s}, got no such file", code="P101") from None
    except Exception as error:  # the decoders raise whatever their own slip is
        raise AnnotationError(f"{where}: expected a mask as a picture, got one that can't be read: {error}") from None
    return _set(pixels)


def _check_size(height: int, width: int, where: str, most_hw: tuple[int, int]) -> None:
    if height > most_hw[0] or width > most_hw[1] or height * width > _MOST_PIXELS:
        raise AnnotationError(
            f"{where}: expected a mask of at most {most_hw[0]}x{most_hw[1]} (height x width), got {height}x{width}"
        )


def _set(pixels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Say which pixels are set: those that are not black; where some are transparent, those that are not."""
    if pixels.ndim == 2:
        return np.asarray(pixels != 0)
    opaque = np.asarray(pixels[..., 3] != 0)
    return np.asarray((pixels[..., :3] != 0).any(axis=2)) if opaque.all() else opaque
