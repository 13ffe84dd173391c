"""Rasters that know where on the Earth they lie, read whole or by the window.

Values come as `read_image` gives them. GDAL decodes what it can't, and reads a window without the rest.

References: OGC GeoTIFF 1.1; rasterio.
Letters: H, W height and width; h, w of a window.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskrcnn.data.dataset import Box
from maskrcnn.data.images import read_image
from maskrcnn.errors import AnnotationError, DataError, ImageError

SUFFIXES = (".tif", ".tiff", ".jp2")

_TIFF, _JPEG2000 = "GTiff", "JP2OpenJPEG"  # other drivers follow what a file says to other files and addresses
_MOST_BYTES = 1 << 33
_CACHE_MIB = 256
_NUMBERS = frozenset("buif")
_PLAIN_PREDICTORS = (None, "1", "2")


ReadWindow = Callable[[int, int, tuple[int, int]], NDArray[np.generic]]


class Raster(NamedTuple):
    """Where a raster lies.

    Attributes:
        path: The file.
        size_hw: Its height and width.
        crs: Its coordinate reference system, as rasterio has it.
        transform: The affine map from x, y in pixels to coordinates, as rasterio has it.
        nodata: The value of pixels that hold nothing; None where there is none.
        is_plain: Whether `read_image` reads it too.
    """

    path: Path
    size_hw: tuple[int, int]
    crs: Any
    transform: Any
    nodata: float | None
    is_plain: bool

    @property
    def bounds(self) -> Box:
        """The least and most x, y of its corners, in its coordinates."""
        h, w = self.size_hw
        corners = affine(self.transform, np.array([[0, 0], [w, 0], [0, h], [w, h]], dtype=np.float64))
        (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return x1, y1, x2, y2

    @property
    def columns(self) -> dict[str, str]:
        """What a set can be split by: x, y of its middle and its coordinate reference system."""
        h, w = self.size_hw
        ((x, y),) = affine(self.transform, np.array([[w / 2, h / 2]])).tolist()
        return {"x": f"{x:.12g}", "y": f"{y:.12g}", "crs": self.crs.to_string()}

    def part(self, x: int, y: int, size_hw: tuple[int, int]) -> Raster:
        """Return where a window lies, whose upper left pixel is in column x and row y."""
        a, b, _, d, e, _ = self.transform[:6]
        ((c, f),) = affine(self.transform, np.array([[x, y]], dtype=np.float64)).tolist()
        return self._replace(size_hw=size_hw, transform=type(self.transform)(a, b, c, d, e, f))


def affine(transform: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points, (n, 2) float64 x, y, by an affine map as rasterio has it; those without a place stay without one.

    >>> affine((2, 0, 10, 0, 2, 20), np.array([[1.0, 2.0], [np.inf, np.inf]]))
    array([[12., 24.],
           [nan, nan]])
    """
    a, b, c, d, e, f = transform[:6]
    x, y = points.T
    with np.errstate(invalid="ignore"):  # nothing times infinite
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


def rasterio_for(path: Path) -> Any:
    """Import rasterio, which the extra `geo` brings.

    Raises:
        AnnotationError: It is missing.
    """
    return geo_library("rasterio", path)


def geo_library(name: str, path: Path) -> Any:
    """Import a library of the extra `geo`.

    Raises:
        AnnotationError: It is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise AnnotationError(
            f"{path}: expected {name} to read this file, got none; pip install maskrcnn[geo]"
        ) from None


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a raster with rasterio.

    Raises:
        ImageError: It is missing or broken, or something that is read goes wrong.
    """
    rasterio = rasterio_for(path)
    driver = _JPEG2000 if path.suffix.lower() == ".jp2" else _TIFF
    try:
        with warnings.catch_warnings(), rasterio.Env(GDAL_CACHEMAX=_CACHE_MIB):
            warnings.simplefilter("ignore")
            with rasterio.open(path.absolute(), driver=driver) as source:
                yield source
    except DataError:
        raise
    except Exception as error:  # GDAL's errors are of many kinds
        why = "no such file" if not path.exists() else f"one that can't be read: {error}"
        raise ImageError(f"{path}: expected a whole raster, got {why}") from None


