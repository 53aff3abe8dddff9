"""How large a picture is, by the header of its file, so that it is known before anything is decoded."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, Final

from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

_READERS: Final[dict[bytes, Any]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"RIFF": WebPImageFile,
}
"""Pillow's readers by how files begin. They check no limits of size, which is done here."""


def picture_size(stream: BinaryIO) -> tuple[int, int] | None:
    """The width and height of a picture, None where it is no PNG, JPEG or WebP, or its header is damaged.

    The stream is left at its beginning.
    """
    stream.seek(0)
    beginning = stream.read(8)
    stream.seek(0)
    reader = next((found for start, found in _READERS.items() if beginning.startswith(start)), None)
    if reader is None:
        return None
    try:
        width, height = reader(stream).size
    except (EOFError, IndexError, OSError, SyntaxError, ValueError, struct.error):
        return None
    finally:
        stream.seek(0)
    return width, height
