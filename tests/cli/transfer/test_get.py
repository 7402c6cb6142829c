"""catenet get: files that are complete or not there, parts, checksums, names that stay in their folder."""

import hashlib
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from tests import commands
from tests.cli.transfer.cutting import CONTENT, Cutting

from catenet.cli import main

pytestmark = pytest.mark.slow(15)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_cut_short_is_not_under_its_name(url, here, capfd):
    Cutting.cuts = [3 << 20]
    assert main(["get", "-O", url]) == 18
    assert names(here) == ["file.bin.part", "file.bin.part.json"]
    out, err = capfd.readouterr()
    assert not out and err.startswith("catenet: ") and err.count("\n") == 1


def test_it_goes_on_where_it_was(url, here):
    Cutting.cuts = [3 << 20, 2 << 20]
    assert main(["get", "-O", url, "-s"]) == 18
    assert main(["get", "-O", url, "-s", "--continue"]) == 18
    assert main(["get", "-O", url, "-s", "-C", "-"]) == 0
    assert Cutting.asked == [None, f"bytes={3 << 20}-", f"bytes={5 << 20}-"]
    assert names(here) == ["file.bin"] and Path("file.bin").read_bytes() == CONTENT
    # There is nothing more to fetch.
    assert main(["get", "-O", url, "-s", "--continue"]) == 0
    assert names(here) == ["file.bin"] and Path("file.bin").read_bytes() == CONTENT


def test_a_file_that_has_changed_is_fetched_anew(url, here, capfd):
    Cutting.cuts = [3 << 20]
    assert main(["get", "-O", url, "-s"]) == 18
    Cutting.tag, Cutting.content = '"two"', CONTENT[::-1]
    assert main(["get", "-O", url, "--continue"]) == 0
    assert Path("file.bin").read_bytes() == CONTENT[::-1] and names(here) == ["file.bin"]
    assert "has changed: beginning anew" in capfd.readouterr().err


def test_a_file_of_curl_is_gone_on_with(url, here):
    Path("file.bin").write_bytes(CONTENT[: 1 << 20])
    assert main(["get", "-o", "file.bin", url, "--continue"]) == 0
    assert Path("file.bin").read_bytes() == CONTENT and names(here) == ["file.bin"]


@pytest.mark.peer
def test_a_server_without_ranges(nginx, here, capfd):
    Path("hello.txt").write_text("hel")
    assert main(["get", "-O", f"{nginx.url}/plain/hello.txt", "--continue"]) == 33
    assert Path("hello.txt").read_text() == "hel" and names(here) == ["hello.txt"]
    assert "does not go on at 3" in capfd.readouterr().err


def test_retry_goes_on_within_one_call(url, here):
    Cutting.cuts = [3 << 20, 1 << 20]
    assert main(["get", "-O", url, "-s", "--retry", "3"]) == 0
    assert len(Cutting.asked) == 3 and Path("file.bin").read_bytes() == CONTENT


def test_retry_after_a_status(echo, here, capfd):
    assert main(["get", f"{echo.url}/again", "--retry", "3", "-f"]) == 0
    assert "GET /again" in capfd.readouterr().out


def test_a_part_that_nobody_has_asked_for(url, here, capfd, monkeypatch):
    def send_part(self):
        self.send_response(206)
        self.send_header("Content-Range", "bytes 0-1/100")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ab")

    monkeypatch.setattr(Cutting, "do_GET", send_part)
    assert main(["get", "-O", url]) == 33
    assert names(here) == [] and "the server sends a part" in capfd.readouterr().err


def test_a_link_where_the_note_is_to_be_written(url, here, tmp_path):
    (tmp_path / "precious").write_text("mine")
    Path("file.bin.part.json.new").symlink_to(tmp_path / "precious")
    Cutting.cuts = [3 << 20]
    assert main(["get", "-O", url, "-s"]) == 18
    assert (tmp_path / "precious").read_text() == "mine"
    assert json.loads(Path("file.bin.part.json").read_text())["validator"] == '"one"'


def test_in_parts(url, here):
    assert main(["get", "-o", "f", url, "--parallel", "4", "-s", "--checksum", checksum(CONTENT)]) == 0
    assert Path("f").read_bytes() == CONTENT and names(here) == ["f"]
    assert len(Cutting.asked) >= 5 and Cutting.asked[0] == f"bytes=0-{(1 << 20) - 1}"