def locate_raster(path: Path) -> Raster:
    """Read where a raster lies, and not its pixels.

    Raises:
        ImageError: It is missing or broken.
        AnnotationError: It does not say where it lies.
    """
    with opened(path) as source:
        if source.crs is None or source.transform.is_identity:
            what = "coordinate reference system" if source.crs is None else "place in it (a transform)"
            raise AnnotationError(
                f"{path}: expected a georeferenced raster, got one without a {what}; outlines on a map need it",
                code="F006",
            )
        if source.transform.is_degenerate or not np.isfinite(source.transform).all():
            raise AnnotationError(
                f"{path}: expected pixels that cover a part of the map, got the transform {source.transform[:6]}",
                code="F006",
            )
        size_hw = source.height, source.width
        return Raster(path, size_hw, source.crs, source.transform, source.nodata, _is_plain(source))


def _is_plain(source: Any) -> bool:
    """Say whether the usual reader of TIFF decompresses it too."""
    structure = source.tags(ns="IMAGE_STRUCTURE")
    compression = structure.get("COMPRESSION", "NONE")
    return source.driver == _TIFF and (
        compression == "NONE" or (compression == "DEFLATE" and structure.get("PREDICTOR") in _PLAIN_PREDICTORS)
    )


def read_raster(path: Path) -> NDArray[np.generic]:
    """Read a raster as `read_image` does: (H, W, 3) uint8 RGB of a photograph, (H, W, bands) of all else.

    Raises:
        ImageError: It is missing or broken, or absurdly large.
    """
    with opened(path) as source:
        return _values(source, path, ((0, source.height), (0, source.width)))


@contextmanager
def windows(path: Path) -> Iterator[ReadWindow]:
    """Give what reads a part of a raster, (h, w, bands), without the rest: a function of x, y and height and width.

    x and y are column and row of the window's upper left pixel; the window lies inside the raster.

    Raises:
        ImageError: The raster is missing or broken.
    """
    with opened(path) as source:
        yield lambda x, y, size_hw: _values(source, path, ((y, y + size_hw[0]), (x, x + size_hw[1])))


def write_raster(path: Path, pixels: NDArray[np.generic], place: Raster) -> None:
    """Write pixels, (h, w, bands), as a GeoTIFF that lies where `place` says."""
    rasterio = rasterio_for(path)
    h, w, bands = pixels.shape
    colours = {"photometric": "RGB"} if bands == 3 and pixels.dtype == np.uint8 else {}
    with warnings.catch_warnings(), rasterio.Env():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path,
            "w",
            driver=_TIFF,
            height=h,
            width=w,
            count=bands,
            dtype=pixels.dtype,
            crs=place.crs,
            transform=place.transform,
            nodata=place.nodata,
            compress="deflate",
            **colours,
        ) as file:
            file.write(pixels.transpose(2, 0, 1))


def _values(source: Any, path: Path, window: tuple[tuple[int, int], tuple[int, int]]) -> NDArray[np.generic]:
    kind = np.result_type(*source.dtypes)
    (y1, y2), (x1, x2) = window
    if kind.kind not in _NUMBERS:
        raise ImageError(f"{path}: expected real numbers, got {kind}")
    if (y2 - y1) * (x2 - x1) * source.count * kind.itemsize > _MOST_BYTES:
        raise ImageError(
            f"{path}: expected at most {_MOST_BYTES >> 30} GiB, got more; cut it with `maskrcnn data crop`"
        )
    bands = _colours(source)
    values: NDArray[np.generic] = source.read(bands, window=window).transpose(1, 2, 0)
    if kind == np.uint8 and len(bands) == 1:
        values = _grey(source, values)
    return np.require(values, requirements=["C", "W"])


def _colours(source: Any) -> list[int]:
    """List the bands that are kept: those of a photograph without its alpha, or all."""
    alpha = [i for i, meaning in enumerate(source.colorinterp, start=1) if meaning.name == "alpha"]
    opaque = [i for i in source.indexes if i not in alpha]
    is_photograph = set(source.dtypes) == {"uint8"} and len(opaque) in (1, 3)
    return opaque if is_photograph else list(source.indexes)


def _grey(source: Any, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Give a grey or palette picture three bands."""
    if source.colorinterp[0].name != "palette":
        return np.repeat(values, 3, axis=2)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for index, colour in source.colormap(1).items():
        palette[index] = colour[:3]
    coloured: NDArray[np.uint8] = palette[values[..., 0]]
    return coloured


def reader(raster: Raster) -> Callable[[Path], NDArray[np.generic]]:
    """Return how a raster is read: as any picture where that is possible."""
    return read_image if raster.is_plain else read_raster
