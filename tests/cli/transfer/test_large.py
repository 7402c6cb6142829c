"""Files that are larger than memory should be: get and put keep a few pieces of them."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.peer


def peak_of(words: list[str]) -> tuple[int, int]:
    """Run a command; return its status and the most memory that it had, in bytes."""
    # ru_maxrss would count what the parent had before it became this program.
    code = (
        "import re, sys; from catenet.cli import main; status = main(sys.argv[1:]);"
        "found = re.search(r'VmHWM:\\s+([0-9]+) kB', open('/proc/self/status').read());"
        "print(int(found[1]) * 1024, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    return done.returncode, int(done.stderr.splitlines()[-1])


SIZES = [64 << 20, *([5 << 30] if os.environ.get("CATENET_LONG") else [])]
"""The larger one is `make long`'s."""


@pytest.fixture(params=SIZES)
def sparse(request, nginx):
    path = nginx.root / "www" / "sparse"
    with path.open("wb") as file:
        file.truncate(request.param)
        file.seek(request.param - 5)
        file.write(b"ended")
    yield request.param
    path.unlink()


@pytest.mark.parametrize("parallel", ["1", "3"])
def test_memory_is_flat(sparse, nginx, tmp_path, parallel):
    words = ["get", "-s", "-o", str(tmp_path / "f"), f"{nginx.url}/sparse", "--parallel", parallel]
    status, memory = peak_of(words)
    assert status == 0 and (tmp_path / "f").stat().st_size == sparse and memory < 120 << 20
    with (tmp_path / "f").open("rb") as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == b"ended"
    status, memory = peak_of(["put", str(tmp_path / "f"), f"{nginx.url}/dav/sparse", "-s"])
    kept = nginx.root / "www" / "dav" / "sparse"
    assert status == 0 and kept.stat().st_size == sparse and memory < 120 << 20
    kept.unlink()
