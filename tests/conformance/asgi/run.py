"""Runs the test suites of Starlette and FastAPI's examples with each request going through our server.

    [CATENET_ASGI_HTTP=1.1|2] python -m tests.conformance.asgi.run [starlette|fastapi] [options of pytest]

The suites are those of the installed versions, from the source distributions at the package index, kept in a cache
(`$XDG_CACHE_HOME/catenet/asgi`). A test that fails and is not in `CANNOT` fails the run; so does one there that passes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "catenet" / "asgi"
LIBRARIES = (
    "inline-snapshot", "dirty-equals", "pydantic-settings", "pyyaml", "sniffio", "sqlmodel", "pyjwt", "pwdlib[argon2]",
    "orjson", "ujson", "email-validator",
)  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """One project's tests: where they are, and what is left out, since it has no place here."""

    project: str
    tests: str
    left_out: Sequence[str] = ()
    options: Sequence[str] = ()
    cannot: dict[str, tuple[str, ...]] = field(default_factory=dict)
    only_1: tuple[str, ...] = ()
    """Those in `cannot` that pass over HTTP/2."""
    cannot_2: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Those that cannot pass over HTTP/2 alone."""


HOSTS = "our server refuses such a Host itself, with 400"
SUITES = {
    "starlette": Suite(
        "starlette",
        "tests",
        # of the test client itself; needs a telemetry that we do not install
        ("tests/test_testclient.py", "tests/middleware/test_opentelemetry.py"),
        ("-k", "not trio"),  # our server runs on asyncio
        {
            HOSTS: ("test_host_routing_rejects_invalid_hosts[asyncio-api.example.org:evil]",),
            "httpx shows no trailers": (
                "test_gzip_trailers[asyncio-True-gzip]",
                "test_gzip_trailers[asyncio-True-identity]",
                "test_gzip_trailers[asyncio-False-gzip]",
                "test_gzip_trailers[asyncio-False-identity]",
                "test_gzip_excluded_content_type_trailers[asyncio]",
            ),
            "the client refuses to send it: a value with blanks around it, a body that is longer than it says": (
                "test_received_bytes_are_counted_with_unreliable_content_length[asyncio]",
                "test_cookies_invalid[asyncio-  =  b  ;  ;  =  ;   c  =  ;  -expected4]",
                "test_staticfiles_304_with_if_none_match_wildcard[asyncio- \\t* \\t-GET]",
                "test_staticfiles_304_with_if_none_match_wildcard[asyncio- \\t* \\t-HEAD]",
            ),
            "123 is no status of a final response (RFC 9110 section 15)": ("test_response_phrase[asyncio]",),
            "there is no server push: browsers have removed it": ("test_request_send_push_promise[asyncio]",),
            "names of fields are sent in lower case": ("test_websocket_route_middleware[asyncio]",),
            "a message that nothing on the wire stands for": ("test_receive_wrong_message_type[asyncio]",),
            "root may read a folder that nobody may": (
                "test_staticfiles_with_invalid_dir_permissions_returns_401[asyncio]",
            )
            if os.geteuid() == 0
            else (),
        },
        (
            "test_cookies_invalid[asyncio-  =  b  ;  ;  =  ;   c  =  ;  -expected4]",
            "test_staticfiles_304_with_if_none_match_wildcard[asyncio- \\t* \\t-GET]",
            "test_staticfiles_304_with_if_none_match_wildcard[asyncio- \\t* \\t-HEAD]",
        ),
    ),
    # what is left out needs libraries that we do not install
    "fastapi": Suite(
        "fastapi",
        "tests/test_tutorial",
        ("tests/test_tutorial/test_opentelemetry", "tests/test_tutorial/test_graphql"),
        cannot={
            "fails without us too: httpx accepts zstd where zstandard is installed": (
                "test_header_param_model_invalid[tutorial001]",
                "test_header_param_model_invalid[tutorial001_non_an]",
                "test_header_param_model_invalid[tutorial003]",
                "test_header_param_model_invalid[tutorial003_non_an]",
                "test_header_param_model_no_underscore[tutorial003]",
                "test_header_param_model_no_underscore[tutorial003_non_an]",
            ),
        },
        cannot_2={
            "httpx fails at the reset that follows an early answer (RFC 9113 section 8.1)": ("test_item_limit",),
        },
    ),
}


def unpack(project: str) -> Path:
    """Return the folder of a project's sources at the installed version; download them if they are not there."""
    name = f"{project}-{version(project)}"
    folder = CACHE / name
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        words = ["download", "--quiet", "--no-deps", "--no-binary", project, "--dest", str(CACHE)]
        _pip([*words, f"{project}=={version(project)}"])
        with tarfile.open(CACHE / f"{name}.tar.gz") as archive:
            archive.extractall(CACHE, filter="data")
    return folder


def libraries() -> Path:
    """Return the folder of what the suites need besides."""
    folder = CACHE / "libraries"
    if not folder.exists():
        _pip(["install", "--quiet", "--target", str(folder), *LIBRARIES])
    return folder


def _pip(words: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)


def run(suite: Suite, http: str, more: Sequence[str]) -> bool:
    """Run one suite over one version of HTTP; print counts, and what failed or passed against expectation."""
    folder = unpack(suite.project)
    for path in suite.left_out:
        if (folder / path).is_dir():
            shutil.rmtree(folder / path)  # its conftest.py would be read all the same
    words = [sys.executable, "-m", "pytest", "-q", "-rfEx", "-p", "over_wire", "-p", "no:cacheprovider", "--tb=no"]
    words += ["--timeout=60", "-W", "ignore", "-o", "filterwarnings=", *suite.options, suite.tests, *more]
    words += [f"--ignore={path}" for path in suite.left_out]
    paths = os.pathsep.join([str(HERE), str(folder)])
    variables = {**os.environ, "PYTHONPATH": paths, "CATENET_ASGI_LIBRARIES": str(libraries())}
    variables["CATENET_ASGI_HTTP"] = http
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    found = re.findall(r"^(?:FAILED|ERROR) (\S+?\.py(?:::.*?)?)(?: - .*)?$", done.stdout, re.MULTILINE)
    failed = {line.rpartition("::")[2] if "::" in line else line for line in found}
    cannot = {**suite.cannot, **(suite.cannot_2 if http == "2" else {})}
    expected = {name for names in cannot.values() for name in names}
    expected -= set(suite.only_1 if http == "2" else ())
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    print(f"{suite.project} {version(suite.project)} over HTTP/{http}: {lines[-1]}")
    print("\n".join(line for line in lines if line.startswith("over the wire")))
    for reason, names in cannot.items():
        if count := len(expected.intersection(names)):
            print(f"  {count:3} cannot pass: {reason}")
    wrong = sorted(failed - expected)
    surprising = sorted(expected - failed) if not more else []
    print(
        "".join(f"  FAILED {name}\n" for name in wrong) + "".join(f"  PASSED {name}\n" for name in surprising), end=""
    )
    return not wrong and not surprising and done.returncode in (0, 1)


def main(words: Sequence[str]) -> int:
    """Run the suites that are named, or both, over the version that is named, or both."""
    named = [words[0]] if words and words[0] in SUITES else list(SUITES)
    more = words[1:] if words and words[0] in SUITES else words
    versions = [os.environ["CATENET_ASGI_HTTP"]] if "CATENET_ASGI_HTTP" in os.environ else ["1.1", "2"]
    results = [run(SUITES[name], http, more) for name in named for http in versions]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
