"""The same command lines as curl: exit status, standard output and files are equal."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.peers import tool

from catenet.cli import main

# Words after `curl -s` and `catenet get -s`; {n} nginx, {e} echo, {b} breaking, {t} TLS, {h} HTTP/2 without TLS.
LINES = """
{n}/hello.txt
{n}/hello.txt -o out
{n}/hello.txt --output out
-O {n}/hello.txt
-O {n}/big.bin
{n}/hello.txt {n}/big.bin
{n}/hello.txt -o one {n}/nothing -o two
{n}/nothing
{n}/nothing -o out
{n}/empty
{n}/missing
{n}/missing -o out
-f {n}/missing
--fail {n}/teapot
-f {n}/missing -o out
-f {n}/hello.txt
{n}/broken
{n}/moved
-L {n}/moved
-L {n}/found
-L {n}/other
-L {n}/temporary
-L {n}/round --max-redirs 4
-L {n}/away
-L {n}/moved --max-redirs 0
-L {e}/hop/5
-L {e}/hop/5 --max-redirs 3
-L {e}/hop/1 -d a=b
-L {e}/hop/2 -d a=b
-I {n}/missing -o /dev/null
{n}/a%20b.txt
-r 0-3 {n}/hello.txt
-r 2- {n}/hello.txt
-r -2 {n}/hello.txt
-r 100- {n}/hello.txt -f
-C 3 {n}/hello.txt
-C 3 {n}/plain/hello.txt
{e}/echo -H X-A:1
{e}/echo -H X-A:1 -H X-A:2
{e}/echo -H Accept:
{e}/echo -H X-A;
{e}/echo -H User-Agent:mine
{e}/echo -A mine
{e}/echo -e http://from/
{e}/echo -b a=b;c=d
{e}/echo -b jar
{e}/echo -b none
-L {e}/cookies/ -b jar
{e}/echo -d a=b
{e}/echo -d a=b -d c=d
{e}/echo -d @lines
{e}/echo --data-binary @lines
{e}/echo --data-raw @lines
{e}/echo --data-urlencode a=b&c
{e}/echo -d a=b -G
{e}/echo?x=y -d a=b -d c -G
{e}/echo -d {{}} -H Content-Type:application/json
{e}/echo -X PURGE
{e}/echo -X PATCH -d a
{e}/echo -X DELETE
{e}/echo -T lines
{e}/dir/ -T lines
{e}/echo -T missing
{e}/echo -F a=b -F c=d
{e}/echo -F a=b -F f=@lines;type=a/b
{e}/echo -F f=@lines;type=a/b;filename=x
{e}/echo -F f=@missing
{e}/echo -u user:pass
{e}/echo -u user:
{e}/echo --oauth2-bearer token
http://me:secret@{e7}/echo
{n}/secret/hello.txt
{n}/secret/hello.txt -f
{n}/secret/hello.txt -u user:pass
{n}/secret/hello.txt -u user:wrong -f
{a}/secret.txt --digest -u user:päss
{a}/secret.txt?x=y --digest -u user:päss
{a}/secret.txt --digest -u user:wrong -f
{a}/secret.txt --digest -u user:päss -d a=b -f
{n}/secret/hello.txt --digest -u user:pass -f
{n}/gz/big.bin --compressed -o out
{n}/gz/hello.txt --compressed
{b}/short
{b}/short -o /dev/null
{b}/shortchunk
{b}/silent
{b}/reset
{b}/untilclose
{b}/badgzip --compressed
{b}/badgzip
{b}/hang -m 0.3
{b}/halfhang -m 0.3
http://127.0.0.1:{c}/
http://nobody.invalid/
http://127.0.0.1:99999/
http://[::1/
{t}/hello.txt
{t}/hello.txt -k
{t}/hello.txt -k --http1.1
{t}/hello.txt --cacert {ca}
{t}/big.bin --cacert {ca} -O
{t}/hello.txt --cacert {ca} --http2
https://{x}/
https://{n7}/
{n}/hello.txt -x http://127.0.0.1:{c}
{n}/hello.txt -x http://nobody.invalid:1
{t}/hello.txt -x {b}
{n}/hello.txt -x 127.0.0.1:{f}
{e}/echo -d a=b -x 127.0.0.1:{f}
{n}/missing -f -x http://127.0.0.1:{f}
{n}/hello.txt -x http://127.0.0.1:{c} --noproxy 127.0.0.1
{t}/hello.txt -k -x http://127.0.0.1:{f}
{t}/hello.txt -k -x http://user:pass@127.0.0.1:{p}
{t}/hello.txt -k -x http://user:wrong@127.0.0.1:{p}
{t}/hello.txt --cacert {ca} -x http://user:pass@127.0.0.1:{p}
http://127.0.0.1:{h}/hello.txt --http2-prior-knowledge
{n}/hello.txt --unix-socket {u}
{n}/hello.txt -o no/such/folder/out
{n}/hello.txt --output-dir sub -o out
{n}/hello.txt -o /dev/full
{n}/big.bin --limit-rate 20M -o out
{n}/dav/c.txt -T lines
{n}/hello.txt -w \\n%{{http_code}}|%{{response_code}}|%{{http_version}}|%{{content_type}}|%{{scheme}}|%{{method}}\\n
{n}/hello.txt -o out -w %{{filename_effective}}|%{{size_download}}|%{{size_upload}}|%{{url_effective}}|%{{exitcode}}%%
{n}/big.bin -o out -w %{{size_download}}|%{{num_headers}}|%{{remote_ip}}|%{{num_connects}}|%{{size_header}}
{n}/hello.txt {n}/hello.txt -w %{{urlnum}}|%{{num_connects}}|%{{url}}\\t\\r%{{errormsg}}
{n}/moved -w %{{http_code}}|%{{redirect_url}}|%{{num_redirects}}|%{{time_redirect}}
-L {n}/moved -w %{{http_code}}|%{{redirect_url}}|%{{num_redirects}}|%{{url_effective}}|%{{num_connects}}
{n}/missing -f -w %{{http_code}}|%{{exitcode}}|%{{size_download}}
http://127.0.0.1:{c}/ -w %{{http_code}}|%{{exitcode}}|%{{size_header}}|%{{content_type}}|%{{num_connects}}
{n}/hello.txt -w %header{{content-type}}|%header{{missing}}|%header{{SERVER}}
{n}/hello.txt -w a%{{stderr}}%{{stdout}}b
{n}/hello.txt -w @lines
{e}/echo -d a=b -w |%{{method}}|%{{http_code}}
{t}/hello.txt -k -w |%{{http_version}}|%{{scheme}}|%{{http_code}}
http://nowhere.invalid:{np}/hello.txt --resolve nowhere.invalid:{np}:127.0.0.1
http://Nowhere.invalid:{np}/hello.txt --resolve *:{np}:127.0.0.1
http://nowhere.invalid:{np}/hello.txt --resolve +nowhere.invalid:{np}:127.0.0.1
http://nowhere.invalid:{np}/hello.txt --resolve nowhere.invalid:1:127.0.0.1
http://nowhere.invalid/hello.txt --connect-to nowhere.invalid:80:127.0.0.1:{np}
http://nowhere.invalid/hello.txt --connect-to ::127.0.0.1:{np}
http://nowhere.invalid:{np}/hello.txt --connect-to nowhere.invalid::127.0.0.1:
http://nowhere.invalid/hello.txt --connect-to other.invalid:80:127.0.0.1:{np}
http://elsewhere.invalid/echo --connect-to ::127.0.0.1:{ep}
http://a.strict.example:{tp}/hello.txt -k --resolve *:{tp}:127.0.0.1 --hsts strict
http://strict.example:{tp}/hello.txt -k --resolve *:{tp}:127.0.0.1 --hsts strict
http://a.alone.example:{np}/hello.txt --resolve *:{np}:127.0.0.1 --hsts strict
http://past.example:{np}/hello.txt --resolve *:{np}:127.0.0.1 --hsts strict
{n}/hello.txt --hsts none
""".strip().splitlines()  # fmt: skip


@pytest.fixture
def words(nginx, echo, breaking, notls, closed_port, tunnels, apache_digest):
    names = {
        "n": nginx.url, "e": echo.url, "b": breaking.url, "t": nginx.secure, "c": closed_port, "ca": nginx.ca,
        "e7": echo.url[7:], "n7": nginx.url[7:], "u": nginx.root / "socket", "x": notls.url[7:],
        "np": port_of(nginx.url), "ep": port_of(echo.url), "tp": port_of(nginx.secure),
        "a": apache_digest, "f": nginx.forward, "p": tunnels, "h": nginx.h2c,
    }  # fmt: skip
    return lambda line: [word.format(**names) for word in line.split(" ")]


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


def prepared(folder: Path) -> Path:
    folder.mkdir()
    (folder / "lines").write_bytes(b"one\r\ntwo\nthree")
    (folder / "sub").mkdir()
    (folder / "strict").write_text(
        '.strict.example "20991231 00:00:00"\nalone.example "20991231 00:00:00"\npast.example "20200101 00:00:00"\n'
    )
    (folder / "jar").write_text(
        "# comment\n\n127.0.0.1\tFALSE\t/\tFALSE\t0\tin\tfile\nx.example\tFALSE\t/\tFALSE\t0\ta\tb\n"
    )
    return folder


def files(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in ("strict", "none"):  # each has a comment of its own, and forgets what is past at another time
        if name in found:
            lines = found[name].splitlines(True)
            found[name] = b"".join(line for line in lines if not line.startswith((b"#", b"past.example")))
    return found


@pytest.mark.peer
@pytest.mark.parametrize("line", LINES)
def test_same_as_curl(words, line, tmp_path, monkeypatch, capfdbinary):
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    given = words(line)
    theirs, ours = prepared(tmp_path / "curl"), prepared(tmp_path / "ours")
    asked = subprocess.run([tool("curl"), "-s", *given], cwd=theirs, capture_output=True, timeout=60)
    monkeypatch.chdir(ours)
    capfdbinary.readouterr()
    status = main(["get", "-s", *given])
    out, err = capfdbinary.readouterr()
    assert (status, out) == (asked.returncode, asked.stdout), err
    assert err == b""
    kept = files(theirs)
    if status and "out" in kept and not kept["out"]:
        del kept["out"]  # curl leaves an empty file
    assert files(ours) == kept


def test_there_are_enough_of_them():
    assert len(set(LINES)) == len(LINES) >= 100 and os.sep == "/"
