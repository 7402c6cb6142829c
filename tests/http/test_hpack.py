"""HPACK against the hpack library, which is the oracle, and against RFC 7541 itself."""

import hpack as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.http.errors import ErrorCode, HttpError
from catenet.http.h2 import huffman
from catenet.http.h2.hpack import Decoder, Encoder, Memo

names = st.sampled_from([b":path", b"content-type", b"grpc-timeout", b"authorization", b"x-a", b"x-b", b"te", b"v-bin"])
fields = st.tuples(names, st.binary(max_size=60))
blocks = st.lists(st.lists(fields, max_size=12).map(tuple), max_size=12)


def decoder(limit=1 << 20):
    return Decoder(lambda found: found, Memo(), limit)


@given(st.binary())
def test_huffman_returns_what_it_was_given(data):
    coded = huffman.encode(data)
    assert len(coded) == huffman.encoded_length(data)
    assert huffman.decode(coded) == data


def test_huffman_example_of_the_rfc():
    """Appendix C.4.1."""
    assert huffman.encode(b"www.example.com").hex() == "f1e3c2e5f23a6ba0ab90f4ff"


@pytest.mark.parametrize("bad", ["ff", "00", "ffffffff", "f1e3c2e5f23a6ba0ab90f4ffff", "f1e3c2e5f23a6ba0ab90f4"])
def test_huffman_padding_and_eos_are_refused(bad):
    """Section 5.2: padding of more than 7 bits, padding not of ones, EOS. The last one is cut inside a symbol."""
    with pytest.raises(HttpError):
        huffman.decode(bytes.fromhex(bad))


@given(blocks)
def test_the_oracle_understands_our_encoder(lists):
    ours, theirs = Encoder(Memo()), oracle.Decoder()
    for block in lists:
        assert tuple(tuple(pair) for pair in theirs.decode(ours.encode(block), raw=True)) == block


@given(blocks, st.lists(st.sampled_from([0, 40, 100, 4096]), min_size=12, max_size=12), st.booleans())
def test_we_understand_the_oracle(lists, sizes, huff):
    ours, theirs = decoder(), oracle.Encoder()
    for block, size in zip(lists, sizes, strict=False):
        theirs.header_table_size = size
        assert ours.decode(theirs.encode(block, huffman=huff)) == block


@given(blocks, st.lists(st.sampled_from([0, 40, 100, 4096]), min_size=12, max_size=12))
def test_our_encoder_follows_the_peers_table_size(lists, sizes):
    ours, theirs = Encoder(Memo()), decoder()
    for block, size in zip(lists, sizes, strict=False):
        ours.set_limit(0)
        ours.set_limit(size)  # both changes must be announced, the smaller one first
        assert theirs.decode(ours.encode(block)) == block


@given(blocks)
def test_connections_that_share_a_memo_do_not_disturb_each_other(lists):
    encoders, decoders = Memo(), Memo()
    pairs = [(Encoder(encoders), Decoder(lambda found: found, decoders, 1 << 20)) for _ in range(3)]
    for step, block in enumerate(lists):
        for index, (encoder, reader) in enumerate(pairs):
            if (step + index) % 2:
                assert reader.decode(encoder.encode(block)) == block
    for encoder, reader in pairs:
        assert reader.decode(encoder.encode(((b"a", b"b"),))) == ((b"a", b"b"),)


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_garbage_raises_nothing_but_the_protocols_error(garbage):
    reader = decoder()
    for block in garbage:
        try:
            reader.decode(block)
        except HttpError:
            pass


def test_the_same_block_in_the_same_state_is_decoded_once():
    calls = []
    memo = Memo()
    block = Encoder(Memo()).encode(((b":path", b"/a"), (b"x", b"y")))
    for _ in range(3):
        Decoder(lambda found: calls.append(found) or found, memo, 1000).decode(block)
    assert len(calls) == 1


def test_secrets_are_neither_indexed_nor_remembered():
    """Section 7.1.3."""
    memo = Memo()
    block = Encoder(Memo()).encode(((b"authorization", b"Bearer secret"),))
    assert block[0] & 0xF0 == 0x10
    seen = []
    for _ in range(2):
        Decoder(lambda found: seen.append(found) or found, memo, 1000).decode(block)
    assert len(seen) == 2


def test_an_unchecked_memo_does_not_grow_without_bound():
    memo = Memo()
    reader = Decoder(lambda found: found, memo, 1000)
    theirs = oracle.Encoder()
    for number in range(10_000):
        reader.decode(theirs.encode([(b"x", b"%d" % number)]))
    assert len(memo._tables) <= 1000
    assert sum(len(table.after) for table in memo._filled) <= 3000


def test_a_bomb_of_indexed_fields_is_counted_and_not_built():
    """Section 7.3: one byte per field of 4 KB."""
    theirs = oracle.Encoder()
    reader = decoder(limit=64 << 10)
    assert reader.decode(theirs.encode([(b"x", b"y" * 4000)])) is not None
    bomb = b"\xbe" * 200
    assert reader.decode(bomb) is None
    assert reader.overrun == 200 * 4033 // (64 << 10)
    assert reader.decode(b"\xbe") == ((b"x", b"y" * 4000),)  # the table has survived


@pytest.mark.parametrize("field", [b"\xbe", b"\x82", b"\x00\x00\x00", b"\x40\x00\x00"])
def test_a_block_far_over_the_limit_is_not_read_to_its_end(field):
    """Whatever a field is made of: the end of this block would be an error of its own, and is never seen."""
    theirs = oracle.Encoder()
    reader = decoder(limit=64 << 10)
    reader.decode(theirs.encode([(b"x", b"y" * 4000)]))
    with pytest.raises(HttpError) as caught:
        reader.decode(field * 40_000 + b"\x80")
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("bad", ["80", "c6", "bf", "3fe21f", "ff8080808080808080", "4001", "82" + "20", "7f"])
def test_malformed_blocks(bad):
    """Index 0, indices beyond tables, a table size over the limit, an endless integer, cut literals, a late update."""
    with pytest.raises(HttpError):
        decoder().decode(bytes.fromhex(bad))
