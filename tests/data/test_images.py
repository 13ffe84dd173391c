from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from maskrcnn.data.images import header_size, list_images, read_image, to_array
from maskrcnn.errors import ImageError, InputError

GEOTIFF = Path(__file__).parents[2] / "../shared/data/geotiff_buildings/sample_geotiff.tif"
rng = np.random.default_rng(7)
GREY = rng.integers(0, 256, (5, 7), dtype=np.uint8)
RGB = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
DEEP = rng.integers(0, 65536, (5, 7), dtype=np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, colour_type: int, after: bytes = b"") -> bytes:
    """Write a PNG by hand; rows after the first are stored as the difference to the row above (filter 2)."""
    h, w, _ = pixels.shape
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(h, -1).view(np.uint8)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    lines = b"".join(b"\2" + line.tobytes() for line in rows - above)
    header = struct.pack(">IIBBBBB", w, h, 8 * pixels.itemsize, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines))
        + after
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def save(tmp_path: Path):
    def _save(image: Image.Image, name: str, **options: object) -> Path:
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return _save


def same(path: Path, expected: np.ndarray) -> None:
    array = read_image(path)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert header_size(path) == expected.shape[:2]


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp"])
def test_rgb_comes_as_it_is(save, name: str) -> None:
    same(save(Image.fromarray(RGB), name, **({"lossless": True} if name == "a.webp" else {})), RGB)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif", "a.pgm"])
def test_grey_comes_as_three_equal_bands(save, name: str) -> None:
    same(save(Image.fromarray(GREY), name), np.stack([GREY] * 3, axis=2))


def test_palette_comes_as_its_colours(save) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    expected = np.array([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]], dtype=np.uint8)
    same(save(image, "a.png"), expected)
    same(save(image, "b.png", transparency=bytes([0, 128, 255])), expected)
    same(save(image, "c.gif", transparency=1), expected)


def test_one_bit_comes_as_black_and_white(save) -> None:
    bits = np.array([[True, False, True]])
    expected = np.array([[[255] * 3, [0] * 3, [255] * 3]], dtype=np.uint8)
    same(save(Image.fromarray(bits), "a.png"), expected)
    same(save(Image.fromarray(bits), "a.tif"), expected)


def test_alpha_is_dropped_and_colours_stay(save) -> None:
    alpha = np.arange(35, dtype=np.uint8).reshape(5, 7)
    rgba, la = np.dstack([RGB, alpha]), np.dstack([GREY, alpha])
    for suffix in ("png", "tif"):
        same(save(Image.fromarray(rgba), f"rgba.{suffix}"), RGB)
        same(save(Image.fromarray(la), f"la.{suffix}"), np.stack([GREY] * 3, axis=2))


def test_cmyk_comes_as_rgb(save) -> None:
    cmyk = np.zeros((2, 2, 4), dtype=np.uint8)
    cmyk[0, 0] = (255, 0, 0, 0)
    cmyk[1, 1] = (0, 0, 0, 255)
    white = [255, 255, 255]
    expected = np.array([[[0, 255, 255], white], [white, [0, 0, 0]]], dtype=np.uint8)
    same(save(Image.fromarray(cmyk, mode="CMYK"), "a.tif"), expected)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_sixteen_bit_grey_keeps_its_values(save, compression: str) -> None:
    same(save(Image.fromarray(DEEP), "a.tif", compression=compression), DEEP[..., None])


def test_sixteen_bit_grey_png_keeps_its_values(save) -> None:
    same(save(Image.fromarray(DEEP), "a.png"), DEEP[..., None])


@pytest.mark.parametrize(("colour_type", "bands"), [(2, 3), (6, 4)])
def test_sixteen_bit_colour_png_keeps_its_values(tmp_path: Path, colour_type: int, bands: int) -> None:
    pixels = rng.integers(0, 65536, (5, 7, bands), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png(pixels, colour_type))
    same(tmp_path / "a.png", pixels[..., :3])


