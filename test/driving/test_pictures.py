# SPDX-License-Identifier: Apache-2.0
"""The same scene in every encoding that cameras send is the same grey picture."""

from __future__ import annotations

import struct
import zlib
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from td3_driver.driving.messages.pictures import ImageError, compressed_pixels, pixels
from td3_driver.driving.view import ViewConfig, frame_of

HEIGHT, WIDTH = 96, 128


def scene() -> np.ndarray:
    """(H, W, 3) BGR: smooth colours, none alike, as Bayer patterns and halved colours need."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    blue = 60 + 120 * x / WIDTH
    green = 200 - 150 * y / HEIGHT
    red = 120 + 80 * np.sin(x / 20.0) * np.cos(y / 25.0)
    return np.stack([blue, green, red], axis=2).round().astype(np.uint8)


def yuv422(bgr: np.ndarray, *, brightness_first: bool) -> np.ndarray:
    """(H, W, 2): brightness of each pixel, colour of each two (BT.601, as OpenCV has it)."""
    yuv = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    size = HEIGHT * WIDTH
    y = yuv[:size].reshape(HEIGHT, WIDTH)
    u, v = (
        yuv[start : start + size // 4].reshape(HEIGHT // 2, WIDTH // 2).repeat(2, axis=0)
        for start in (size, size + size // 4)
    )
    colour = np.empty((HEIGHT, WIDTH), np.uint8)
    colour[:, 0::2], colour[:, 1::2] = u, v
    return np.stack([y, colour] if brightness_first else [colour, y], axis=2)


def planar(bgr: np.ndarray, *, red_first: bool = False, full: bool = False) -> np.ndarray:
    """(n, W): brightness, then pairs of colour."""
    yuv = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    size = HEIGHT * WIDTH
    u, v = (
        yuv[start : start + size // 4].reshape(HEIGHT // 2, WIDTH // 2)
        for start in (size, size + size // 4)
    )
    if full:
        u, v = (plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (u, v))
    pairs = np.stack([v, u] if red_first else [u, v], axis=2)
    return np.concatenate([yuv[:size], pairs.reshape(-1)]).reshape(-1, WIDTH)


def bayer(bgr: np.ndarray, pattern: str) -> np.ndarray:
    """(H, W): of each pixel the one colour that its filter lets through, rows from the top."""
    mosaic = np.empty((HEIGHT, WIDTH), np.uint8)
    for place, letter in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = bgr[row::2, column::2, "bgr".index(letter)]
    return mosaic


def sixteen(image: np.ndarray) -> np.ndarray:
    return image.astype(np.uint16) * 257


BGR = scene()
GREY = cv2.cvtColor(BGR, cv2.COLOR_BGR2GRAY)
ALPHA = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
RGB = BGR[:, :, ::-1]
BGRA, RGBA = (np.concatenate([image, ALPHA], axis=2) for image in (BGR, RGB))
ENCODINGS = {
    "bgr8": BGR, "rgb8": RGB, "bgra8": BGRA, "rgba8": RGBA, "mono8": GREY,
    "8UC1": GREY, "8UC3": BGR, "8UC4": BGRA,
    "bgr16": sixteen(BGR), "rgb16": sixteen(RGB), "bgra16": sixteen(BGRA),
    "rgba16": sixteen(RGBA), "mono16": sixteen(GREY), "16UC1": sixteen(GREY),
    "16UC3": sixteen(BGR), "16UC4": sixteen(BGRA),
    "uyvy": yuv422(BGR, brightness_first=False), "yuv422": yuv422(BGR, brightness_first=False),
    "yuyv": yuv422(BGR, brightness_first=True), "yuv422_yuy2": yuv422(BGR, brightness_first=True),
    "nv12": planar(BGR), "nv21": planar(BGR, red_first=True), "nv24": planar(BGR, full=True),
    **{f"bayer_{p}8": bayer(BGR, p) for p in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{p}16": sixteen(bayer(BGR, p)) for p in ("rggb", "bggr", "gbrg", "grbg")},
}  # fmt: skip


def message(encoding: str, padding: int = 0, big: bool = False) -> Any:
    image = ENCODINGS[encoding]
    if big:
        image = image.astype(">u2")
    rows = np.frombuffer(np.ascontiguousarray(image).tobytes(), np.uint8)
    rows = rows.reshape(image.shape[0], -1)
    parts = [rows]
    if encoding == "nv24":  # a row of its colours is two rows of the buffer
        parts = [rows[:HEIGHT], rows[HEIGHT:].reshape(HEIGHT, -1)]
    padded = [
        np.pad(part, ((0, 0), (0, padding * factor)), constant_values=99)
        for factor, part in enumerate(parts, start=1)
    ]
    return SimpleNamespace(
        height=HEIGHT, width=WIDTH, encoding=encoding, step=padded[0].shape[1],
        is_bigendian=int(big), data=np.concatenate([part.reshape(-1) for part in padded]),
    )  # fmt: skip


def seen(image: np.ndarray) -> np.ndarray:
    return frame_of(image, ViewConfig()).astype(int)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("padding", [0, 10])
def test_every_encoding_shows_the_same_scene(encoding: str, padding: int) -> None:
    found = pixels(message(encoding, padding))
    assert found.dtype == np.uint8
    assert found.shape[:2] == (HEIGHT, WIDTH)
    difference = np.abs(seen(found) - seen(BGR))[2:-2, 2:-2]  # a Bayer picture's edge is guessed
    assert difference.max() <= 3, encoding
    if found.ndim == 3:
        colours = np.abs(found[:, :, :3].astype(int) - BGR)[2:-2, 2:-2]
        assert np.mean(colours) < 3.0
        assert np.percentile(colours, 99) < 12


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if "16" in name])
def test_byte_order_is_honoured(encoding: str) -> None:
    assert np.array_equal(pixels(message(encoding, big=True)), pixels(message(encoding)))


def test_sixteen_bits_are_scaled_as_cv_bridge_does() -> None:
    one = message("mono16")
    one.data = np.full(HEIGHT * WIDTH, 4095, "<u2").view(np.uint8)
    assert set(pixels(one).reshape(-1)) == {round(4095 * 255 / 65535)}


def jpeg(image: np.ndarray) -> np.ndarray:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]


def of_size(data: np.ndarray, width: int, height: int) -> np.ndarray:
    """A PNG whose header says another size."""
    content = bytearray(data.tobytes())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return np.frombuffer(bytes(content), np.uint8)


def png(image: np.ndarray) -> np.ndarray:
    return cv2.imencode(".png", image)[1]


@pytest.mark.parametrize(
    ("format_", "data"),
    [
        ("jpeg", jpeg(BGR)),
        ("png", png(BGR)),
        ("", jpeg(BGR)),
        ("bgr8; jpeg compressed bgr8", jpeg(BGR)),
        ("rgb8; jpeg compressed bgr8", jpeg(BGR)),
        ("rgba8; png compressed bgr8", png(BGR)),
        ("rgb8; jpeg compressed rgb8", jpeg(RGB)),
        ("rgb8; png compressed ", png(RGB)),
        ("mono8; jpeg compressed ", jpeg(GREY)),
        ("mono16; png compressed ", png(sixteen(GREY))),
        ("16UC1; png compressed ", png(sixteen(GREY))),
        ("bayer_rggb8; png compressed ", png(bayer(BGR, "rggb"))),
        ("bgra8; png compressed bgra8", png(BGRA)),
    ],
)
def test_compressed_pictures_show_it_too(format_: str, data: np.ndarray) -> None:
    found = compressed_pixels(SimpleNamespace(format=format_, data=data.reshape(-1)))
    assert np.abs(seen(found) - seen(BGR))[2:-2, 2:-2].max() <= 4
    if found.ndim == 3:
        assert np.mean(np.abs(found[:, :, :3].astype(int) - BGR)) < 4.0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"data": np.zeros(10, np.uint8)}, "image of 10 bytes does not fit 96 rows of step 384"),
        ({"step": 100}, "which 128 pixels of bgr8 make 384 bytes at least"),
        ({"step": 0}, "step 0"),
        ({"height": 0}, "does not fit 0 rows"),
        ({"height": 97}, "does not fit 97 rows"),
        ({"encoding": "32FC1"}, "image encoding '32FC1'; readable are bgra8, "),
        ({"encoding": ""}, "image encoding ''; readable are"),
        ({"encoding": "nv12", "width": 384, "step": 384, "height": 64}, "of step"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    changed: dict[str, Any], reason: str
) -> None:
    one = message("bgr8")
    vars(one).update(changed)
    if changed.get("encoding") == "nv12":  # 64 * 1.5 rows are there: it fits, and shows a scene
        assert pixels(one).shape == (64, 384, 3)
        one.height = 65
    with pytest.raises(ImageError) as refused:
        pixels(one)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("format_", "data", "reason"),
    [
        ("16UC1; compressedDepth png", png(sixteen(GREY)), "compressedDepth png' holds distances"),
        ("h264", np.zeros(100, np.uint8), "format 'h264' and 100 bytes: not readable"),
        ("jpeg", np.zeros(0, np.uint8), "0 bytes"),
        ("jpeg", jpeg(BGR)[:40], "not readable"),
        ("png", of_size(png(BGR), 100_000, 100_000), "not readable"),
    ],
)
def test_compressed_pictures_that_are_none_are_refused(
    format_: str, data: np.ndarray, reason: str
) -> None:
    with pytest.raises(ImageError) as refused:
        compressed_pixels(SimpleNamespace(format=format_, data=data))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
