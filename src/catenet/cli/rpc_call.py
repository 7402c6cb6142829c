"""catenet rpc call: one call, JSON or YAML in and out."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError
from catenet.cli.rpc_channel import add_arguments, metadata, read_file, with_channel
from catenet.cli.rpc_shown import show
from catenet.printable import complain, printable_json, say

if TYPE_CHECKING:
    from catenet.rpc import CallInfo, Channel
    from catenet.rpc.client.catalog import Catalog

__all__ = ["register", "run"]

EPILOG = """\
DATA is JSON, @FILE, or - for standard input; several requests of a stream are JSON values one after another. Each
response is one line of JSON. With --yaml requests and responses are YAML documents instead (--- between them). The
exit status is 0, 1 if the call failed (its status is on standard error), 2 for a mistake in the command.

  catenet rpc call tcp://localhost:50051 HiScore/Get '{"game": "tetris"}'
  catenet rpc call unix:/run/hiscore.sock hiscore.HiScore/Load @scores.jsonl -v
  catenet rpc call unix:/run/hiscore.sock HiScore/Get --yaml 'game: tetris'
  catenet rpc call https://scores.example HiScore/Get '{}' --protocol connect --codec json --proto hiscore.proto
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    add_arguments(parser)
    parser.add_argument("method", metavar="SERVICE/METHOD", help="the service with or without its package")
    parser.add_argument("data", nargs="?", default=None, metavar="DATA", help="requests (default: one, empty)")
    parser.add_argument("--yaml", action="store_true", help="DATA and responses are YAML, not JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show metadata and timing on standard error")


def run(args: argparse.Namespace) -> int:
    """Make the call."""

    async def work(channel: Channel, catalog: Catalog) -> int:
        from catenet.rpc import CallInfo
        from catenet.rpc.client.catalog import find_method

        method = await find_method(catalog, args.method)
        requests = list(_requests(args, method.request, method.kind.client_streams))
        call = _Call(channel, method, requests, args, CallInfo())
        await call.make()
        return 0

    return with_channel(args, work)


def _requests(args: argparse.Namespace, message_class: Any, streams: bool) -> Iterator[Any]:
    """Read the request messages; raises `UsageError` that names what is wrong with them."""
    from catenet.codec import CodecError, JsonCodec

    data = args.data
    if data is None:
        data = "" if streams else "{}"
    elif data == "-" or data.startswith("@"):
        data = _text(read_file(data.removeprefix("@")))
    values = list(_yaml_values(data) if args.yaml else _values(data))
    if args.yaml and values == [None]:
        values = [{}]
    if not streams and len(values) != 1:
        raise UsageError(f"the method takes one message, DATA has {len(values)}")
    # A person wrote this and wants to hear of a typo.
    codec = JsonCodec(ignore_unknown=False)
    for number, value in enumerate(values, 1):
        try:
            yield codec.decode(message_class, json.dumps(value).encode())
        except CodecError as error:
            raise UsageError(f"DATA{f', value {number}' if len(values) > 1 else ''}: {error}") from None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("DATA is not UTF-8") from None


def _values(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    position = 0
    while (position := _skip_blanks(text, position)) < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"DATA is not JSON: {error}") from None
        yield value


def _yaml_values(text: str) -> Iterator[Any]:
    from catenet.cli.yaml_text import BadYaml, load_yaml

    try:
        yield from load_yaml(text)
    except BadYaml as error:
        raise UsageError(f"DATA is not YAML: {error}") from None


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


class _Call:
    """One call and what it shows of itself."""

    def __init__(
        self, channel: Channel, method: Any, requests: list[Any], args: argparse.Namespace, info: CallInfo
    ) -> None:
        self._channel = channel
        self._method = method
        self._requests = requests
        self._verbose = args.verbose
        self._args = args
        self._info = info
        self._options: dict[str, Any] = {"metadata": metadata(args), "info": info}
        if args.timeout is not None:
            self._options["timeout"] = args.timeout
        self._describe = f"{method.path} ({args.protocol}, {args.codec}, {method.kind.name.lower()})"

    async def make(self) -> None:
        """Print each response as it comes."""
        started = time.perf_counter()
        first: float | None = None
        count = 0
        self._note(f"> {self._describe}")
        self._note_metadata(">", self._options["metadata"])
        try:
            async for response in self._responses():
                first = first if first is not None else time.perf_counter() - started
                count += 1
                self._print(response)
        finally:
            total = time.perf_counter() - started
            self._note_metadata("<", self._info.initial_metadata)
            self._note_metadata("< trailing", self._info.trailing_metadata)
            first_text = "" if first is None else f", first after {first * 1000:.2f} ms"
            plural = "" if count == 1 else "s"
            self._note(f"< {count} response{plural} in {total * 1000:.2f} ms{first_text}")

    async def _responses(self) -> AsyncIterator[Any]:
        channel, method, options = self._channel, self._method, self._options
        if method.kind.client_streams and method.kind.server_streams:
            async for response in self._exchange():
                yield response
        elif method.kind.client_streams:
            yield await channel.client_stream(method, self._requests, **options)
        elif method.kind.server_streams:
            async for response in channel.server_stream(method, self._requests[0], **options):
                yield response
        else:
            yield await channel.unary(method, self._requests[0], **options)

    async def _exchange(self) -> AsyncIterator[Any]:
        import asyncio

        async with self._channel.bidi(self._method, **self._options) as call:
            sender = asyncio.ensure_future(call.send_all(self._requests))
            try:
                async for response in call:
                    yield response
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)

    def _print(self, response: Any) -> None:
        from catenet.codec import JSON

        line = JSON.encode(response).decode()
        if self._args.yaml:
            show(json.loads(line), self._args)
        else:
            say(printable_json(line) if sys.stdout.isatty() else line)

    def _note(self, text: str) -> None:
        if self._verbose:
            complain(text)

    def _note_metadata(self, mark: str, pairs: Any) -> None:
        from catenet.rpc.model.metadata import encode_value

        for name, value in pairs:
            self._note(f"{mark} {name}: {encode_value(value).decode('latin-1')}")