def test_sixteen_bit_grey_png_with_alpha_is_refused_and_not_squashed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(DEEP[..., None].repeat(2, axis=2), 4))
    with pytest.raises(ImageError, match=r"a\.png: expected a PNG of 8 bits or without alpha"):
        read_image(tmp_path / "a.png")


def test_float_and_32_bit_grey_keep_their_values(save) -> None:
    same(save(Image.fromarray(DEEP.astype(np.float32) / 7), "f.tif"), (DEEP.astype(np.float32) / 7)[..., None])
    same(save(Image.fromarray(DEEP.astype(np.int32) * 9), "i.tif"), (DEEP.astype(np.int32) * 9)[..., None])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_of_many_bands(tmp_path: Path, dtype: type, compression: str | None) -> None:
    bands = rng.integers(0, 120, (6, 20, 30)).astype(dtype)
    last = np.ascontiguousarray(bands.transpose(1, 2, 0))
    options = {"photometric": "minisblack", "compression": compression}
    tifffile.imwrite(tmp_path / "planes.tif", bands, planarconfig="separate", **options)
    tifffile.imwrite(tmp_path / "pixels.tif", last, planarconfig="contig", **options)
    tifffile.imwrite(tmp_path / "pages.tif", bands, **options)
    tifffile.imwrite(tmp_path / "unsaid.tif", last, **options)
    for name in ("planes", "pixels", "pages", "unsaid"):
        same(tmp_path / f"{name}.tif", last)


def test_tiff_channels_first_and_frames(tmp_path: Path) -> None:
    stack = rng.integers(0, 9999, (3, 4, 20, 30), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, metadata={"axes": "TCYX"}, photometric="minisblack")
    same(tmp_path / "a.tif", stack[0].transpose(1, 2, 0))
    tifffile.imwrite(tmp_path / "b.tif", stack[:, 0], metadata={"axes": "TYX"}, photometric="minisblack")
    same(tmp_path / "b.tif", stack[0, 0][..., None])
    tifffile.imwrite(tmp_path / "c.tif", stack[0], imagej=True)
    same(tmp_path / "c.tif", stack[0].transpose(1, 2, 0))
    tifffile.imwrite(tmp_path / "d.tif", stack[0, 0].astype(np.uint8)[None], photometric="minisblack")
    same(tmp_path / "d.tif", stack[0, 0].astype(np.uint8)[..., None].repeat(3, axis=2))


def test_eight_bit_tiff_with_a_fourth_band_that_is_not_alpha_keeps_it(tmp_path: Path) -> None:
    pixels = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "nir.tif", pixels, photometric="rgb", extrasamples=["unspecified"])
    same(tmp_path / "nir.tif", pixels)
    tifffile.imwrite(tmp_path / "rgba.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    same(tmp_path / "rgba.tif", pixels[..., :3])


def test_tiff_of_axes_without_meaning_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3, 8, 9), dtype=np.uint16), photometric="minisblack")
    with pytest.raises(ImageError, match=r"a\.tif: expected height, width and bands, got axes QQYX"):
        read_image(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((8, 9), dtype=np.complex64))
    with pytest.raises(ImageError, match="expected real numbers, got complex64"):
        header_size(tmp_path / "b.tif")


@pytest.mark.skipif(not GEOTIFF.exists(), reason="../shared/data/geotiff_buildings is not here")
def test_geotiff() -> None:
    array = read_image(GEOTIFF)
    assert (array.shape, array.dtype) == ((900, 900, 1), np.uint16)
    assert array.max() > 255
    assert header_size(GEOTIFF) == (900, 900)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
