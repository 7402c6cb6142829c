"""Error texts: there and back through `grpc-message`, and cut to size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.rpc.model.error_text import cut, encoded_size, percent_decode, percent_encode, shown, well_formed

anything = st.text(st.characters(exclude_categories=()), max_size=200)
"""With surrogates, which no UTF-8 has."""


@given(anything)
def test_there_and_back(text):
    field = percent_encode(text)
    assert percent_decode(field) == well_formed(text)
    assert all(0x20 <= byte < 0x7F for byte in field) and field.strip(b" ") == field
    assert len(field) <= encoded_size(text) or text.strip(" ") != text


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("\ud800", "\ufffd"),
        ("a\udfffb", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ud83d", "\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("plain \0\r\n", "plain \0\r\n"),
    ],
)
def test_halves_of_surrogate_pairs(given, sent):
    assert well_formed(given) == sent
    assert percent_decode(percent_encode(given)) == sent


@given(anything, st.integers(0, 800))
def test_cut(text, room):
    shorter = cut(text, room)
    sent = well_formed(text)
    if shorter == text:
        return
    kept, _, remark = shorter.rpartition("… (")
    assert sent.startswith(kept)
    assert int(remark.removesuffix(" bytes cut)")) + len(kept.encode()) == len(sent.encode())
    assert len(percent_encode(shorter)) <= max(room, len(percent_encode(f"… ({len(sent.encode())} bytes cut)"))) + 12


def test_cut_leaves_no_part_of_a_character_and_wastes_little():
    text = "€" * 1000
    for room in range(100, 140):
        field = percent_encode(cut(text, room))
        assert room - 20 < len(field) <= room
        assert percent_decode(field).startswith("€€") and "\ufffd" not in percent_decode(field)
    assert shown("x" * 10_000).startswith("xxx") and len(shown("x" * 10_000)) <= 200
