"""YAML as another way to write JSON, and what it must not become."""

import json

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catenet.cli.yaml_text import BadYaml, dump_yaml, load_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, 2.5, true, null, ~]", {"a": 1, "b": ["x", 2.5, True, None, None]}),
        ('{"a": {"b": []}}', {"a": {"b": []}}),
        ("country: no\nswitch: on\nwhen: 2025-01-01\ntime: 12:30:00\nversion: 1_000",
         {"country": "no", "switch": "on", "when": "2025-01-01", "time": "12:30:00", "version": "1_000"}),
        ("a: 012\nb: 0x1F\nc: 0o17\nd: -5\ne: +3", {"a": 12, "b": 31, "c": 15, "d": -5, "e": 3}),
        ("a: .inf\nb: -.INF\nc: .nan\nd: 1e3", {"a": "Infinity", "b": "-Infinity", "c": "NaN", "d": 1000.0}),
        ("1: a\ntrue: b", {"1": "a", "true": "b"}),
        ("data: !!binary |\n  AP8\n  =", {"data": "AP8="}),
        ("text: |\n  two\n  lines\n", {"text": "two\nlines\n"}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("a:", {"a": None}),
        ("'a': \"\\u00e9\"", {"a": "é"}),
        ("# only a comment\n- 1", [1]),
        ("<<: 3", {"<<": 3}),
    ],
)  # fmt: skip
def test_values(text, value):
    assert list(load_yaml(text)) == [value]


def test_documents():
    assert list(load_yaml("a: 1\n---\na: 2\n...\n---\n- x\n")) == [{"a": 1}, {"a": 2}, ["x"]]
    assert list(load_yaml("")) == []
    assert list(load_yaml("# nothing\n")) == []


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (BOMB, "line 6, column 5: more than 1000000 values, with those behind aliases"),
        ("a: &a [*a]", "line 1, column 4: it contains itself"),
        ("[" * 1000, "nested too deeply"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' occurs twice"),
        ("1: x\n'1': y", "the key '1' occurs twice"),
        ("? [1]\n: x", "line 1, column 3: a key is a text, a whole number or a boolean"),
        ("a: [1", "line 1, column 6: expected ',' or ']'"),
        ("a: *nothing", "found undefined alias 'nothing'"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: \x07", "special characters are not allowed"),
        ("\t- a", "found character '\\t' that cannot start any token"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
    ],
)
def test_bad_yaml(text, complaint):
    with pytest.raises(BadYaml) as caught:
        list(load_yaml(text))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


WORDS = ["no", "on", "1e3", "0x1f", "012", "null", "~", "2025-01-01", "a: b", "- x", "", " x", "#"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 64) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@example({"\x85": "\u2028", "0E0": "0E0"})
@settings(max_examples=50, deadline=None, derandomize=True)
@given(VALUES)
def test_what_is_written_is_read(value):
    """By us and by PyYAML's own loader, for which more words mean something."""
    text = dump_yaml(value)
    assert list(load_yaml(text)) == [json.loads(json.dumps(value))]
    assert yaml.safe_load(text) == value


def test_documents_one_after_another():
    both = dump_yaml({"a": [1, 2]}) + dump_yaml("x")
    assert list(load_yaml(both)) == [{"a": [1, 2]}, "x"]
    shared = [1]
    assert "&" not in dump_yaml([shared, shared])