def test_exif_orientation_is_applied_as_pillow_does(save, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = save(Image.fromarray(RGB), f"a.{suffix}", exif=exif)
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert expected.shape[:2] == ((7, 5) if orientation >= 5 else (5, 7))
    same(path, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_a_deep_tiff(save, tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    eight = read_image(save(Image.fromarray(GREY), "eight.png", exif=exif))
    tag = [(274, "H", 1, orientation, False)]
    tifffile.imwrite(tmp_path / "deep.tif", GREY.astype(np.uint16), extratags=tag)
    same(tmp_path / "deep.tif", eight[..., :1].astype(np.uint16))


def test_exif_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    late = chunk(b"eXIf", exif.tobytes()[6:])
    (tmp_path / "a.png").write_bytes(png(RGB, 2, after=late))
    same(tmp_path / "a.png", np.rot90(RGB, -1))


def test_broken_exif_counts_as_upright(save, tmp_path: Path) -> None:
    save(Image.fromarray(RGB), "a.png")
    (tmp_path / "b.png").write_bytes(png(RGB, 2, after=chunk(b"eXIf", b"nonsense")))
    same(tmp_path / "b.png", RGB)
    exif = Image.Exif()
    exif[274] = 99
    same(save(Image.fromarray(RGB), "c.png", exif=exif), RGB)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_animated_gives_the_first_frame(save, name: str) -> None:
    frames = [Image.fromarray(np.full((5, 7, 3), shade, dtype=np.uint8)) for shade in (0, 255)]
    options = {"lossless": True} if name == "a.webp" else {}
    same(save(frames[0], name, save_all=True, append_images=frames[1:], **options), np.zeros_like(RGB))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.gif", "a.tif", "deep.tif", "deep.png"])
def test_a_file_that_is_cut_off_is_an_error_and_never_half_a_picture(save, tmp_path: Path, name: str) -> None:
    deep = rng.integers(0, 65536, (40, 50), dtype=np.uint16)
    pixels = deep if name.startswith("deep") else (deep >> 8).astype(np.uint8)[..., None].repeat(3, axis=2)
    path = save(Image.fromarray(pixels), name)
    whole, data = read_image(path), path.read_bytes()
    for share in (0, 0.05, 0.3, 0.6, 0.9, 0.97):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ImageError, match=name):
            read_image(path)
    path.write_bytes(data[:-1])
    with contextlib.suppress(ImageError):
        np.testing.assert_array_equal(read_image(path), whole)


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"compression": "zlib"},
        {"imagej": True},
        {"ome": True},
        {"ome": True, "compression": "zlib"},
        {"metadata": {"axes": "CYX"}},
    ],
)
def test_a_tiff_that_lost_bands_is_an_error_and_not_a_smaller_picture(
    tmp_path: Path, kind: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    path, bands = tmp_path / "a.tif", rng.integers(0, 60000, (5, 32, 40), dtype=np.uint16)
    tifffile.imwrite(path, bands, photometric="minisblack", **kind)
    data = path.read_bytes()
    same(path, bands.transpose(1, 2, 0))
    assert not caplog.records
    for share in (0.3, 0.5, 0.8, 0.95):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ImageError, match=r"a\.tif: expected a whole picture"):
            read_image(path)


def test_errors_name_the_file_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("no picture at all")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "tiff.tif").write_bytes(b"II*\0nonsense")
    cases = {
        "missing.jpg": "expected a picture, got no such file",
        "words.jpg": "expected a picture, got a file of another kind, starting with b'no pictu'",
        "empty.jpg": "expected a picture, got an empty file",
        ".": "expected a picture, got a folder",
        "tiff.tif": "expected a whole picture, got one that can't be read",
    }
    for name, reason in cases.items():
        for reader in (read_image, header_size):
            with pytest.raises(ImageError) as caught:
                reader(tmp_path / name)
            assert str(caught.value).startswith(f"{tmp_path / name}: {reason}")


