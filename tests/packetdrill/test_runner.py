"""The player: that right scripts pass, that wrong ones fail at the right line with the right words."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from catenet.testing.packetdrill.runner import Result, run_script

LISTEN = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 30000 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale {wscale}>
+.1 < . 1:1(0) ack 1 win 250
+0 accept(3, ..., ...) = 4
""".strip()


def run(text: str, *, accepted: bool = True, **options: str) -> Result:
    head = "`./defaults.sh`\n" + (LISTEN.format(wscale=8) if accepted else "")
    return run_script(f"{head}\n{text}\n", "test", Path("/nowhere"), list(options.items()))


def line_of(result: Result) -> int:
    """Line within the text given to `run`."""
    return result.line - 9


def test_pass() -> None:
    result = run("+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1")
    assert (result.passed, result.line, result.message) == (True, 0, "")
    assert result.seconds == pytest.approx(0.1, abs=1e-4)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("> . 1:101(100) ack 1", "TCP PSH: expected not set"),
        ("> P. 2:102(100) ack 1", "TCP sequence number: expected 2, sent 1"),
        ("> P. 1:101(100) ack 2", "TCP ack: expected 2, sent 1"),
        ("> P. 1:101(100) ack 1 win 7", "TCP window: expected 7"),
        ("> P. 1:100(99) ack 1", "TCP payload size: expected 99, sent 100"),
        ("> P. 1:201(200) ack 1", "TCP payload size: expected 200, sent 100"),
        ("> P. 1:101(100) ack 1 <nop,nop,sackOK>", "TCP options: expected <nop,nop,sackOK>, sent <>"),
        ("> P. 1:101(100) ack 1 urg 5", "TCP urgent pointer: expected 5, sent 0"),
        ("> [ect0] P. 1:101(100) ack 1", "IP ECN: expected ect0, sent noecn"),
        ("> (ttl 5) P. 1:101(100) ack 1", "IP ttl: expected 5, sent 64"),
        ("> EP. 1:101(100) ack 1", "TCP ECE: expected set"),
        ("> P.3 1:101(100) ack 1", "TCP ACE: expected 3, sent 0"),
    ],
)
def test_difference_is_named(expected: str, message: str) -> None:
    result = run(f"+0 write(4, ..., 100) = 100\n+0 {expected}")
    assert not result.passed
    assert line_of(result) == 2
    assert message in result.message
    assert result.sent.startswith("P. 1:101(100) ack 1") or "1:100(99)" in expected


def test_too_late_and_too_early() -> None:
    result = run("+0 write(4, ..., 100) = 100\n+.02 > P. 1:101(100) ack 1")
    assert "expected at 0.1200" in result.message
    assert "happened at 0.1000" in result.message
    result = run("+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n+.05 > P. 1:101(100) ack 1")
    assert result.message == "packet came too late or not at all"
    assert "at 0.40" in result.sent


def test_tolerance_is_an_option() -> None:
    text = "+0 write(4, ..., 100) = 100\n+.02 > P. 1:101(100) ack 1"
    assert not run(text).passed
    assert run(text, tolerance_usecs="20100").passed


def test_tolerance_grows_with_the_time_since_the_last_event() -> None:
    assert run("+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n+.33 > P. 1:101(100) ack 1").passed
    assert not run("+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n+.25 > P. 1:101(100) ack 1").passed


def test_any_time_and_ranges() -> None:
    assert run("+0 write(4, ..., 9) = 9\n* > P. 1:10(9) ack 1\n* > P. 1:10(9) ack 1").passed
    assert run("+0 write(4, ..., 9) = 9\n+0 > P. 1:10(9) ack 1\n+.2~+.4 > P. 1:10(9) ack 1").passed


def test_nothing_sent() -> None:
    result = run("+0 > P. 1:101(100) ack 1")
    assert result.message == "nothing was sent"
    assert result.expected == "P. 1:101(100) ack 1"


