"""What protoc writes to standard error, reduced to one line for each problem of the .proto files."""

from __future__ import annotations

import re

__all__ = ["problems"]

_LOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:|WARNING: All log messages before ")
"""Lines of the library that protoc logs with; what goes wrong, protoc says in lines of its own."""
_MISSING = re.compile(r"(?P<name>.+): File not found\.")
_IMPORT = re.compile(r'(?P<where>.+): Import "(?P<name>.+)" was not found or had errors\.')
_ADVICE = re.compile(r"(?P<where>.+?): (?P<advice>(Suggested field numbers for|Note that) .+)")
"""What protoc says about the problem that it has just named, in a line of its own."""
_NOT_ASCII = re.compile(r"(?P<where>(?P<file>.+):\d+:\d+): Interpreting non ascii codepoint (?P<byte>\d+)\.")


def problems(stderr: str) -> list[str]:
    """Return the problems, each named where it is: the missing import where it is imported, its importers not at all.

    Of a file that is no text (UTF-16, most likely) protoc complains byte by byte; only the first is named.
    """
    lines = [line for line in stderr.strip().splitlines() if not _LOG.match(line)]
    missing = {found["name"] for found in map(_MISSING.fullmatch, lines) if found}
    binary: set[str] = set()
    kept: list[str] = []
    imports: list[str] = []
    for line in lines:
        if found := _NOT_ASCII.fullmatch(line):
            if found["file"] not in binary:
                binary.add(found["file"])
                kept = [one for one in kept if not one.startswith(f"{found['file']}:")]
                kept.append(
                    f"{found['where']}: byte 0x{int(found['byte']):02X} outside a comment or a string: not UTF-8?"
                )
        elif found := _IMPORT.fullmatch(line):
            if found["name"] in missing:
                kept.append(f'{found["where"]}: the import "{found["name"]}" was not found; name its folder with -I')
            else:
                imports.append(line)
        elif (found := _ADVICE.fullmatch(line)) and (about := _about(found["where"], kept)) is not None:
            kept[about] += f" {found['advice'].rstrip('.')}."
        elif not _MISSING.fullmatch(line) and not any(line.startswith(f"{file}:") for file in binary):
            kept.append(line)
    return kept or imports or lines


def _about(where: str, lines: list[str]) -> int | None:
    """Return the place in the list of the last problem that is there."""
    return next((index for index in reversed(range(len(lines))) if lines[index].startswith(f"{where}: ")), None)
