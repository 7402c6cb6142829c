"""Whatever stands on a command line: a status, no traceback, at most some lines that say what is wrong."""

import random

import pytest

from catenet.cli import main
from catenet.cli.transfer.codes import Code

WORDS = [
    "-o",
    "-O",
    "-L",
    "-H",
    "-d",
    "-F",
    "-u",
    "-k",
    "-X",
    "-f",
    "-T",
    "-C",
    "-r",
    "-m",
    "-x",
    "-v",
    "-s",
    "-i",
    "-I",
    "-G",
    "-J",
    "--json",
    "--parallel",
    "--checksum",
    "--limit-rate",
    "--retry",
    "--continue",
    "--http2",
    "--http1.1",
    "--compressed",
    "--digest",
    "--oauth2-bearer",
    "--noproxy",
    "--unix-socket",
    "--output-dir",
    "--max-redirs",
    "-w",
    "-D",
    "--resolve",
    "--connect-to",
    "--hsts",
    "--data-urlencode",
    "-",
    "a: b",
    "a=b",
    "@/no/such",
    "f=@/dev/null",
    "u:p",
    "0",
    "2",
    "1s",
    "-1",
    "x",
    "",
    "é",
    "\udc80",
    "%",
    "sha256:00",
    "GET",
    "socks5://127.0.0.1:1",
    "http://127.0.0.1:1/",
    "http://127.0.0.1:1",
    "https://127.0.0.1:1/a?b#c",
    "http://[::1]:1/",
    "http://",
    "data:,x",
    "data:",
    "dns:",
    "ftp://a",
    "http://a:b@127.0.0.1:1/",
    "http://\u2024/",
    "http://127.0.0.1:1/\x1b[31m",
]
STATUSES = {0, 2, *Code}


@pytest.mark.parametrize("verb", ["get", "put"])
def test_random_words(verb, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    draw = random.Random(verb)
    for _ in range(120):
        words = draw.choices(WORDS, k=draw.randrange(1, 7))
        status = main([verb, *words, "-m", "5"])
        _, err = capfd.readouterr()
        assert status in STATUSES, words
        assert "Traceback" not in err, words
        assert status == 0 or "-s" in words or err or "--json" in words, words
