import json
import re

import pytest
from tests.ntp.serving import serving

from catenet.cli import main

KEYS = "1 MD5 secret\n2 AES128 HEX:000102030405060708090a0b0c0d0e0f\n"


def test_the_time_is_served(tmp_path, capsys):
    (tmp_path / "keys").write_text(KEYS)
    words = ["--stratum", "2", "--refid", "192.0.2.1", "--keys", str(tmp_path / "keys"), "--workers", "2"]
    with serving(*words, listen=["ntp://127.0.0.1:0", "ntp://[::1]:0"]) as (urls, said):
        assert main(["ntp", "--json", "--timeout", "30s", *urls]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [one["verdict"] for one in found["servers"]] == ["truechimer"] * 2
        assert [one["stratum"] for one in found["servers"]] == [2] * 2
    assert "MD5 keys are refused without --md5: 1\n" in said[0]
    assert sum(int(number) for number in re.findall(r"(\d+) answered", "".join(said))) == 2, said


def test_a_clock_that_nobody_keeps_is_said_to_be_so(tmp_path, monkeypatch, capsys):
    from catenet.cli.serve import ntp
    from catenet.ntp.reference import UNKNOWN, Kernel

    monkeypatch.setattr(Kernel, "state", lambda self, now: UNKNOWN)
    assert main(["serve", "ntp", "--workers", "0"]) == 2
    assert "--stratum N says it is right" in capsys.readouterr().err
    assert ntp.run is not None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--stratum", "16"], "--stratum 16: 1 to 15"),
        (["--stratum", "1", "--refid", "GPSDO"], "--refid: 'GPSDO' is neither an IPv4 address nor"),
        (["--stratum", "1", "--rate", "-1"], "--rate -1: at least 0"),
        (["--stratum", "1", "--burst", "0"], "--burst 0: at least 1"),
        (["--stratum", "1", "--allow", "10.0"], "--allow: '10.0' is no network"),
        (["--stratum", "1", "--deny", "x"], "--deny: 'x' is no network"),
        (["--stratum", "1", "--md5"], "--md5 goes with --keys"),
        (["--stratum", "1", "--keys", "no.keys"], "--keys no.keys: no such file or directory"),
        (["--stratum", "1", "--listen", "nttp://127.0.0.1:0"], "no scheme 'nttp'; do you mean ntp?"),
        (["--stratum", "1", "--listen", "ntp://192.0.2.77:0"], "cannot bind to 192.0.2.77"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, complaint):
    assert main(["serve", "ntp", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("catenet: ") and complaint in err and err.count("\n") == 1
