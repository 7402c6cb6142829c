import gzip
import random
import zlib

import brotli
import pytest
import zstandard

from catenet.http.policy.codings import CODINGS, Decoder, DecodingError, Encoder, accept_encoding, content_codings

TEXT = b"".join(b"line %d of the text\n" % number for number in range(20000))
NOISE = random.Random(1).randbytes(100_000)


def raw_deflate(data):
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


ENCODED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "zstd without size": lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data),
    "gzip members": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "zstd frames": lambda data: zstandard.compress(data[:1000]) + zstandard.compress(data[1000:]),
}


def coding_of(name):
    return next(coding for coding in CODINGS if coding in name)


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 30])
@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("data", [TEXT, NOISE], ids=["text", "noise"])
def test_what_libraries_encode(name, data, step):
    if step < 1000:
        data = data[:3000]
    body = ENCODED[name](data)
    decoder = Decoder(coding_of(name))
    assert b"".join(decoder.decode(body[at : at + step]) for at in range(0, len(body), step)) == data
    decoder.finish()


@pytest.mark.parametrize("name", ENCODED)
def test_every_truncation_is_an_error(name):
    body = ENCODED[name](TEXT[:2000])
    whole = {
        len(body),
        *((len(ENCODED[coding_of(name)](TEXT[:1000])),) if " members" in name or "frames" in name else ()),
    }
    for size in range(1, len(body)):
        if size in whole:
            continue
        decoder = Decoder(coding_of(name))
        try:
            decoder.decode(body[:size])
            decoder.finish()
        except DecodingError:
            continue
        pytest.fail(f"{size} of {len(body)} bytes passed")


@pytest.mark.parametrize("name", CODINGS)
def test_garbage_is_an_error(name):
    for seed in range(200):
        decoder = Decoder(name)
        with pytest.raises(DecodingError):
            decoder.decode(random.Random(seed).randbytes(1 + seed))
            decoder.finish()


@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_bytes_after_the_end_are_an_error(name):
    with pytest.raises(DecodingError):
        Decoder(name).decode(ENCODED[name](TEXT) + b"more")


def test_empty_bodies():
    for name in CODINGS:
        Decoder(name).finish()
        decoder = Decoder(name)
        assert decoder.decode(ENCODED[name](b"")) == b""
        decoder.finish()


@pytest.mark.parametrize("name", CODINGS)
def test_a_bomb_is_stopped_and_comes_in_pieces(name):
    """CVE-2025-66471."""
    size = 80 << 20
    made = Encoder(name, 9 if name != "br" else 3)
    body = b"".join(made.encode(bytes(1 << 20)) for _ in range(size >> 20)) + made.finish()
    with pytest.raises(DecodingError, match="limit"):
        for piece in Decoder(name, limit=1 << 20).pieces(body):
            assert len(piece) <= 32 << 20
    if name != "deflate":
        with pytest.raises(DecodingError, match="times"):
            for _ in Decoder(name, ratio=100).pieces(body):
                pass


def test_a_bomb_in_a_bomb():
    inner = gzip.compress(bytes(100 << 20))
    with pytest.raises(DecodingError, match="times"):
        for _ in Decoder("gzip, gzip").pieces(gzip.compress(inner)):
            pass


def test_chains():
    """CVE-2025-66418: a chain without limit."""
    body = TEXT
    for name in ("gzip", "br", "zstd", "deflate", "gzip"):
        body = ENCODED[name](body)
    decoder = Decoder("gzip, br, zstd, deflate, x-gzip")
    assert decoder.decode(body) == TEXT
    decoder.finish()
    with pytest.raises(DecodingError, match="more than 5"):
        Decoder(", ".join(["gzip"] * 6))
    with pytest.raises(DecodingError, match="more than 5"):
        Decoder(", ".join(["gzip"] * 10_000))


def test_names():
    assert content_codings(" GZIP ,identity,, br") == ["gzip", "br"] and content_codings(None) == []
    assert accept_encoding() == "gzip, deflate, br, zstd"
    with pytest.raises(DecodingError, match="'compress'"):
        Decoder("compress")
    with pytest.raises(ValueError, match="'lzma'"):
        Encoder("lzma")


@pytest.mark.parametrize("name", CODINGS)
def test_encode_and_flush(name):
    encoder, decoder = Encoder(name), Decoder(name)
    for at in range(0, 10000, 1000):
        data = encoder.encode(TEXT[at : at + 1000]) + encoder.flush()
        assert decoder.decode(data) == TEXT[at : at + 1000]
    decoder.decode(encoder.finish())
    decoder.finish()


def test_a_window_that_is_too_large():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    made = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = made.compress(NOISE) + made.flush()
    with pytest.raises(DecodingError):
        Decoder("zstd").decode(body)
