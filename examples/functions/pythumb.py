"""A Lambda function as it is for Amazon: it makes a thumbnail of each picture that
an S3 event names, and puts it into the bucket "thumbs". It needs no packages: a PNG
of 8 bits without interlacing is a few chunks around zlib."""

import os
import struct
import urllib.parse
import urllib.request
import zlib

SIZE = 64
SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTHS = {0: 1, 2: 3, 6: 4}  # bytes of a pixel, by the colour type


def handler(event, context):
    made = []
    for record in event["Records"]:
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        picture = decode(ask("GET", record["s3"]["bucket"]["name"], key))
        ask("PUT", "thumbs", "python/" + key, encode(*shrink(*picture)))
        print("a thumbnail of", key)
        made.append("python/" + key)
    return made


def ask(method, bucket, key, body=None):
    url = f"{os.environ['BUCKETS']}/{bucket}/{urllib.parse.quote(key)}"
    with urllib.request.urlopen(urllib.request.Request(url, body, method=method)) as answer:
        return answer.read()


def shrink(width, height, depth, pixels):
    """Take the nearest pixel for each of the thumbnail."""
    small = bytearray()
    for y in range(SIZE):
        for x in range(SIZE):
            at = (y * height // SIZE * width + x * width // SIZE) * depth
            small += pixels[at:at + depth]
    return SIZE, SIZE, depth, small


def decode(png):
    if png[:8] != SIGNATURE:
        raise ValueError("this is no PNG")
    at, header, data = 8, b"", b""
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8:at + 8 + length]
        header = body if kind == b"IHDR" else header
        data += body if kind == b"IDAT" else b""
        at += length + 12
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if bits != 8 or colour not in DEPTHS or interlaced:
        raise ValueError("only PNG of 8 bits, without palette and interlacing")
    depth = DEPTHS[colour]
    return width, height, depth, unfilter(zlib.decompress(data), width * depth, height, depth)


def unfilter(data, stride, height, depth):
    """Undo the filters of PNG (third edition, section 9)."""
    out, above = bytearray(), bytes(stride)
    for y in range(height):
        start = y * (stride + 1)
        kind, row = data[start], bytearray(data[start + 1:start + 1 + stride])
        for x in range(stride) if kind else ():
            left, corner = (row[x - depth], above[x - depth]) if x >= depth else (0, 0)
            guess = (0, left, above[x], (left + above[x]) // 2, paeth(left, above[x], corner))[kind]
            row[x] = (row[x] + guess) & 255
        out += row
        above = row
    return out


def paeth(left, up, corner):
    return min((left, up, corner), key=lambda v: abs(left + up - corner - v))


def encode(width, height, depth, pixels):
    stride, colour = width * depth, {1: 0, 3: 2, 4: 6}[depth]
    rows = b"".join(b"\0" + pixels[y * stride:(y + 1) * stride] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
