"""Options of transfers, with curl's letters where curl has them."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path

from catenet.cli import UsageError
from catenet.cli.arguments import duration
from catenet.cli.transfer.elsewhere import Elsewhere
from catenet.cli.transfer.formats import read_format

__all__ = ["Options", "declare", "options_of"]

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKmMgGtT]?)(?:i?[bB])?(?:/s)?").fullmatch
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
CHECKSUMS = ("md5", "sha1", "sha256", "sha384", "sha512", "blake2b")


@dataclass(slots=True)
class Options:
    """What the command line says, checked. Sizes in bytes, times in seconds."""

    urls: list[str]
    outputs: list[str] = field(default_factory=list)
    remote_name: bool = False
    header_name: bool = False
    folder: Path = field(default_factory=Path)
    follow: bool = False
    max_redirects: int = 50
    headers: list[tuple[str, str | None]] = field(default_factory=list)
    data: list[tuple[str, str]] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    upload: str | None = None
    stores: bool = False
    """Whether it is a failure if the server does not take what is sent: with `put`."""
    method: str | None = None
    head: bool = False
    include: bool = False
    as_query: bool = False
    user: tuple[str, str] | None = None
    digest: bool = False
    bearer: str | None = None
    netrc: bool = False
    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    versions: str = "auto"
    compressed: bool = False
    fail: bool = False
    resume: str | None = None
    ranges: str | None = None
    parallel: int = 1
    checksum: tuple[str, str] | None = None
    limit_rate: int | None = None
    max_time: float | None = None
    connect_timeout: float = 60.0
    retry: int = 0
    proxy: str | None = None
    no_proxy: str | None = None
    unix: str | None = None
    tftp_block: int = 1428
    tftp_window: int = 16
    tftp_timeout: int | None = None
    tftp_rollover: int | None = None
    tftp_plain: bool = False
    cookies: str | None = None
    cookie_jar: str | None = None
    hsts: str | None = None
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    write_out: str | None = None
    dump_header: str | None = None
    verbose: bool = False
    silent: bool = False
    as_json: bool = False


def declare(parser: argparse.ArgumentParser, putting: bool) -> None:
    """Declare the options; those that choose what is sent are not put's."""
    add = parser.add_argument
    add(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="NAME: VALUE",
        help="send a header; 'NAME:' leaves one out",
    )
    add("-X", "--request", dest="method", metavar="METHOD", help="the method, instead of what follows from the rest")
    add("-u", "--user", metavar="USER[:PASSWORD]", help="user and password (Basic); without password it is asked for")
    add("--digest", action="store_true", help="with -u: Digest instead of Basic")
    add("--oauth2-bearer", dest="bearer", metavar="TOKEN", help="send a bearer token")
    add("-n", "--netrc", action="store_true", help="user and password from ~/.netrc")
    add("-A", "--user-agent", metavar="NAME", help="what the client calls itself")
    add("-e", "--referer", metavar="URL", help="where the link was")
    add("-b", "--cookie", dest="cookies", metavar="NAME=VALUE", help="send cookies; without = the file that has them")
    add("-c", "--cookie-jar", metavar="FILE", help="write the cookies there at the end")
    add("--hsts", metavar="FILE", help="read from FILE which hosts want TLS only, and keep them there")
    add("-D", "--dump-header", metavar="FILE", help="write the heads of responses there; - is standard output")
    add("-w", "--write-out", metavar="FORMAT", help="print that at the end, %%{http_code} and others filled in; @FILE")
    add("--resolve", action="append", default=[], metavar="HOST:PORT:ADDR", help="use these addresses for a host")
    add("--connect-to", action="append", default=[], metavar="H1:P1:H2:P2", help="connect to H2:P2 for H1:P1")
    add("-L", "--location", dest="follow", action="store_true", help="follow redirects")
    add("--max-redirs", dest="max_redirects", type=int, default=50, metavar="COUNT", help="how many redirects (50)")
    add("-f", "--fail", action="store_true", help="no output and status 22 for HTTP statuses from 400 on")
    add("-i", "--include", action="store_true", help="write the response's head too")
    add("-o", "--output", action="append", default=[], metavar="FILE", help="write to FILE; once for each URL")
    add("-k", "--insecure", action="store_true", help="accept any certificate")
    add("--cacert", dest="ca", metavar="FILE", help="authorities to trust, instead of the system's (PEM)")
    add("-E", "--cert", metavar="FILE", help="client certificate (PEM)")
    add("--key", metavar="FILE", help="its key, if it is in another file")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("--http1.1", dest="versions", action="store_const", const="1.1", help="HTTP/1.1 only")
    version.add_argument(
        "--http2",
        "--http2-prior-knowledge",
        dest="versions",
        action="store_const",
        const="2",
        help="HTTP/2 only, also without TLS",
    )
    add("-x", "--proxy", metavar="URL", help="go through a proxy (http, https, socks4, socks4a, socks5, socks5h)")
    add("--noproxy", dest="no_proxy", metavar="HOSTS", help="hosts to reach directly, or *")
    add("--unix-socket", dest="unix", metavar="PATH", help="connect to a Unix socket")
    _declare_tftp(parser)
    add("-m", "--max-time", type=duration, metavar="TIME", help="the time for each URL")
    add("--connect-timeout", type=duration, default=60.0, metavar="TIME", help="the time to connect (60s)")
    add("--retry", type=int, default=0, metavar="COUNT", help="repeat after failures that may pass")
    add("--limit-rate", metavar="RATE", help="bytes in a second, as 500k or 2M")
    add("-v", "--verbose", action="store_true", help="show heads, and a waterfall of phases")
    add("-s", "--silent", action="store_true", help="no progress and no message")
    add("-S", "--show-error", action="store_true", help="with -s: the message nevertheless")
    add("--json", dest="as_json", action="store_true", help="print one JSON object for each URL")
    if putting:
        add(
            "--continue", dest="resume", action="store_const", const="-", help="go on where an earlier upload broke off"
        )
    else:
        _declare_get(parser)


