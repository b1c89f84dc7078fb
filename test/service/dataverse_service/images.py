"""Image columns (sheet 12): what is kept of an image, and how it is fetched and sent.

A column holds a thumbnail of at most 144 by 144 pixels, and the image itself where the column
stores full ones. Thumbnails are made of PNG files with eight bits a sample, by taking every n-th
pixel: enough to be smaller and still a picture. Other formats have no decoder here and are kept as
they are, which their readers cannot tell from images that were small.
"""
from __future__ import annotations

import base64
import struct
import zlib
from typing import Any, Optional

from .core import Column, Context, Fault, Response

SIDE = 144
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: PNG colour types that are understood: grey, RGB, grey with alpha, RGBA.
_SAMPLES = {0: 1, 2: 3, 4: 2, 6: 4}


def check_size(column: Column, raw: bytes) -> None:
    """MaxSizeInKB of the column (sheet 12)."""
    if len(raw) > column.max_size_kb * 1024:
        raise Fault(400, "0x80044A02", "Attachment file size is too big: the image of "
                    f"'{column.name}' may have {column.max_size_kb} KB.")


# --- thumbnails -------------------------------------------------------------------------------


def thumbnail(raw: bytes) -> bytes:
    """The image at most 144 pixels wide and high; as it is where that cannot be made."""
    try:
        return _shrunk(raw) or raw
    except (struct.error, zlib.error, IndexError, KeyError):
        return raw


def _chunks(raw: bytes) -> dict[bytes, bytes]:
    """Chunks by name, those of one name joined."""
    found: dict[bytes, bytes] = {}
    position = len(_SIGNATURE)
    while position < len(raw):
        length, name = struct.unpack(">I4s", raw[position:position + 8])
        found[name] = found.get(name, b"") + raw[position + 8:position + 8 + length]
        position += length + 12
    return found


def _shrunk(raw: bytes) -> Optional[bytes]:
    if not raw.startswith(_SIGNATURE):
        return None
    chunks = _chunks(raw)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if depth != 8 or interlaced or colour not in _SAMPLES or max(width, height) <= SIDE:
        return None
    size = _SAMPLES[colour]
    lines = _lines(zlib.decompress(chunks[b"IDAT"]), width * size, height, size)
    step = -(-max(width, height) // SIDE)
    kept = [b"".join(bytes(line[x * size:(x + 1) * size]) for x in range(0, width, step))
            for line in lines[::step]]
    header = struct.pack(">IIBBBBB", len(kept[0]) // size, len(kept), 8, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + line for line in kept))
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return (struct.pack(">I", len(data)) + name + data
            + struct.pack(">I", zlib.crc32(name + data)))


def _paeth(a: int, b: int, c: int) -> int:
    left, above, corner = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return a if left <= above and left <= corner else b if above <= corner else c


def _lines(data: bytes, width: int, height: int, size: int) -> list[bytearray]:
    """Undo PNG's line filters."""
    lines: list[bytearray] = []
    before = bytearray(width)
    for y in range(height):
        start = y * (width + 1)
        kind, line = data[start], bytearray(data[start + 1:start + 1 + width])
        for x in range(width if kind else 0):
            a = line[x - size] if x >= size else 0
            b, c = before[x], before[x - size] if x >= size else 0
            line[x] = line[x] + (0, a, b, (a + b) // 2, _paeth(a, b, c))[kind] & 255
        lines.append(line)
        before = line
    return lines


# --- download and upload ----------------------------------------------------------------------


def download(ctx: Context, column: Column, row: dict[str, Any], full: bool) -> Response:
    """``GET set(id)/col/$value``, with ``?size=full`` the whole image, in parts by ``Range``."""
    stored = row[column.name + "__full"] if full else row[column.name]
    if stored is None:
        return Response(204)
    raw = base64.b64decode(stored)
    headers = [("Content-Type", "application/octet-stream"),
               ("x-ms-file-name", f"{column.name}.png"), ("mimetype", "image/png")]
    if full:
        headers.append(("x-ms-file-size", str(len(raw))))
    wanted = ctx.headers.get("range")
    if wanted is None:
        return Response(200, raw, headers)
    first, last = _range(wanted, len(raw))
    headers.append(("Content-Range", f"bytes {first}-{last}/{len(raw)}"))
    return Response(206, raw[first:last + 1], headers)


def _range(text: str, length: int) -> tuple[int, int]:
    unit, _, ends = text.partition("=")
    first, dash, last = ends.partition("-")
    if unit.strip() != "bytes" or not first.isdigit() or not dash or int(first) >= length:
        raise Fault(416, "0x80040203", f"The range '{text}' cannot be satisfied.")
    return int(first), min(int(last), length - 1) if last.isdigit() else length - 1


def uploaded(ctx: Context, column: Column, body: bytes) -> str:
    """The body of ``PATCH set(id)/col`` as the column's value on the wire."""
    if ctx.headers.get("x-ms-transfer-mode", "").lower() == "chunked":
        raise Fault(400, "0x80090017", "Chunked transfer is not supported by this storage.")
    if not ctx.headers.get("content-type", "").startswith("application/octet-stream"):
        raise Fault(415, "0x80060888", "The content type of an upload is application/octet-stream.")
    if not ctx.headers.get("x-ms-file-name"):
        raise Fault(400, "0x80040203", "The header x-ms-file-name is missing.")
    return base64.b64encode(body).decode()