def test_absurdly_large_pictures_are_refused(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ImageError, match=r"bomb\.png: expected at most 178,956,970 pixels"):
        read_image(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match=r"bomb\.png: expected at most"):
        header_size(tmp_path / "bomb.png")
    tifffile.imwrite(tmp_path / "deep.tif", DEEP)
    data = bytearray((tmp_path / "deep.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "deep.tif") as tiff:
        places = [tiff.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    for place in places:
        data[place : place + 4] = struct.pack("<I", 1_000_000)
    (tmp_path / "deep.tif").write_bytes(data)
    with pytest.raises(ImageError, match=r"deep\.tif: expected at most 8 GiB"):
        read_image(tmp_path / "deep.tif")


def test_large_pictures_give_no_warning(tmp_path: Path) -> None:
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")  # 90 million pixels: Pillow warns from 89.5 on
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert header_size(tmp_path / "large.png") == (9_000, 10_000)


def test_to_array_takes_paths_pictures_and_arrays(save) -> None:
    path = save(Image.fromarray(RGB), "a.png")
    np.testing.assert_array_equal(to_array(path), RGB)
    np.testing.assert_array_equal(to_array(str(path)), RGB)
    np.testing.assert_array_equal(to_array(Image.fromarray(RGB)), RGB)
    np.testing.assert_array_equal(to_array(Image.fromarray(DEEP)), DEEP[..., None])
    np.testing.assert_array_equal(to_array(RGB), RGB)
    np.testing.assert_array_equal(to_array(GREY), np.stack([GREY] * 3, axis=2))
    np.testing.assert_array_equal(to_array(DEEP), DEEP[..., None])
    assert to_array(np.zeros((5, 7, 9), dtype=np.float32)).shape == (5, 7, 9)
    assert to_array(np.zeros((1, 1), dtype=bool)).shape == (1, 1, 1)
    assert to_array(np.zeros((3, 200, 3), dtype=np.uint8)).shape == (3, 200, 3)


def test_to_array_keeps_a_pillow_picture_as_it_stands(save) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = save(Image.fromarray(RGB), "a.png", exif=exif)
    with Image.open(path) as image:
        assert to_array(image).shape == (5, 7, 3)
    assert to_array(path).shape == (7, 5, 3)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((3, 64, 64), dtype=np.uint8), ImageError, r"transpose\(1, 2, 0\)"),
        (np.zeros((0, 5, 3), dtype=np.uint8), ImageError, r"at least one pixel .* got shape \(0, 5, 3\)"),
        (np.zeros(5), InputError, r"of shape \(5,\)"),
        (np.zeros((1, 5, 5, 3)), InputError, r"of shape \(1, 5, 5, 3\)"),
        (np.zeros((5, 5), dtype=complex), InputError, "complex128"),
        (np.full((5, 5), "a"), InputError, "<U1"),
        (None, InputError, "got NoneType"),
        ([[1, 2]], InputError, "got list"),
    ],
)
def test_to_array_refuses(image: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        to_array(image)


def test_to_array_names_a_broken_pillow_picture(save) -> None:
    path = save(Image.fromarray(RGB), "a.png")
    path.write_bytes(path.read_bytes()[:60])
    with Image.open(path) as image, pytest.raises(ImageError, match=r"a\.png: expected a whole picture"):
        to_array(image)


def test_list_images_keeps_the_order_given_and_sorts_folders_naturally(tmp_path: Path) -> None:
    for name in (
        "b/img10.jpg",
        "b/img9.JPG",
        "b/img1.png",
        "b/notes.txt",
        "b/.hidden.png",
        "b/sub/x.jpg",
        "odd",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = list_images([tmp_path / "odd", tmp_path / "b", tmp_path / "b/img9.JPG"])
    assert [path.name for path in found] == ["odd", "img1.png", "img9.JPG", "img10.jpg"]
    found = list_images([f"{tmp_path}/b/**/*.jpg"])
    assert [path.name for path in found] == ["img10.jpg", "x.jpg"]
    (tmp_path / "b/[1].png").touch()
    assert list_images([tmp_path / "b/[1].png"]) == [tmp_path / "b/[1].png"]
    assert list_images([]) == []


def test_list_images_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere: expected a picture or a folder of pictures, got no such"):
        list_images([tmp_path / "nowhere"])
    with pytest.raises(ImageError, match=r"expected pictures \(\.avif, .*\), found none; sub-folders"):
        list_images([tmp_path])
    with pytest.raises(ImageError, match=r"\*\.jpg: expected pictures .* found none"):
        list_images([tmp_path / "*.jpg"])
