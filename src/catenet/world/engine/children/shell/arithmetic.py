"""Arithmetic of the shell, `$((…))` (POSIX.1-2024, 2.6.4): C's expressions of signed integers."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["evaluate"]

BITS: Final = 64

BINARY: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
UNARY: Final[dict[type[ast.unaryop], Callable[[int], int]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
COMPARED: Final[dict[type[ast.cmpop], Callable[[int, int], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def evaluate(text: str, variables: Mapping[str, str]) -> int:
    """The value of an expression; ValueError, ZeroDivisionError."""
    spelled = re.sub(r"!(?!=)", " not ", text.replace("&&", " and ").replace("||", " or "))
    try:
        tree = ast.parse(spelled.strip() or "0", mode="eval")
    except SyntaxError:
        raise ValueError(f'arithmetic expression: expecting primary: "{text}"') from None
    return _wrapped(_value(tree.body, variables))


def _wrapped(number: int) -> int:
    return (number + (1 << BITS - 1)) % (1 << BITS) - (1 << BITS - 1)


def _value(node: ast.expr, variables: Mapping[str, str]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return int(variables.get(name) or "0", 0)
        case ast.UnaryOp(op=op, operand=operand):
            return int(UNARY[type(op)](_value(operand, variables)))
        case ast.BoolOp(op=ast.And(), values=values):
            return int(all(_value(value, variables) for value in values))
        case ast.BoolOp(values=values):
            return int(any(_value(value, variables) for value in values))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARED:
            return int(COMPARED[type(op)](_value(left, variables), _value(right, variables)))
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _value(left, variables), _value(right, variables))
    raise ValueError("arithmetic expression: expecting primary")


def _binary(op: Any, left: int, right: int) -> int:
    if isinstance(op, ast.Div | ast.FloorDiv | ast.Mod):
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return left - quotient * right if isinstance(op, ast.Mod) else quotient
    function = BINARY.get(type(op))
    if function is None:
        raise ValueError("arithmetic expression: expecting primary")
    return function(left, right)
