"""File format detection from content (magic bytes); file names are ignored."""

import re

from embeddings.errors import ImageError

WANTED = "a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC picture"

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}

# Picture formats that are recognized but not accepted.
_OTHER_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff\xf7", "JPEG-LS"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "Windows icon"),
    (b"\x00\x00\x02\x00", "Windows cursor"),
    (b"icns", "Apple icon"),
    (b"qoif", "QOI"),
    (b"DDS ", "DirectDraw"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"gimp xcf", "GIMP"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"AT&TFORM", "DjVu"),
    (b"BPG\xfb", "BPG"),
    (b"\xd7\xcd\xc6\x9a", "Windows metafile"),
)

# Formats that are not pictures.
_OTHER_FILES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"FLV\x01", "a video (Flash)"),
    (b"\x00\x00\x01\xba", "a video (MPEG)"),
    (b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (b"0&\xb2u\x8ef\xcf\x11", "a video (Windows Media)"),
    (b"ID3", "a sound file (MP3)"),
    (b"OggS", "a sound or video file (Ogg)"),
    (b"fLaC", "a sound file (FLAC)"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"SQLite format 3\x00", "a database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"{\\rtf", "a text document (RTF)"),
)

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def sniff(data: bytes) -> str:
    """Return the format of a picture: jpeg, png, webp, gif, bmp, tiff, avif or heic.

    Raises `ImageError`: `empty_file`; `unsupported_format` for a picture of another format;
    `not_a_picture` for anything else, naming what the content looks like.
    """
    if not data:
        raise ImageError("empty_file", f"The file is empty (0 bytes); send {WANTED}.")
    accepted = _accepted(data)
    if accepted is not None:
        return accepted
    other = _other_picture(data)
    if other is not None:
        raise ImageError(
            "unsupported_format", f"{other} pictures are not supported; send {WANTED}."
        )
    raise ImageError(
        "not_a_picture", f"This is not a picture: it looks like {_what(data)}. Send {WANTED}."
    )


def _accepted(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8\xff") and data[3:4] != b"\xf7":
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    # Text may begin with "BM" as well.
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        return "avif"
    if brands & _HEIC_BRANDS:
        return "heic"
    return None


def _brands(data: bytes) -> set[bytes]:
    """Return the major and compatible brands of an ISO media file, without the minor version."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), len(data), 1024)
    return {data[8:12]} | {data[at : at + 4] for at in range(16, end - 3, 4)}


def _other_picture(data: bytes) -> str | None:
    for magic, name in _OTHER_PICTURES:
        if data.startswith(magic):
            return name
    if re.match(rb"P[1-7]\s", data):
        return "Netpbm"
    brands = _brands(data)
    if b"crx " in brands:
        return "Camera raw"
    if brands & {b"mif1", b"msf1", b"miaf"}:
        return "HEIF (neither HEIC nor AVIF inside)"
    return None


def _what(data: bytes) -> str:
    """Describe, in a few words, a file that is not a picture."""
    for magic, name in _OTHER_FILES:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp" or data[4:8] in (b"moov", b"mdat"):
        return "a sound file (MP4)" if data[8:11] == b"M4A" else "a video (MP4 or QuickTime)"
    if data.startswith(b"RIFF"):
        return {b"AVI ": "a video (AVI)", b"WAVE": "a sound file (WAV)"}.get(
            data[8:12], "a RIFF container"
        )
    if data[257:262] == b"ustar":
        return "a tar archive"
    text = _text(data[:1024])
    if text is None:
        return f"unknown binary data, beginning with {data[:8].hex(' ')}"
    head = text.lstrip().lower()
    if "<svg" in head:
        return "an SVG drawing"
    if head.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "an HTML page"
    if head.startswith("<?xml"):
        return "an XML document"
    if head.startswith(("{", "[")):
        return "JSON"
    return "text"


def _text(head: bytes) -> str | None:
    """Return the beginning of a text file, or None when the bytes are not text."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(encoding, "ignore")
    # The cut may split a character: up to three bytes of it are dropped.
    for cut in range(4):
        try:
            text = head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        control = sum(ord(char) < 32 and char not in "\t\n\r\f\x1b" for char in text)
        return text if not control else None
    return None
