"""Requests validated by the `buf.validate` annotations of their .proto, through protovalidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet.rpc.model.failures import logger
from catenet.rpc.model.status import Code
from catenet.rpc.policy.details import refusal

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

__all__ = ["validator"]

_FILE: Final = "buf/validate/validate.proto"
_MOST: Final = 50
"""Violations that a caller is told of."""


def validator(descriptor: Descriptor) -> Callable[[Any], None] | None:
    """Return what raises INVALID_ARGUMENT for a request with violations; None for a type without annotations.

    Raises `ImportError` if annotations are there and protovalidate is not, and `ValueError` for annotations that
    cannot be.
    """
    if not _annotated(descriptor, set()):
        return None
    import protovalidate
    from google.protobuf.message_factory import GetMessageClass

    try:
        protovalidate.collect_violations(GetMessageClass(descriptor)())
    except protovalidate.CompilationError as error:
        raise ValueError(f"{descriptor.full_name}: annotations of buf.validate: {error}") from None
    except protovalidate.EvaluationError:
        pass  # of the empty message; others may be valid

    def check(request: Any) -> None:
        try:
            violations = protovalidate.collect_violations(request)
        except (protovalidate.EvaluationError, protovalidate.CompilationError) as error:
            logger.error("%s cannot be validated: %s", descriptor.full_name, error)
            raise refusal(Code.INTERNAL, "the request cannot be validated", "VALIDATION_FAILED") from None
        if violations:
            raise _invalid(violations)

    return check


def _annotated(descriptor: Descriptor, seen: set[str]) -> bool:
    """Whether a message, or one that it may hold, comes from a file that imports the annotations."""
    if descriptor.full_name in seen:
        return False
    seen.add(descriptor.full_name)
    if any(file.name == _FILE for file in descriptor.file.dependencies):
        return True
    return any(field.message_type is not None and _annotated(field.message_type, seen) for field in descriptor.fields)


def _invalid(violations: list[Any]) -> Exception:
    from google.rpc.error_details_pb2 import BadRequest

    found = [_told(violation) for violation in violations[:_MOST]]
    details = BadRequest(field_violations=[BadRequest.FieldViolation(**each) for each in found])
    first = found[0]
    text = f"{first['field']}: {first['description']}" if first["field"] else first["description"]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return refusal(Code.INVALID_ARGUMENT, f"{text}{more}", "REQUEST_INVALID", [details])


def _told(violation: Any) -> dict[str, str]:
    """A violation as Google's details have it; the value itself is not repeated."""
    proto = violation.proto
    return {"field": _path(proto.field), "description": proto.message or proto.rule_id, "reason": proto.rule_id}


def _path(field: Any) -> str:
    """`a.b[0]`, `a["key"]`, as buf.validate's FieldPath means it."""
    if field is None:
        return ""
    text = ""
    for element in field.elements:
        text += f".{element.field_name}" if text else element.field_name
        subscript = element.subscript
        if subscript is not None:
            value = getattr(subscript, "value", subscript)
            text += f'["{value}"]' if isinstance(value, str) else f"[{value}]"
    return text
