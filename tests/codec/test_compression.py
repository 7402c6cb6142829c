import gzip
import random
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from catenet.codec import COMPRESSIONS, GZIP, ZSTD, CodecError, Oversized

CODINGS = [pytest.param(coding, id=name) for name, coding in COMPRESSIONS.items()]
REAL_CODINGS = [pytest.param(coding, id=name) for name, coding in COMPRESSIONS.items() if name != "identity"]


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=2000))
def test_there_and_back(coding, data):
    assert coding.decompress(coding.compress(data), len(data)) == data


@pytest.mark.parametrize("coding", CODINGS)
def test_limit_is_exact(coding):
    data = random.Random(1).randbytes(5000)
    packed = coding.compress(data)
    assert coding.decompress(packed, 5000) == data
    with pytest.raises(Oversized):
        coding.decompress(packed, 4999)


@pytest.mark.parametrize("coding", CODINGS)
def test_nothing_compresses_to_nothing(coding):
    assert coding.decompress(b"", 0) == b""


@pytest.mark.parametrize("coding", REAL_CODINGS)
def test_every_truncation_is_an_error(coding):
    packed = coding.compress(b"high score " * 50)
    for cut in range(1, len(packed)):
        with pytest.raises(CodecError):
            coding.decompress(packed[:cut], 10_000)


@pytest.mark.parametrize("coding", REAL_CODINGS)
@given(data=st.binary(min_size=1, max_size=200))
def test_noise_gives_bytes_or_the_one_error(coding, data):
    try:
        assert len(coding.decompress(data, 1000)) <= 1000
    except CodecError:
        pass


@pytest.mark.parametrize("coding", REAL_CODINGS)
def test_bytes_after_the_end(coding):
    with pytest.raises(CodecError):
        coding.decompress(coding.compress(b"x") + b"junk", 1000)


@pytest.mark.parametrize("coding", REAL_CODINGS)
@pytest.mark.parametrize("limit", [0, 100, 1 << 20])
def test_a_bomb_does_not_explode(coding, limit):
    bomb = coding.compress(bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(Oversized):
        coding.decompress(bomb, limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * limit + (1 << 20)


def test_a_zstd_bomb_that_hides_its_size():
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 << 20))
    with pytest.raises(Oversized):
        ZSTD.decompress(bomb, 1 << 20)


def test_a_zstd_frame_may_hide_its_size():
    data = b"tetris" * 100_000
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(data)
    assert ZSTD.decompress(frame, len(data)) == data
    assert ZSTD.decompress(frame, 1 << 30) == data


def test_a_zstd_window_beyond_the_limit_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = packed.compress(bytes(1000)) + packed.flush()
    with pytest.raises(CodecError):
        ZSTD.decompress(frame, 1 << 20)


@pytest.mark.parametrize("coding", [GZIP, COMPRESSIONS["deflate"]], ids=["gzip", "deflate"])
def test_a_million_members_cost_what_they_are_long(coding):
    """No time is asserted: if what follows a member were copied for each, the test would take hours."""
    assert coding.decompress(coding.compress(b"") * 1_000_000, 10) == b""
    long = bytes(range(256)) * 2000
    assert (
        coding.decompress(coding.compress(b"ab") * 1000 + coding.compress(long) * 2, 1 << 21) == b"ab" * 1000 + long * 2
    )


def test_gzip_of_several_members():
    assert GZIP.decompress(gzip.compress(b"one ") + gzip.compress(b"two"), 7) == b"one two"
    with pytest.raises(Oversized):
        GZIP.decompress(gzip.compress(b"one ") + gzip.compress(b"two"), 6)


def test_others_read_ours():
    data = b"space invaders " * 40
    assert gzip.decompress(COMPRESSIONS["gzip"].compress(data)) == data
    assert zlib.decompress(COMPRESSIONS["deflate"].compress(data)) == data
    assert zstandard.decompress(COMPRESSIONS["zstd"].compress(data)) == data