def test_segments_in_a_row_count_as_one_and_the_other_way_round() -> None:
    assert run("+0 write(4, ..., 4000) = 4000\n+0 > P. 1:4001(4000) ack 1").passed
    text = "+0 write(4, ..., 4000) = 4000\n+0 > . 1:1001(1000) ack 1\n+0 > . 1001:3001(2000) ack 1"
    assert run(text + "\n+0 > P. 3001:4001(1000) ack 1").passed
    assert not run("+0 write(4, ..., 4000) = 4000\n+0 > P. 1:4001(4000) ack 1", strict_segments="1").passed


def test_sequence_numbers_are_relative_to_any_start() -> None:
    text = """0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 4294967290:4294967290(0) win 30000 <mss 1000,sackOK,nop,nop>
+0 > S. 77:77(0) ack 4294967291 <mss 1460,nop,nop,sackOK>
+.1 < . 1:1(0) ack 1 win 30000
+0 accept(3, ..., ...) = 4
+0 < . 101:201(100) ack 1 win 30000
+0 > . 1:1(0) ack 1 <nop,nop,sack 101:201>
+0 < . 1:101(100) ack 1 win 30000
+0 > . 1:1(0) ack 201
"""
    result = run(text, accepted=False)
    assert result.passed, result


def test_timestamps_are_mapped_and_compared_when_asked() -> None:
    text = """0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8>
+.1 < S. 0:0(0) ack 1 win 30000 <mss 1000,sackOK,TS val 7 ecr 1000,nop,wscale 7>
+0 > . 1:1(0) ack 1 <nop,nop,TS val {second} ecr 7>
"""
    assert run(text.format(second=1100), accepted=False, tcp_ts_tick_usecs="1000").passed
    result = run(text.format(second=1200), accepted=False, tcp_ts_tick_usecs="1000")
    assert "TCP timestamp: expected TS val 1200 ecr 7, sent TS val 1100 ecr 7" in result.message
    assert run(text.format(second=1200), accepted=False).passed


def test_echo_of_an_unknown_timestamp_is_the_scripts_fault() -> None:
    text = """0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8>
+.1 < S. 0:0(0) ack 1 win 30000 <mss 1000,sackOK,TS val 7 ecr 999,nop,wscale 7>
"""
    result = run(text, accepted=False)
    assert (result.passed, result.wrong) == (False, True)
    assert "echoes timestamp 999" in result.message
    assert run(text, accepted=False, tcp_ts_ecr_scaled="1").passed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("write(4, ..., 100) = 50", "write returned 100, expected 50"),
        ("read(9, ..., 100) = 50", "read returned -1 EBADF, expected 50"),
        ("read(9, ..., 100) = -1 EAGAIN (Resource)", "read returned -1 EBADF, expected -1 EAGAIN"),
        ("getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0", "getsockopt: value: expected 1, got 0"),
        ("poll([{fd=4, events=POLLOUT, revents=POLLIN}], 1, 0) = 1", "revents of 4: expected POLLIN, got POLLOUT"),
        ("ioctl(4, SIOCINQ, [5]) = 0", "ioctl: value: expected 5, got 0"),
        ("socket(..., SOCK_STREAM, 99) = 7", "socket returned -1 EPROTONOSUPPORT, expected 7"),
    ],
)
def test_calls_are_checked(call: str, message: str) -> None:
    result = run(f"+0 {call}")
    assert (result.passed, result.wrong, line_of(result)) == (False, False, 1)
    assert message in result.message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("frobnicate(4) = 0", "unknown system call"),
        ("read(4, ...) = 0", "takes 3"),
        ("setsockopt(4, SOL_TCP, TCP_BOGUS, [1], 4) = 0", "unknown constant TCP_BOGUS"),
        ("poll({fd=4}, 1, 0) = 0", "expected an array"),
    ],
)
def test_nonsense_calls(call: str, message: str) -> None:
    result = run(f"+0 {call}")
    assert not result.passed
    assert message in result.message