def test_what_is_shown_of_parts(url, here, capfd):
    assert main(["get", "-o", "f", url, "--parallel", "2", "-v"]) == 0
    err = capfd.readouterr().err
    assert err.count("* part ") >= 5 and "* part 0-1048575: " in err and "* first byte |" in err
    assert "a new connection" in err and "the same connection" in err


def test_parts_that_break_off_are_asked_for_again(url, here):
    Cutting.cuts = [1 << 19, 1 << 18, 1 << 19, 1 << 18]
    assert main(["get", "-o", "f", url, "--parallel", "3", "-s"]) == 0
    assert Path("f").read_bytes() == CONTENT and names(here) == ["f"]


def test_parts_are_gone_on_with(url, here):
    Cutting.cuts = [1 << 19] + [1 << 18] * 11 + [0] * 20
    assert main(["get", "-o", "f", url, "--parallel", "3", "-s"]) == 18
    done = json.loads(Path("f.part.json").read_text())["done"]
    held = sum(stop - start for start, stop in done)
    assert held and not Path("f").exists()
    Cutting.cuts, Cutting.asked = [], []
    assert main(["get", "-o", "f", url, "--parallel", "3", "-s", "--continue", "--checksum", checksum(CONTENT)]) == 0
    assert Path("f").read_bytes() == CONTENT and names(here) == ["f"]


def test_parts_of_a_file_that_changes(url, here):
    def change():
        while len(Cutting.asked) < 3:
            time.sleep(0.001)
        Cutting.tag, Cutting.content = '"two"', CONTENT[::-1]

    Cutting.pause = 0.002
    thread = threading.Thread(target=change)
    thread.start()
    status = main(["get", "-o", "f", url, "--parallel", "2", "-s"])
    thread.join()
    assert (status, names(here)) == (33, []) or Path("f").read_bytes() in (CONTENT, CONTENT[::-1])


@pytest.mark.peer
def test_parts_of_a_server_without_ranges(nginx, here):
    assert main(["get", "-o", "f", f"{nginx.url}/plain/big.bin", "--parallel", "4", "-s"]) == 0
    assert Path("f").stat().st_size == 3 << 20


def checksum(data: bytes, name: str = "sha256") -> str:
    return f"{name}:{hashlib.new(name, data).hexdigest()}"


@pytest.mark.peer
@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
def test_checksums(nginx, here, name):
    words = ["get", "-s", "-o", "f", f"{nginx.url}/hello.txt", "--checksum"]
    assert main([*words, checksum(b"hello\n", name)]) == 0 and names(here) == ["f"]
    Path("f").unlink()
    assert main([*words, checksum(b"other", name)]) == 1 and names(here) == []


def test_checksum_of_what_was_gone_on_with(url, here):
    Cutting.cuts = [3 << 20]
    assert main(["get", "-O", url, "-s"]) == 18
    assert main(["get", "-O", url, "-s", "--continue", "--checksum", checksum(CONTENT)]) == 0


# Names.


@pytest.mark.peer
def test_a_server_names_no_file_outside(nginx, here):
    """CVE-2020-8177: nothing is overwritten, either."""
    (here / "in").mkdir()
    os.chdir(here / "in")
    assert main(["get", "-s", "-O", "-J", f"{nginx.url}/evil"]) == 0
    assert names(here) == ["in"] and names(here / "in") == ["evil.txt"]
    assert main(["get", "-s", "-OJ", f"{nginx.url}/named"]) == 0
    assert main(["get", "-s", "-OJ", f"{nginx.url}/named"]) == 23  # it is there already
    (here / "in" / "named.txt").rename(here / "in" / "named.txt.part")
    assert main(["get", "-s", "-OJ", f"{nginx.url}/named"]) == 23  # nor is a part of it
    (here / "in" / "named.txt.part").rename(here / "in" / "named.txt")
    assert main(["get", "-s", "-O", f"{nginx.url}/named"]) == 0
    assert names(here / "in") == ["evil.txt", "named", "named.txt"]


@pytest.mark.parametrize("path", ["..%2f..%2fhello", "%2e%2e", "..%5c..%5cx", "a%00b", ".bashrc", "%2Fetc%2Fpasswd"])
def test_a_url_names_no_file_outside(echo, here, path):
    (here / "in").mkdir()
    os.chdir(here / "in")
    status = main(["get", "-s", "-O", f"{echo.url}/x/{path}"])
    assert status in (0, 23) and names(here) == ["in"]
    assert all(not name.startswith(".") for name in names(here / "in"))


