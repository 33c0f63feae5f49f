# SPDX-License-Identifier: Apache-2.0
"""Conversion of any camera's image messages to pixels, by `cv_bridge`'s rules.

The encodings are those of sensor_msgs/image_encodings.hpp and those of compressed_image_transport.
It reads only fields: messages may come from rclpy or from a bag.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Anybody may publish; no camera has more.
MOST_PIXELS = 4096 * 4096
Pixels = NDArray[np.uint8]

# OpenCV names a pattern by its second row and column, ROS by its first row and column.
_BAYER = {
    f"bayer_{pattern}{bits}": code
    for bits in (8, 16)
    for pattern, code in (
        ("rggb", cv2.COLOR_BayerBG2BGR),
        ("bggr", cv2.COLOR_BayerRG2BGR),
        ("gbrg", cv2.COLOR_BayerGR2BGR),
        ("grbg", cv2.COLOR_BayerGB2BGR),
    )
}
# Numbers per pixel. Those of an encoding without one of OpenCV's codes are BGR(A) or grey already.
_CHANNELS = {
    "bgra8": 4, "bgr8": 3, "rgb8": 3, "rgba8": 4, "mono8": 1,
    "bgra16": 4, "bgr16": 3, "rgb16": 3, "rgba16": 4, "mono16": 1,
    "8UC1": 1, "8UC3": 3, "8UC4": 4, "16UC1": 1, "16UC3": 3, "16UC4": 4,
    "uyvy": 2, "yuv422": 2, "yuyv": 2, "yuv422_yuy2": 2,
    **dict.fromkeys(_BAYER, 1),
}  # fmt: skip
_CODES = {
    "rgba8": cv2.COLOR_RGBA2BGRA,
    "rgb16": cv2.COLOR_RGB2BGR,
    "rgba16": cv2.COLOR_RGBA2BGRA,
    "uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "yuv422": cv2.COLOR_YUV2BGR_UYVY,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUY2,
    **_BAYER,
}
# A plane of brightness, then one of colour: bytes per pixel, and OpenCV's code.
_PLANAR = {
    "nv12": (1.5, cv2.COLOR_YUV2BGR_NV12),
    "nv21": (1.5, cv2.COLOR_YUV2BGR_NV21),
    "nv24": (3.0, cv2.COLOR_YUV2BGR_NV12),
}
_COLOURED = ("rgb", "bgr")  # beginnings of encodings
_SIXTEEN_TO_EIGHT = 255.0 / 65535.0
_READABLE = ", ".join([*(name for name in _CHANNELS if name not in _BAYER), *_PLANAR])


class ImageError(ValueError):
    """An image message cannot be read; the message says why."""


def pixels(message: Any) -> Pixels:
    """Convert a sensor_msgs/Image to (H, W) or (H, W, C) uint8 in BGR(A) order.

    The result is a view of the message's buffer if the encoding allows that.

    Raises:
        ImageError: unknown encoding, a buffer that does not fit height and step, or more than
            `MOST_PIXELS`: to look at them would take longer than a frame may.
    """
    if message.height * message.width > MOST_PIXELS:
        raise ImageError(
            f"image of {message.width} x {message.height} pixels; at most {MOST_PIXELS} are read"
        )
    encoding = str(message.encoding)
    if encoding in _PLANAR:
        return _planar(message, *_PLANAR[encoding])
    channels = _CHANNELS.get(encoding)
    if channels is None:
        raise ImageError(f"image encoding {encoding!r}; readable are {_READABLE}, bayer_*8, *16")
    depth = 2 if "16" in encoding else 1
    rows = _rows(message, message.width * channels * depth, message.height)
    if depth == 2:
        order = ">" if message.is_bigendian else "<"
        rows = np.ascontiguousarray(rows).view(f"{order}u2")
    if channels > 1:
        rows = rows.reshape(message.height, message.width, channels)
    return _eight_bits(_in_order(rows, encoding))


def compressed_pixels(message: Any) -> Pixels:
    """Convert a sensor_msgs/CompressedImage (JPEG, PNG and others of OpenCV's) like `pixels`.

    Raises:
        ImageError: the data are no image, or a depth image.
    """
    encoding, _, compression = (part.strip() for part in str(message.format).partition(";"))
    if "compressedDepth" in compression:
        raise ImageError(f"compressed image of format {message.format!r} holds distances")
    data = np.frombuffer(message.data, dtype=np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:  # a header with a size that no picture has
        image = None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"compressed image of format {message.format!r} and {data.size} bytes: not readable; "
            "JPEG and PNG are"
        )
    grey = image.ndim == 2
    if grey and encoding.startswith("bayer_"):
        image = _in_order(image, encoding)
    # compressed_image_transport states in which order it gave the colours to the encoder.
    swapped = compression and "compressed bgr" not in compression
    if not grey and swapped and encoding.startswith(_COLOURED):
        code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        image = cv2.cvtColor(image, code)
    return _eight_bits(image)


def _rows(message: Any, row_bytes: int, count: int) -> Pixels:
    """Return the buffer's rows without their padding, (count, row_bytes)."""
    data = np.frombuffer(message.data, dtype=np.uint8)
    fits = message.step >= row_bytes and data.size == count * message.step
    if not fits or 0 in (count, row_bytes):
        raise ImageError(
            f"image of {data.size} bytes does not fit {count} rows of step {message.step}, which "
            f"{message.width} pixels of {message.encoding} make {row_bytes} bytes at least"
        )
    rows: Pixels = data.reshape(count, message.step)[:, :row_bytes]
    return rows


def _planar(message: Any, bytes_per_pixel: float, code: int) -> Pixels:
    height, width = int(message.height), int(message.width)
    rows = _rows(message, width, int(height * bytes_per_pixel))
    if height % 2 or width % 2:
        raise ImageError(f"{message.encoding} image of {width} x {height}; expected even numbers")
    if bytes_per_pixel > 2.0:  # OpenCV only reads colour planes of half the size
        plane = np.frombuffer(message.data, np.uint8)[height * message.step :]
        colour = plane.reshape(height, 2 * message.step)[:, : 2 * width]
        colour = np.ascontiguousarray(colour).reshape(height, width, 2)
        half = cv2.resize(colour, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        rows = np.vstack([rows[:height], half.reshape(height // 2, width)])
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rows), code), dtype=np.uint8)


def _in_order(image: NDArray[Any], encoding: str) -> NDArray[Any]:
    """Convert an image to BGR(A) or grey."""
    if encoding == "rgb8":
        return image[:, :, ::-1]
    code = _CODES.get(encoding)
    if code is None:
        return image
    native = image.astype(image.dtype.newbyteorder("="), copy=False)
    try:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(native), code))
    except cv2.error as error:  # such as a Bayer picture of one row, or YUV of an odd width
        height, width = image.shape[:2]
        raise ImageError(f"{encoding} image of {width} x {height}: {error.err}") from error


def _eight_bits(image: NDArray[Any]) -> Pixels:
    if image.dtype == np.uint8:
        return image
    native = np.ascontiguousarray(image, dtype=np.uint16)
    return np.asarray(cv2.convertScaleAbs(native, alpha=_SIXTEEN_TO_EIGHT), dtype=np.uint8)