def test_blocking_call_ends_in_time_or_not() -> None:
    text = "+0...{end} read(4, ..., 100) = 10\n+.1 < P. 1:11(10) ack 1 win 250\n+0 > . 1:1(0) ack 11"
    assert run(text.format(end="0.1")).passed
    result = run(text.format(end="0.2"))
    assert "return of read expected at 0.3000" in result.message
    assert line_of(result) == 2 or line_of(result) == 1


def test_call_that_never_returns() -> None:
    assert "blocks for ever" in run("+0 read(4, ..., 100) = 10").message
    assert "still blocks" in run("+0...0.1 read(4, ..., 100) = 10").message


def test_undeclared_blocking_takes_its_time() -> None:
    text = "+0 setsockopt(4, SOL_SOCKET, SO_RCVTIMEO, {tv_sec=1, tv_usec=500000}, 16) = 0\n"
    text += "+0 read(4, ..., 100) = -1 EAGAIN (Resource temporarily unavailable)\n+0 write(4, ..., 10) = 10"
    result = run(text)
    assert result.passed, result
    assert result.seconds == pytest.approx(1.6, abs=1e-4)


def test_code_sees_values_and_keeps_its_own() -> None:
    assert run("+0 %{ a = tcpi_snd_mss }%\n+0 %{ assert a == 1000 and tcpi_state == TCP_ESTABLISHED }%").passed
    result = run("+0 %{\nassert tcpi_snd_mss == 5, tcpi_snd_mss\n}%")
    assert result.message == "assertion failed: assert tcpi_snd_mss == 5, tcpi_snd_mss (value: 1000)"
    assert "NameError in code" in run("+0 %{ bogus() }%").message
    assert "SyntaxError in code" in run("+0 %{ ( }%").message


ENDS = {
    "import sys; sys.exit()": "the code called sys.exit(None)",
    "import sys; sys.exit(0)": "the code called sys.exit(0)",
    "import sys; sys.exit('done')": "the code called sys.exit('done')",
    "exit(0)": "the code called sys.exit(0)",
    "raise SystemExit": "the code called sys.exit(None)",
    "raise KeyboardInterrupt": "KeyboardInterrupt in code",
    "raise GeneratorExit('gone')": "GeneratorExit in code: gone",
    "class Odd(BaseException): pass\nraise Odd('odd')": "Odd in code: odd",
    "import os; os._exit(0)": "the code ended its interpreter (exit status 0)",
    "import os; os._exit(7)": "the code ended its interpreter (exit status 7)",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": "the code ended its interpreter (SIGTERM)",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "the code ended its interpreter (SIGKILL)",
    "import os; os.execvp('true', ['true'])": "the code ended its interpreter (exit status 0)",
    "import os; os.execvp('sleep', ['sleep', '1000'])": "the code ended its interpreter (SIGKILL)",
    "import os; os.closerange(0, 1000)": "the code ended its interpreter",
    "import os, threading\nt = threading.Thread(target=os._exit, args=(0,)); t.start(); t.join()": "(exit status 0)",
}


