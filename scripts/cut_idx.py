#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The first entries of a gzipped IDX file (images or labels) as another one: cut_idx.py FROM.gz COUNT TO.gz

The same bytes for the same input. Exit codes: 0 done, 3 a file that is not IDX, cannot be read, or holds fewer entries.
"""
import gzip
import math
import struct
import sys


def cut(source: str, count: int, target: str) -> None:
    with gzip.open(source, "rb") as file:
        magic = file.read(4)
        if len(magic) != 4 or magic[:3] != b"\x00\x00\x08":
            raise ValueError("is not an IDX file of bytes")
        shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
        if shape[0] < count:
            raise ValueError(f"holds {shape[0]} entries, {count} are wanted")
        size = count * math.prod(shape[1:])
        entries = file.read(size)
        if len(entries) != size:
            raise ValueError("ends early")
    with open(target, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(magic + struct.pack(f">{magic[3]}I", count, *shape[1:]) + entries)


if __name__ == "__main__":
    try:
        cut(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    except (OSError, EOFError, ValueError, struct.error) as error:
        print(f"cut_idx.py: {sys.argv[1]}: {error}", file=sys.stderr)
        sys.exit(3)
