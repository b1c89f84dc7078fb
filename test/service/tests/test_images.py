"""Sheet 12: images in bodies, thumbnails, download and upload; file columns are not there."""
from __future__ import annotations

import base64
import struct
import zlib

import pytest

from dataverse_service import app, core, images, payload, tables
from writing import ABSENT, crm, fresh, make, refused, row  # noqa: F401

SET = "sample_everythings"
GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,"
OCTETS = {"Content-Type": "application/octet-stream", "x-ms-file-name": "a.png"}


def png(width: int, height: int, colour: int = 2, kind: int = 0) -> bytes:
    """A picture whose pixels say where they are."""
    size = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    lines, before = [], bytes(width * size)
    for y in range(height):
        line = bytes((x // size + y) % 251 for x in range(width * size))
        shown = {0: line, 1: bytes((b - (line[i - size] if i >= size else 0)) & 255
                                   for i, b in enumerate(line)),
                 2: bytes((b - before[i]) & 255 for i, b in enumerate(line))}[kind]
        lines.append(bytes([kind]) + shown)
        before = line
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I",
                                                                        zlib.crc32(name + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(b"".join(lines))) + chunk(b"IEND", b""))


def shape(raw: bytes) -> tuple:
    return struct.unpack(">II", raw[16:24])


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


# --- thumbnails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width, height, expected", [(144, 144, (144, 144)), (145, 10, (73, 5)),
                                                     (288, 288, (144, 144)), (100, 300, (34, 100))])
def test_a_thumbnail_has_at_most_144_pixels_a_side(width, height, expected):
    small = images.thumbnail(png(width, height))
    assert shape(small) == expected and max(shape(small)) <= 144


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_thumbnail_shows_the_image(colour, kind):
    small = images.thumbnail(png(288, 288, colour, kind))
    size = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    data = zlib.decompress(small[small.index(b"IDAT") + 4:])
    line = data[(144 * size + 1) * 10 + 1:][:144 * size]
    assert line == bytes((2 * x + 20) % 251 for x in range(144) for _ in range(size))


@pytest.mark.parametrize("raw", [GIF, b"no image at all", png(300, 300)[:60], png(300, 300)[:20]])
def test_what_cannot_be_decoded_is_kept(raw):
    assert images.thumbnail(raw) == raw


# --- in rows --------------------------------------------------------------------------------------


def test_an_image_reads_back_as_its_thumbnail(crm):
    raw = png(200, 100)
    own = make(crm, SET, sample_image=b64(raw))
    small = base64.b64decode(row(crm, SET, own, "sample_image")["sample_image"])
    assert shape(small) == (100, 50)
    assert "sample_image" not in row(crm, SET, own)  # must be selected (sheet 12)


def test_what_comes_with_an_image(crm):
    own = make(crm, SET, sample_image=b64(GIF))
    names = ("sample_imageid", "sample_image_timestamp", "sample_image_url")
    found = row(crm, SET, own, *names)
    stamp = found["sample_image_timestamp"]
    assert found["sample_image_url"] == (
        f"/Image/download.aspx?Entity=sample_everything&Attribute=sample_image&Id={own}"
        f"&Timestamp={stamp}&Full=true")
    assert crm.patch(f"{SET}({own})", {"sample_image_url": "x", "sample_name": "n"}).status == 204
    assert row(crm, SET, own, *names)["sample_image_url"] == found["sample_image_url"]
    crm.control("clock", {"advance_seconds": 5})
    crm.patch(f"{SET}({own})", {"sample_image": b64(png(2, 2))})
    again = row(crm, SET, own, *names)
    assert again["sample_image_timestamp"] > stamp
    assert again["sample_imageid"] != found["sample_imageid"]
    crm.patch(f"{SET}({own})", {"sample_image": None})
    after = row(crm, SET, own, *names)
    assert [after[name] for name in names] == [None] * 3
    crm.reset()


def test_an_image_beyond_the_columns_size(crm):
    """MaxSizeInKB is 64 here."""
    assert crm.post(SET, {"sample_image": b64(b"x" * 65536)}).status == 204
    refused(crm.post(SET, {"sample_image": b64(b"x" * 65537)}), 400, "0x80044A02")
    refused(crm.post("accounts", {"entityimage": b64(b"x" * (10240 * 1024 + 1))}), 400,
            "0x80044A02")


@pytest.mark.parametrize("value", ["***", "A", 5, ["x"], {"a": 1}])
def test_what_is_no_base64(crm, value):
    refused(crm.post(SET, {"sample_image": value}), 400, "0x80048D19")