@pytest.mark.parametrize("code", ENDS)
def test_no_end_of_a_block_passes_or_skips_the_rest(code: str) -> None:
    result = run("+0 %{\n" + code + "\n}%\n+0 write(4, ..., 100) = 99")
    assert not result.passed
    assert ENDS[code] in result.message
    assert line_of(result) == 1
    quiet = run("+0 %{ pass }%\n+.1 %{\n" + code + "\n}%")
    assert not quiet.passed
    assert line_of(quiet) == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import atexit; atexit.register(lambda: 1 / 0)", "ZeroDivisionError in the code: division by zero"),
        ("import atexit, os; atexit.register(os._exit, 0)", "the code ended its interpreter (exit status 0)"),
        (
            "import threading; threading.Thread(target=lambda: 1 / 0).start()",
            "ZeroDivisionError in a thread of the code",
        ),
        (
            "import os, threading; threading.Timer(0.01, os._exit, (0,)).start()",
            "ended its interpreter (exit status 0)",
        ),
    ],
)
def test_what_a_block_leaves_behind_fails_at_the_end(code: str, message: str) -> None:
    result = run("+0 %{ " + code + " }%\n+0 write(4, ..., 100) = 100")
    assert not result.passed
    assert message in result.message


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import os; os.close(0); os.close(1); os.close(2)",
        "import sys; sys.stdout = None",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "import os\nif os.fork() == 0: assert False",
        "import os; os.chdir('/'); os.environ['CATENET_BLOCK'] = '1'; os.umask(0o777)",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.alarm(1000)",
        "import sys, catenet.testing.packetdrill.runner as r; r.run_script = None; sys.setrecursionlimit(500)",
    ],
)
def test_a_block_cannot_touch_the_player(code: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = (os.getcwd(), signal.getsignal(signal.SIGINT), sys.getrecursionlimit(), os.environ.get("CATENET_BLOCK"))
    result = run("+0 %{\n" + code + "\n}%\n+0 write(4, ..., 100) = 99")
    assert result.message.startswith("write returned 100"), result
    assert line_of(result) == 3 + code.count("\n") + 1
    print("still here", flush=True)
    assert "still here" in capfd.readouterr().out
    assert before == (
        *(os.getcwd(), signal.getsignal(signal.SIGINT), sys.getrecursionlimit()),
        os.environ.get("CATENET_BLOCK"),
    )


def test_settings_of_commands_reach_the_stack() -> None:
    text = "`./defaults.sh\nsysctl -q net.ipv4.tcp_sack=0`\n" + LISTEN.format(wscale=8).replace(
        "<mss 1460,nop,nop,sackOK,nop,wscale 8>", "<mss 1460,nop,wscale 8>"
    )
    assert run_script(text, "test", Path("/nowhere")).passed


def test_unknown_settings_are_noted_wrong_values_refused() -> None:
    result = run("+0 `sysctl -q net.ipv4.tcp_bogus=1`\n+0 `frobnicate`")
    assert result.passed
    assert any("net.ipv4.tcp_bogus" in note for note in result.notes)
    assert any("frobnicate" in note for note in result.notes)
    result = run("+0 `sysctl -q net.ipv4.tcp_sack=maybe`")
    assert "not a value of this setting" in result.message
    assert line_of(result) == 1


def test_options_of_the_script_and_of_the_command_line() -> None:
    text = "--bogus=1\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3"
    result = run_script(text, "test", Path("/nowhere"))
    assert (result.wrong, result.line) == (True, 1)
    assert "unknown option --bogus" in result.message
    result = run_script("\n--mtuu=1\n0 close(3) = 0", "test", Path("/nowhere"))
    assert "did you mean --mtu?" in result.message
    result = run_script("--ip_version=ipv6\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3", "t", Path("/nowhere"))
    assert (result.passed, result.ip_version) == (True, "ipv6")
    assert run("+0 close(4) = 0\n+0 > F. 1:1(0) ack 1", local_ip="10.1.2.3", remote_ip="10.9.9.9").passed
    result = run("+0 close(4) = 0", local_ip="fe80::1")
    assert "is not an address of ipv4" in result.message


def test_other_conversations_are_none_of_the_scripts_business() -> None:
    text = """+0 < 5555 > 8080 . 1:1(0) ack 1 win 250
+0 write(4, ..., 100) = 100
+0 > P. 1:101(100) ack 1"""
    assert run(text).passed


def test_packets_from_other_ports() -> None:
    assert run("+0 < 5555 > 8081 . 1:1(0) ack 1 win 250\n+0 > 8081 > 5555 R 1:1(0)").passed


def test_same_script_same_result() -> None:
    text = "+0 write(4, ..., 9000) = 9000\n+0 > P. 1:9001(9000) ack 1\n+.05 > . 1:1(0) ack 1"
    assert run(text) == run(text)


@pytest.mark.parametrize("version", ["ipv4", "ipv6", "ipv4-mapped-ipv6"])
def test_all_versions(version: str) -> None:
    result = run("+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1", ip_version=version)
    assert (result.passed, result.ip_version) == (True, version), result


@pytest.mark.parametrize("wscale", [6, 7, 8, 10])
def test_script_without_settings_brings_the_window_scale_of_its_time(wscale: int) -> None:
    result = run_script(LISTEN.format(wscale=wscale), "test", Path("/nowhere"))
    assert result.passed, result.message
    assert bool(result.notes) == (wscale != 7)
    kept = run_script("`sysctl net.ipv4.tcp_rmem='4096 131072 6291456'`\n" + LISTEN.format(wscale=9), "test", Path("."))
    assert "expected wscale 9, sent wscale 7" in kept.message


@pytest.mark.parametrize(
    ("own", "chosen", "used"),
    [
        ("--remote_ip=10.9.8.7", "ipv6", "ipv4"),
        ("--remote_ip=10.9.8.7", "ipv4-mapped-ipv6", "ipv4-mapped-ipv6"),
        ("--local_ip=fd::7", "ipv4", "ipv6"),
        ("--ip_version=ipv6", "ipv4", "ipv6"),
    ],
)
def test_addresses_of_a_script_choose_the_version(own: str, chosen: str, used: str) -> None:
    text = f"{own}\n`./defaults.sh`\n{LISTEN.format(wscale=8)}"
    result = run_script(text, "test", Path("."), [("ip_version", chosen)])
    assert (result.passed, result.ip_version) == (True, used), result.message


@pytest.mark.parametrize(
    ("name", "chosen", "used"),
    [
        ("basic-v4.pkt", "ipv6", "ipv4"),
        ("basic_ipv6.pkt", "ipv4", "ipv6"),
        ("basic-v4.pkt", "ipv4-mapped-ipv6", "ipv4-mapped-ipv6"),
        ("basic-v5.pkt", "ipv6", "ipv6"),
    ],
)
def test_name_of_a_script_chooses_the_version(name: str, chosen: str, used: str) -> None:
    text = f"`./defaults.sh`\n{LISTEN.format(wscale=8)}"
    result = run_script(text, f"/x/{name}", Path("."), [("ip_version", chosen)])
    assert (result.passed, result.ip_version) == (True, used), result.message


@pytest.mark.parametrize("mss", [1440, 1460])
def test_mtu_of_ipv6_is_that_of_the_script(mss: int) -> None:
    text = "`./defaults.sh`\n" + LISTEN.format(wscale=8).replace("mss 1460", f"mss {mss}")
    assert run_script(text, "x", Path("."), [("ip_version", "ipv6")]).passed
    assert run_script(text, "x", Path("."), [("ip_version", "ipv4")]).passed == (mss == 1460)


def test_retransmitted_syn_of_an_earlier_socket_is_not_the_new_ones() -> None:
    result = run(
        """
        0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
        +0 connect(3, ..., ...) = -1 EINPROGRESS
        +0 > S 0:0(0) <...>
        +.999 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 4
        +.001 connect(4, ..., ...) = -1 EINPROGRESS
        +0 > S 0:0(0) <...>
        +.4 < S. 0:0(0) ack 1 win 10000 <mss 1000>
        +0 > . 1:1(0) ack 1
        +0 write(4, ..., 10) = 10
        +0 > P. 1:11(10) ack 1
        """,
        accepted=False,
    )
    assert result.passed, (result.line, result.message, result.expected, result.sent)


def test_changes_to_packets_are_refused_in_words() -> None:
    result = run("+0 < . 1:1(0) ack 1 win 250 {rep tcp win_size 0x1021}")
    assert result.wrong
    assert "for fuzzing) are not supported" in result.message