@pytest.mark.peer
def test_a_url_without_a_name(nginx, here, capfd):
    assert main(["get", "-O", f"{nginx.url}/"]) == 23
    assert "names no file; say which with -o" in capfd.readouterr().err and names(here) == []


@pytest.mark.peer
def test_a_link_is_not_written_through(nginx, here):
    victim = here / "victim"
    victim.write_text("safe")
    Path("hello.txt").symlink_to(victim)
    Path("b.part").symlink_to(victim)
    assert main(["get", "-s", "-O", f"{nginx.url}/hello.txt"]) == 0
    assert victim.read_text() == "safe" and not Path("hello.txt").is_symlink()
    assert main(["get", "-s", "-o", "b", f"{nginx.url}/hello.txt"]) == 23
    assert victim.read_text() == "safe"
    # What the user names is theirs.
    Path("mine").symlink_to(victim)
    assert main(["get", "-s", "-o", "mine", f"{nginx.url}/hello.txt"]) == 0
    assert victim.read_text() == "hello\n" and Path("mine").is_symlink()


def test_two_downloads_of_one_file(url, here):
    Cutting.pause = 0.2
    words = [sys.executable, "-m", "catenet", "get", "-s", "-O", url]
    first = commands.Popen(words)
    wait_until(lambda: Path("file.bin.part").exists() and Path("file.bin.part").stat().st_size)
    second = commands.run([*words[:4], "-O", url], capture_output=True, text=True)
    assert second.returncode == 23 and "another download is writing" in second.stderr
    first.kill()
    first.wait(30)
    assert names(here) == ["file.bin.part", "file.bin.part.json"]


def wait_until(true, limit=30.0):
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("signo", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
@pytest.mark.parametrize("parallel", ["1", "3"])
def test_kill_and_resume(url, here, signo, status, parallel):
    Cutting.pause = 0.01
    words = [sys.executable, "-m", "catenet", "get", "-s", "-O", url, "--parallel", parallel]
    process = commands.Popen(words)
    part = Path("file.bin.part.json")
    wait_until(lambda: part.exists() and len(Cutting.asked) >= 1 and "done" in part.read_text())
    wait_until(lambda: Path("file.bin.part").stat().st_size > 1 << 20 and os.path.getsize("file.bin.part.json"))
    process.send_signal(signo)
    assert process.wait(30) == status
    assert not Path("file.bin").exists() and Path("file.bin.part").exists()
    Cutting.pause = 0.0
    assert main(["get", "-s", "-O", url, "--parallel", parallel, "--continue", "--checksum", checksum(CONTENT)]) == 0
    assert names(here) == ["file.bin"]


def test_disk_full(url, here):
    words = [sys.executable, "-m", "catenet", "get", "-O", url]

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    done = commands.run(words, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 23 and done.stderr.count("\n") == 1
    assert "cannot write file.bin" in done.stderr and "too large" in done.stderr
    assert not Path("file.bin").exists()
    assert main(["get", "-s", "-O", url, "--continue"]) == 0 and Path("file.bin").read_bytes() == CONTENT


@pytest.mark.peer
def test_a_full_device(nginx, here, capfd):
    assert main(["get", "-o", "/dev/full", f"{nginx.url}/hello.txt"]) == 23
    assert "no space left on device" in capfd.readouterr().err


@pytest.mark.peer
def test_nobody_reads(nginx, here):
    words = f"{sys.executable} -m catenet get {nginx.url}/big.bin | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = commands.run(["bash", "-c", words], capture_output=True, text=True)
    assert done.returncode == 23 and "nobody reads it" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.peer
def test_a_part_of_another_url_is_not_gone_on_with(url, nginx, here):
    Cutting.cuts = [3 << 20]
    assert main(["get", "-o", "f", url, "-s"]) == 18
    assert main(["get", "-o", "f", f"{nginx.url}/hello.txt", "-s", "--continue"]) == 0
    assert names(here) == ["f"] and Path("f").read_text() == "hello\n"


@pytest.mark.peer
def test_a_name_is_that_of_the_url_that_was_asked_for(nginx, here):
    assert main(["get", "-s", "-L", "-O", f"{nginx.url}/moved"]) == 0
    assert names(here) == ["moved"]


@pytest.mark.parametrize("words", [["--compressed"], ["-i"], ["-d", "x"], ["-I"]])
def test_what_cannot_be_gone_on_with(here, capfd, words):
    assert main(["get", "http://a/", "-O", "--continue", *words]) == 2
    assert "-C: only for a plain file" in capfd.readouterr().err
