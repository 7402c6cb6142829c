"""-w, -D, --resolve, --connect-to and --hsts beyond what is compared with curl: their mistakes, heads, times."""

import json

import pytest

from catenet.cli import main
from catenet.http.policy.hsts import HstsStore
from catenet.http.policy.hsts_file import dump_hsts, load_hsts
from catenet.http.url import Url


def told(words, capfd):
    """Return status, standard output and standard error of `catenet get`."""
    capfd.readouterr()
    try:
        status = main(["get", *words])
    except SystemExit as exit_:
        status = exit_.code
    out, err = capfd.readouterr()
    return status, out, err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-w", "%{http_cod}"], "-w: no variable 'http_cod'; do you mean http_code?"),
        (["-w", "%{zzz}"], "-w: no variable 'zzz'; known: content_type"),
        (["-w", "@missing"], "-w @missing: no such file"),
        (["--resolve", "a:80"], "--resolve a:80: write it as HOST:PORT:ADDRESS"),
        (["--resolve", "a:x:127.0.0.1"], "write it as HOST:PORT:ADDRESS"),
        (["--resolve", "a:80:b.example"], "'b.example' is no address"),
        (["--connect-to", "a"], "write it as HOST1:PORT1:HOST2:PORT2"),
        (["--connect-to", "a:99999:b:1"], "write it as HOST1:PORT1:HOST2:PORT2"),
        (["--hsts", "."], "--hsts .: is a directory"),
    ],
)
def test_mistakes(words, complaint, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    status, out, err = told(["http://127.0.0.1:1/", *words], capfd)
    assert status == 2 and out == "" and complaint in err and err.count("\n") == 1


def test_heads_of_all_responses_of_all_urls(echo, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heads").write_text("old")
    words = ["-s", "-L", f"{echo.url}/hop/1", f"{echo.url}/echo", "-D", "heads", "-o", "a", "-o", "b"]
    assert told(words, capfd)[0] == 0
    heads = (tmp_path / "heads").read_bytes()
    assert heads.count(b"HTTP/1.1 ") == heads.count(b"\r\n\r\n") == 3 and not heads.startswith(b"old")
    status, out, _ = told(["-s", f"{echo.url}/echo", "-D", "-", "-o", "a"], capfd)
    assert status == 0 and out.startswith("HTTP/1.1 200") and out.endswith("\n\n".replace("\n", "\r\n"))
    status, _, err = told(["-sS", f"{echo.url}/echo", "-D", "no/such", "-o", "a"], capfd)
    assert status == 23 and "cannot write no/such" in err


def test_times_are_in_order_and_json_is_json(echo, capfd):
    names = ("namelookup", "connect", "pretransfer", "starttransfer", "total")
    text = "|".join(f"%{{time_{name}}}" for name in names)
    status, out, _ = told(["-s", f"{echo.url}/echo", "-o", "/dev/null", "-w", f"{text}|%{{speed_download}}"], capfd)
    *times, speed = map(float, out.split("|"))
    assert status == 0 and times == sorted(times) and speed > 0
    _, out, _ = told(["-s", f"{echo.url}/echo", "-o", "/dev/null", "-w", "%{header_json}"], capfd)
    assert all(isinstance(values, list) for values in json.loads(out).values())


def test_what_a_server_says_moves_no_terminal(echo, capfd):
    _, out, _ = told(["-s", f"{echo.url}/echo?\x1b[31m", "-o", "/dev/null", "-w", "%{url}|%{url_effective}"], capfd)
    assert "\x1b" not in out


def test_a_file_of_hosts():
    store = HstsStore()
    now = 1_000_000_000.0
    store.note(Url.parse("https://a.example"), "max-age=100; includeSubDomains", now)
    store.note(Url.parse("https://b.example"), "max-age=1000", now)
    text = dump_hsts(store)
    assert text.splitlines()[1:] == [
        '.a.example "20010909 014820"'.replace("014820", "01:48:20"),
        'b.example "20010909 02:03:20"',
    ]
    again = HstsStore()
    load_hsts(f'{text}\nnonsense\n"\nc.example "99999999 99:99:99"\nd.example "unlimited"\n\x00\n', again, now + 200)
    assert [entry[0] for entry in again.entries()] == ["b.example", "d.example"]
    assert not again.knows("x.b.example", now + 200) and again.knows("b.example", now + 200)