def _declare_tftp(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("TFTP")
    add = group.add_argument
    add(
        "--tftp-blksize", dest="tftp_block", type=int, default=1428, metavar="BYTES", help="ask for blocks of it (1428)"
    )
    add("--tftp-windowsize", dest="tftp_window", type=int, default=16, metavar="BLOCKS", help="windows to ask for (16)")
    add("--tftp-timeout", type=int, metavar="SECONDS", help="ask for a fixed time-out (found out from round trips)")
    add("--tftp-rollover", type=int, choices=(0, 1), help="ask for this block number after 65535")
    add("--tftp-no-options", dest="tftp_plain", action="store_true", help="ask for nothing: blocks of 512, one by one")


def _declare_get(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-O", "--remote-name", action="store_true", help="write to a file with the URL's name")
    add("-J", "--remote-header-name", dest="header_name", action="store_true", help="with -O: the name the server says")
    add("--output-dir", dest="folder", type=Path, default=Path(), metavar="DIR", help="where -o and -O write")
    resume = parser.add_mutually_exclusive_group()
    resume.add_argument(
        "-C", "--continue-at", dest="resume", metavar="OFFSET", help="go on from there; '-': from what is there"
    )
    resume.add_argument("--continue", dest="resume", action="store_const", const="-", help="as -C -")
    add("-r", "--range", dest="ranges", metavar="RANGE", help="only these bytes, as 0-99")
    add("--parallel", type=int, default=1, metavar="COUNT", help="fetch COUNT parts of a file at a time")
    add("--checksum", metavar="ALGORITHM:HEX", help=f"what the file must hash to ({', '.join(CHECKSUMS)})")
    add("--compressed", action="store_true", help="ask for a compressed response, and decode it")
    add("-I", "--head", action="store_true", help="only the head")
    add("-G", "--get", dest="as_query", action="store_true", help="append what -d says to the URL")
    for option, what in _DATA.items():
        add(*option.split(), dest="data", action=_Data, metavar="DATA", help=what)
    add("-F", "--form", dest="forms", action="append", default=[], metavar="NAME=VALUE", help="a field, or NAME=@FILE")
    add("-T", "--upload-file", dest="upload", metavar="FILE", help="send a file with PUT; - is standard input")


_DATA = {
    "-d --data": "send DATA with POST; @FILE: what is in it, without line ends",
    "--data-raw": "the same, @ has no meaning",
    "--data-binary": "the same, @FILE as it is",
    "--data-urlencode": "the same, encoded; NAME=VALUE or VALUE",
}


class _Data(argparse.Action):
    """Keeps the options of this kind in their order, with their kind."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        kind = {"-d": "data", None: "data"}.get(option_string, (option_string or "").lstrip("-"))
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest, None) or []), (kind, str(values))])


def options_of(args: argparse.Namespace, urls: list[str]) -> Options:
    """Return the options, checked. Raises `UsageError`."""
    given = vars(args)
    names = {name: given[name] for name in Options.__slots__ if name in given and given[name] is not None}
    for name in ("user", "headers", "checksum", "limit_rate"):
        names.pop(name, None)
    options = Options(urls, **{name: value for name, value in names.items() if name != "urls"})
    options.outputs = list(args.output)
    options.verify = not args.insecure
    options.headers = _headers(args)
    options.user = _user(args.user)
    options.limit_rate = None if args.limit_rate is None else parse_size("--limit-rate", args.limit_rate)
    options.write_out = None if args.write_out is None else read_format(args.write_out)
    for text in args.resolve:
        options.elsewhere.add_addresses(text)
    for text in args.connect_to:
        options.elsewhere.add_place(text)
    options.checksum = parse_checksum(given["checksum"]) if given.get("checksum") else None
    options.silent = args.silent and not args.show_error
    _check(options)
    return options


def _check(options: Options) -> None:
    bodies = [name for name, value in (("-d", options.data), ("-F", options.forms), ("-T", options.upload)) if value]
    if len(bodies) > 1:
        raise UsageError(f"{bodies[0]} and {bodies[1]}: one body at a time")
    if options.parallel < 1 or options.parallel > 64:
        raise UsageError(f"--parallel {options.parallel}: from 1 to 64")
    if options.retry < 0 or options.max_redirects < 0:
        raise UsageError("--retry and --max-redirs: 0 or more")
    if options.max_time is not None and options.max_time <= 0:
        raise UsageError("--max-time: must be more than 0")
    if len(options.outputs) > len(options.urls):
        raise UsageError(f"-o: {len(options.outputs)} files for {len(options.urls)} URLs")
    if options.resume is not None and options.resume != "-" and not options.resume.isdecimal():
        raise UsageError(f"-C {options.resume}: a number of bytes, or - for what is there")
    if options.resume is not None and options.ranges is not None:
        raise UsageError("-C and -r: which part?")
    if options.resume is not None and (options.compressed or options.include or options.head or bodies):
        raise UsageError("-C: only for a plain file")
    if options.ranges is not None and not re.fullmatch(r"[0-9,\- ]+", options.ranges):
        raise UsageError(f"-r {options.ranges}: write it as 0-99 or -500")
    if options.parallel > 1 and (bodies or options.head or options.ranges or options.compressed or options.include):
        raise UsageError("--parallel: only for a plain file")
    for option, path in (("--cacert", options.ca), ("--cert", options.cert), ("--key", options.key)):
        if path is not None and not Path(path).is_file():
            raise UsageError(f"{option} {path}: no such file")
    if options.digest and options.user is None:
        raise UsageError("--digest: needs -u USER:PASSWORD")


def _headers(args: argparse.Namespace) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for option, name in (("user_agent", "User-Agent"), ("referer", "Referer")):
        value = getattr(args, option)
        if value is not None:
            found.append((name, value or None))
    if args.cookies is not None and "=" in args.cookies:
        found.append(("Cookie", args.cookies))
    for line in args.header:
        name, colon, value = line.partition(":")
        if colon:
            found.append((name.strip(), value.strip() or None))
        elif line.endswith(";"):
            found.append((line[:-1].strip(), ""))
        else:
            raise UsageError(f"-H {line!r}: write it as 'Name: value'")
    for name, value in found:
        if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name) or re.search(
            r"[\x00-\x08\x0a-\x1f\x7f]", value or ""
        ):
            raise UsageError(f"-H '{name}: {value}': no header of HTTP")
    return found


def _user(given: str | None) -> tuple[str, str] | None:
    if given is None:
        return None
    name, colon, password = given.partition(":")
    if not colon:
        import getpass
        import os

        try:
            os.close(os.open("/dev/tty", os.O_RDWR))  # without a terminal getpass would show what is typed
            password = getpass.getpass(f"password for {name}: ")
        except (EOFError, OSError):
            raise UsageError(f"-u {name}: no password, and nobody to ask; write USER:PASSWORD") from None
    return name, password


def parse_size(option: str, text: str) -> int:
    """Return the bytes of `500k`, `2M` or a bare number; raise `UsageError` that names the option."""
    found = _SIZE(text.strip())
    size = 0 if found is None else int(float(found[1]) * (1 << _UNITS[found[2].lower()]))
    if size <= 0:
        raise UsageError(f"{option} {text}: write it as 500k or 2M")
    return size


def parse_checksum(text: str) -> tuple[str, str]:
    """Return algorithm and hexadecimal digits; raise `UsageError`."""
    import hashlib

    name, _, digits = text.partition(":")
    name, digits = name.lower().replace("-", ""), digits.strip().lower()
    if name not in CHECKSUMS:
        raise UsageError(f"--checksum {text}: no algorithm {name!r}; {', '.join(CHECKSUMS)}")
    length = hashlib.new(name, usedforsecurity=False).digest_size * 2
    if not re.fullmatch(f"[0-9a-f]{{{length}}}", digits):
        raise UsageError(f"--checksum {text}: {name} has {length} hexadecimal digits")
    return name, digits
