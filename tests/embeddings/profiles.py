"""Small ICC profiles that change colours so much that nobody can miss it."""

import struct

from PIL import ImageCms


def srgb() -> bytes:
    """A plain sRGB profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def red_is_green() -> bytes:
    """sRGB with its red and green primaries swapped."""
    data = bytearray(srgb())
    places = {}
    for entry in range(struct.unpack_from(">I", data, 128)[0]):
        at = 132 + 12 * entry
        places[bytes(data[at : at + 4])] = at
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


def _profile(device: bytes, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    header = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, device, space, b"Lab "
    )
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    header += struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + table + body


def _text(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" * 79


WHITE = b"XYZ \0\0\0\0" + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)


def cyan_is_orange() -> bytes:
    """A CMYK profile of sixteen colours: no ink is white, cyan is orange, all else black."""
    curve = bytes(range(256))
    corners = [bytes([0, 128, 128])] * 16  # black, in 8-bit Lab
    corners[0] = bytes([255, 128, 128])  # C varies slowest: 0000 is paper
    corners[8] = bytes([178, 168, 198])  # 1000 is cyan alone: L 70, a 40, b 70
    matrix = struct.pack(">9i", *(65536 if at % 4 == 0 else 0 for at in range(9)))
    table = (
        b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + curve * 4 + b"".join(corners) + curve * 3
    )
    return _profile(b"prtr", b"CMYK", {b"desc": _text(b"test"), b"wtpt": WHITE, b"A2B0": table})


def linear_grey() -> bytes:
    """A grey profile of gamma 1: middle grey is far lighter than sRGB's."""
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    data = _profile(b"mntr", b"GRAY", {b"desc": _text(b"test"), b"wtpt": WHITE, b"kTRC": curve})
    return data[:20] + b"XYZ " + data[24:]