def test_only_the_primary_image_comes_with_a_new_row():
    """0x80090487; in an update any (sheet 12)."""
    service = app.Service()
    table = service.model.tables["sample_everything"]
    second = tables.image("sample_Second", "Second")[0]
    table.columns[second.name] = second
    ctx = core.Context(model=service.model, store=service.store, quirks=service.quirks, base="",
                       prefs=core.Prefs(), headers={}, user_id="")
    body = {"sample_second": b64(GIF)}
    with pytest.raises(core.Fault) as caught:
        payload.read_payload(ctx, table, body, True)
    assert (caught.value.status, caught.value.code) == (400, "0x80090487")
    assert payload.read_payload(ctx, table, body, False).stored["sample_second"] == b64(GIF)
    assert payload.read_payload(ctx, table, {"sample_second": None}, True).stored[
        "sample_second"] is None


def test_images_in_bulk_messages(crm):
    name = fresh("Img")
    targets = [{"@odata.type": "Microsoft.Dynamics.CRM.account", "name": name,
                "entityimage": b64(png(200, 200))}]
    crm.post("accounts/Microsoft.Dynamics.CRM.CreateMultiple", {"Targets": targets})
    found = crm.get(f"accounts?$select=entityimage&$filter=name eq '{name}'").value[0]
    assert shape(base64.b64decode(found["entityimage"])) == (100, 100)


# --- download -------------------------------------------------------------------------------------


def test_download_of_thumbnail_and_full_image(crm):
    raw = png(200, 200)
    own = make(crm, SET, sample_image=b64(raw))
    path = f"{SET}({own})/sample_image/$value"
    small = crm.get(path)
    assert small.status == 200 and shape(small.body) == (100, 100)
    assert "x-ms-file-size" not in small.headers and small.headers["x-ms-file-name"]
    full = crm.get(f"{path}?size=full")
    assert full.body == raw and full.headers["x-ms-file-size"] == str(len(raw))
    assert full.headers["mimetype"] == "image/png"


def test_download_in_ranges(crm):
    raw = png(200, 200)
    own = make(crm, SET, sample_image=b64(raw))
    path = f"{SET}({own})/sample_image/$value?size=full"
    assert crm.get(path).body == raw
    reply = crm.get(path, headers={"Range": "bytes=10-19"})
    assert (reply.status, reply.body) == (206, raw[10:20])
    assert reply.headers["Content-Range"] == f"bytes 10-19/{len(raw)}"
    assert reply.headers["x-ms-file-size"] == str(len(raw))
    assert crm.get(path, headers={"Range": "bytes=10-"}).body == raw[10:]
    assert crm.get(path, headers={"Range": f"bytes={len(raw)}-"}).status == 416


def test_download_of_nothing(crm):
    """Empty, or no full image: 204."""
    own = make(crm, "accounts", name="x")
    assert crm.get(f"accounts({own})/entityimage/$value").status == 204
    crm.patch(f"accounts({own})", {"entityimage": b64(GIF)})
    assert crm.get(f"accounts({own})/entityimage/$value").body == GIF
    assert crm.get(f"accounts({own})/entityimage/$value?size=full").status == 204


# --- upload and removal ---------------------------------------------------------------------------


def test_upload_and_removal(crm):
    own = make(crm, "accounts", name="x")
    path = f"accounts({own})/entityimage"
    assert crm.patch(path, png(4, 4), headers=OCTETS).status == 204
    assert crm.get(f"{path}/$value").body == png(4, 4)
    for clear in (lambda: crm.delete(path), lambda: crm.put(path, {"value": None}),
                  lambda: crm.patch(f"accounts({own})", {"entityimage": None})):
        crm.patch(path, GIF, headers=OCTETS)
        assert clear().status == 204
        assert crm.get(f"{path}/$value").status == 204


def test_uploads_that_are_refused(crm):
    own = make(crm, "accounts", name="x")
    path = f"accounts({own})/entityimage"
    assert crm.patch(path, GIF, headers={**OCTETS, "Content-Type": "image/gif"}).status == 415
    bare = {"Content-Type": "application/octet-stream"}
    assert crm.patch(path, GIF, headers=bare).status == 400
    refused(crm.patch(path, b"", headers={**OCTETS, "x-ms-transfer-mode": "chunked"}), 400,
            "0x80090017")
    assert crm.patch(f"accounts({own})/name", GIF, headers=OCTETS).status == 405
    refused(crm.patch(f"accounts({ABSENT})/entityimage", GIF, headers=OCTETS), 404, "0x80040217")
    assert crm.get(f"{path}/$value").status == 204


@pytest.mark.parametrize("message", ["InitializeFileBlocksUpload", "UploadBlock", "DeleteFile",
                                     "CommitFileBlocksUpload", "InitializeFileBlocksDownload",
                                     "DownloadBlock", "BulkDelete"])
def test_messages_for_files_and_jobs_are_not_here(crm, message):
    assert crm.post(message, {}).status == 501
