"""Two versions of an interface beside each other: every change that breaks a rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from catenet.rpc.compat.enums import enum_findings
from catenet.rpc.compat.extensions import extension_findings
from catenet.rpc.compat.fields import field_findings
from catenet.rpc.compat.files import file_findings, package_findings
from catenet.rpc.compat.messages import message_findings
from catenet.rpc.compat.model import Version
from catenet.rpc.compat.rules import Finding
from catenet.rpc.compat.services import service_findings

__all__ = ["compare"]


def compare(
    old: Iterable[FileDescriptorProto], new: Iterable[FileDescriptorProto], rules: Collection[str]
) -> list[Finding]:
    """Return what `new` breaks for those who have `old`, by file, line and rule.

    The descriptors are as protoc writes them: imports are among them, with names resolved. Only `rules` are looked at.
    """
    before, after = Version(old), Version(new)
    found = [*file_findings(before, after), *package_findings(before, after), *extension_findings(before, after)]
    for name, message in before.messages.items():
        if name in after.messages:
            found += message_findings(message, after.messages[name])
            for number, field in message.fields.items():
                if number in after.messages[name].fields:
                    found += field_findings(field, after.messages[name].fields[number], before, after)
    for one in before.extensions:
        for other in after.extensions:
            if (one.owner, one.number) == (other.owner, other.number):
                found += field_findings(one, other, before, after)
    for name, enum in before.enums.items():
        if name in after.enums:
            found += enum_findings(enum, after.enums[name])
    for name, service in before.services.items():
        if name in after.services:
            found += service_findings(service, after.services[name])
    kept = [finding for finding in found if finding.rule in rules]
    return sorted(kept, key=lambda one: (one.place.file, one.place.line, one.place.column, one.rule, one.text))
