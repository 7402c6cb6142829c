"""Expressions: the laws that testbound states for its macros."""

from __future__ import annotations

import pytest

from catenet.testing.rpl.macros import MacroError, expand

VARIABLES = {"one": "1", "two": "2", "hour": "3600"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no macro: $one", "no macro: $one"),
        ("", ""),
        ("a ${} b", "a  b"),
        ("${$one}${$two}", "12"),
        ("${$one + $one}", "2"),
        ("${$one - $two}", "-1"),
        ("${$two * $two}", "4"),
        ("${7 / $two}", "3.5"),
        ("${2+3*4}", "20"),
        ("${2+${3*4}}", "14"),
        ("${64 / ${$two+$two} + ${${100*3}/3}}", "116"),
        ("${1 2 33}", "1 2 33"),
        ("${time}", "1000"),
        ("${time + 5}", "time + 5"),
        ("${${time} + $hour}", "4600"),
        ("${timeout}", "12"),
        ("${ctime 86400}", "Fri Jan  2 00:00:00 1970"),
        ("${ctime ${$hour * 24}}", "Fri Jan  2 00:00:00 1970"),
        ("${range 3000 $hour 4000}", "3600"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert expand(text, VARIABLES, 1000.7, 12.9) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${$three}", "$three is not set"),
        ("${1", "no brace closes '${1'"),
        ("${range 1 5 4}", "5 is not between 1 and 4"),
        ("${range 1 5}", "range needs three numbers, not '1 5'"),
        ("${ctime x}", "'x' is no number"),
        ("${1/0}", "1/0: division by zero"),
    ],
)
def test_no_value(text: str, message: str) -> None:
    with pytest.raises(MacroError, match="^" + message.replace("$", r"\$").replace("{", r"\{") + "$"):
        expand(text, VARIABLES, 0, 0)
