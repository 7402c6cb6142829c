"""Runs many command lines of `catenet resolve` in one process: a JSON list in, one of [status, output, errors] out."""

from __future__ import annotations

import contextlib
import io
import json
import sys

from catenet.cli import main


def run(words: list[str]) -> tuple[int, str, str]:
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(["resolve", *words])
    return status, output.getvalue(), errors.getvalue()


if __name__ == "__main__":
    json.dump([run(words) for words in json.load(sys.stdin)], sys.stdout)
