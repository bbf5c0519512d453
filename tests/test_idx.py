"""IDX files: what is written comes back, and what is damaged, or lies about its size, is a DataError that names it."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastbp.datasets import idx
from fastbp.datasets.idx import read_idx, write_idx
from fastbp.errors import DataError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def header(code: int, *sizes: int) -> bytes:
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, len(sizes), *sizes)


RAW = header(0x08, 2, 3, 4) + IMAGES.tobytes()


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5,), (0,), (2, 0, 3), (2, 3, 4), (1, 1, 1, 1, 7)])
def test_round_trip(tmp_path: Path, dtype: str, shape: tuple[int, ...], suffix: str) -> None:
    array = (np.arange(np.prod(shape)) - 3).astype(dtype).reshape(shape)
    write_idx(tmp_path / f"a{suffix}", array)
    got = read_idx(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(got, array, strict=True)
    assert got.dtype.isnative
    assert got.flags.writeable
    assert got.flags.c_contiguous
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", IMAGES)
    assert (tmp_path / "a").read_bytes() == RAW
    write_idx(tmp_path / "b", np.array([[1, -2]], np.int16))
    assert (tmp_path / "b").read_bytes() == bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0xFF, 0xFE])


def test_strided_and_big_endian_arrays(tmp_path: Path) -> None:
    for array in (IMAGES.T, IMAGES[:, ::-2], IMAGES.astype(">i4")):
        write_idx(tmp_path / "a", array)
        np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_content_tells_gzip_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "plain.gz").write_bytes(RAW)
    (tmp_path / "zipped").write_bytes(gzip.compress(RAW))
    # Two members, one after the other, are one gzip file.
    (tmp_path / "members").write_bytes(gzip.compress(RAW[:20]) + gzip.compress(RAW[20:]))
    for name in ("plain.gz", "zipped", "members"):
        np.testing.assert_array_equal(read_idx(tmp_path / name), IMAGES, strict=True)


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "too few for an IDX header"),
        (b"\0\0\x08", "too few for an IDX header"),
        (b"<html></html>", "not an IDX file"),
        (header(0x07, 1) + b"a", "type code 0x07"),
        (header(0x08), "0 dimensions"),
        (bytes([0, 0, 8, 33]) + bytes(33 * 4), "33 dimensions"),
        (RAW[:10], "within its header"),
        (RAW[:-1], "truncated"),
        (RAW + b"\0", "more follow"),
        (header(0x08, 2**30, 2**30) + b"a", "holds at most"),
        (header(0x0E, *[2**32 - 1] * 8), "holds at most"),  # overflows any 64-bit product
        (header(0x08, 0, *[2**32 - 1] * 3), "no array can have"),  # 0 items, yet strides past 64 bits
    ],
)
def test_damaged(tmp_path: Path, content: bytes, says: str, wrap: type[bytes]) -> None:
    path = tmp_path / "bad-file"
    path.write_bytes(wrap(content))
    with pytest.raises(DataError, match="bad-file.*" + says):
        read_idx(path)


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_truncation_is_noticed(wrap: type[bytes]) -> None:
    whole = wrap(RAW)
    for n in range(len(whole)):
        with pytest.raises(DataError):
            idx.decode(io.BytesIO(whole[:n]), "cut", n)


def test_every_flipped_byte_of_a_gzip_file_is_noticed_or_harmless() -> None:
    whole = gzip.compress(RAW, mtime=0)
    noticed = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        try:
            got = idx.decode(io.BytesIO(bytes(damaged)), "flipped", len(damaged))
        except DataError:
            noticed += 1
        else:
            np.testing.assert_array_equal(got, IMAGES)
    assert noticed >= len(whole) - 6  # four bytes of time, one of flags, one of system


def test_garbage_after_gzip(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(RAW) + b"garbage")
    with pytest.raises(DataError, match="corrupt gzip"):
        read_idx(tmp_path / "a")


def test_memory_is_bounded_by_the_header_not_by_the_content(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(header(0x08, 100) + bytes(1 << 25), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more follow"):
            read_idx(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()


def test_max_bytes_is_asked_before_reading(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", IMAGES)
    assert read_idx(tmp_path / "a", max_bytes=len(RAW)).shape == IMAGES.shape
    with pytest.raises(DataError, match=f"more than the {len(RAW) - 1} allowed"):
        read_idx(tmp_path / "a", max_bytes=len(RAW) - 1)


def test_length_of_a_plain_file_is_checked_before_reading(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(RAW + bytes(1000))
    with pytest.raises(DataError, match="40 bytes in all, yet 1000 more follow"):
        read_idx(tmp_path / "a")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such file"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DataError, match="not a file"):
        read_idx(tmp_path)


def test_write_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"no int64; convert it with astype to one of uint8"):
        write_idx(tmp_path / "a", np.arange(3))
    with pytest.raises(ValueError, match=r"shape \(\)"):
        write_idx(tmp_path / "a", np.uint8(1))
    with pytest.raises(ValueError, match="dimensions below"):
        write_idx(tmp_path / "a", np.empty((0, 2**32), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise failure

    write_idx(tmp_path / "a", IMAGES)
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(type(failure)):
        write_idx(tmp_path / "a", IMAGES + 1)
    assert (tmp_path / "a").read_bytes() == RAW
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_digest_is_that_of_the_uncompressed_file() -> None:
    import hashlib

    assert idx.digest(IMAGES) == hashlib.sha256(RAW).hexdigest()
    assert idx.digest(IMAGES.reshape(2, 12)) != idx.digest(IMAGES)
