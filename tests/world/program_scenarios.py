"""Programs that start programs, whose results on the real kernel and on a simulated host are compared.

Run as a program with `real` or `simulated`, it prints the results of all scenarios, by name. The paths of the
interpreter and of folders are the same in both.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

PYTHON = sys.executable


LINES = (
    "echo a b   c; echo 'x  y' \"z\"",
    "exit 7",
    "false || echo no; true && echo yes; ! true; echo $?",
    "echo one two | tr a-z A-Z | cat; echo $?",
    'X=5; echo $X ${X} ${#X} ${Y:-none} ${Y-none} "${X:+set}" $((X*2+1)) $((7/2)) $((-7/2)) $((X>3&&1))',
    "i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done",
    "if true; then echo t; else echo f; fi; if false; then echo t; elif true; then echo e; fi",
    "(cd /; pwd); pwd | wc -l",
    "{ echo a; echo b; } | wc -l",
    "echo err >&2; echo out",
    "ls /none 2>/dev/null; echo $?",
    "nosuchcommand; echo $?",
    "echo $(echo sub; echo s2) `echo bq`",
    'echo "a\\$b\\"c" \'a\\b\' a\\ b',
    "sleep 0.1 & wait; echo waited",
    "kill -9 $$",
    f"{PYTHON} -c 'import os; os.kill(os.getpid(), 9)'; echo $?",
    "exec echo replaced",
    "read a b; echo $b $a",
    'set -- a \'b c\' d; echo $# $2; for i; do echo $i; done; shift; echo "$@" "$*"',
    "echo 'unterminated",
    "echo a |",
    "; echo",
    "if true",
    f"export Q=1; {PYTHON} -c 'import os; print(os.environ[\"Q\"])'",
    f'Z=9 {PYTHON} -c \'import os; print(os.environ["Z"])\'; echo "[$Z]"',
    "echo -n x; echo 'a\\tb'",
    "cd /nowhere; echo $?",
    "F=a.b.c; echo ${F%.*} ${F%%.*} ${F#*.} ${F##*.}",
    'IFS=:; P=a:b::c; for i in $P; do echo "<$i>"; done',
    "echo > /no/such; echo $?",
    "cat < /no/such; echo $?",
    "true & echo bg; wait",
    "cat /dev/null | false; echo $?",
    "echo ${U?unset msg}; echo after",
    'echo "$HOME" | wc -w',
    "a='x   y'; echo $a \"$a\"",
    "# comment\necho after",
    "echo a#b; echo a \\\n b",
    "exec 2>/dev/null; ls /none; echo done",
    "X=$(exit 4); echo $?; X=$(exit 5) true; echo $?",
    "for i in 1 2; do for j in a b; do echo $i$j; break 2; done; done",
    "(echo a",
    "while true; do break; done; echo $?",
    "echo \"a b\"'c d'e",
    "for i in a b; do echo $i; done > /dev/null; echo q",
    "echo $(echo $(echo deep))",
    "echo a; ;",
    "echo `echo \\`echo x\\``",
    "X=1 Y=2; echo $X$Y",
    "echo $0 $1",
    "echo a >&9",
    "printf '%s-' a b; echo",
    "sh -c 'echo inner $0 $1' n1 n2",
    "echo 'echo from input' | sh",
    "echo x | while read l; do echo got $l; done",
    "if [ -d /etc ]; then echo dir; fi",
    "true && false || echo z",
    "sleep 0.05; sleep 0.05; echo ok",
    "exit",
    "kill -TERM $$; echo not",
    "echo ${10} ${#} $-x",
    "until true; do echo x; done; echo $?",
    "break; echo ok",
    "(exit 3); echo $?",
    "echo $((1/0)); echo no",
    "echo [x] \"*\" '?'",
    "false; echo $?; (false; true); echo $?",
)
"""Command lines for a shell."""


def shown(done: subprocess.CompletedProcess[Any]) -> list[Any]:
    """What a program has written, and how it has ended."""
    return [done.returncode, _text(done.stdout), _text(done.stderr)]


def _text(data: Any) -> Any:
    return data.decode() if isinstance(data, bytes) else data


def run(*words: str, **options: Any) -> list[Any]:
    """Run a program with its output caught."""
    return shown(subprocess.run(words, capture_output=True, check=False, **options))


def failure(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The error that a call raises."""
    try:
        return call(*args, **kwargs)
    except (OSError, subprocess.SubprocessError) as error:
        return [type(error).__name__, str(error)]


def arguments_and_environment() -> Any:
    code = "import os, sys; print(sys.argv, sys.orig_argv, os.environ.get('NAME'), __name__, os.getcwd())"
    return [
        run(PYTHON, "-c", code, "a", "b c", env={"NAME": "value"}, cwd="/"),
        run(PYTHON, "-u", "-Wignore", "-X", "utf8", "-c", code, cwd="/"),
        run(PYTHON, "-", "x", input=code.encode(), cwd="/"),
        run(PYTHON, input=code, text=True, cwd="/"),
        run(PYTHON, "-Bc", "print(1)"),
        run(PYTHON, "-V"),
    ]


def scripts_and_modules() -> Any:
    with tempfile.TemporaryDirectory(prefix="catenet") as folder:
        Path(folder, "helper.py").write_text("NAME = 'helper of ' + __name__\n")
        Path(folder, "script.py").write_text("import helper, sys\nprint(helper.NAME, sys.argv[1:])\n")
        Path(folder, "tool").write_text(
            f"#!{PYTHON} -B\nimport sys\nprint('tool', sys.argv[1:], sys.orig_argv[1])\nsys.exit(4)\n"
        )
        Path(folder, "tool").chmod(0o755)
        Path(folder, "other").write_text("#!/usr/bin/env nothing-of-this-name\n")
        return [
            run(PYTHON, "script.py", "1", cwd=folder),
            run(PYTHON, os.path.join(folder, "script.py")),
            run(PYTHON, "-m", "helper", cwd=folder),
            run(os.path.join(folder, "tool"), "x"),
            run("tool", "y", env={"PATH": folder}),
            failure(run, os.path.join(folder, "script.py"))[0],
            failure(run, folder)[0],
            run(PYTHON, "-m", "json.tool", input=b"[1]"),
        ]


def ends() -> Any:
    codes = ["pass", "import sys; sys.exit(7)", "import sys; sys.exit('text')", "import os; os._exit(9)", "1 / 0"]
    found = [run(PYTHON, "-c", code) for code in codes]
    found.append(run(PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"))
    found.append(run(PYTHON, "-c", "import atexit; atexit.register(print, 'at exit'); print('first')"))
    return [[each[0], each[1], each[2].rpartition("\n  ")[2][-60:]] for each in found]


def failures() -> Any:
    return [
        failure(subprocess.run, ["no-such-program-at-all"]),
        failure(subprocess.run, ["/no/such/program"]),
        failure(subprocess.run, [PYTHON], cwd="/no/such/folder"),
        failure(subprocess.run, [PYTHON, "-c", "raise SystemExit(3)"], check=True),
        failure(subprocess.run, [PYTHON, "-c", "pass"], preexec_fn=lambda: 1 / 0),
        failure(subprocess.check_output, [PYTHON, "-c", "import time; time.sleep(100)"], timeout=0.5)[0],
    ]


def streams() -> Any:
    both = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    found: list[Any] = [shown(subprocess.run([PYTHON, "-c", both], stdout=-1, stderr=subprocess.STDOUT, check=False))]
    found.append(shown(subprocess.run([PYTHON, "-c", both], stdout=-1, stderr=subprocess.DEVNULL, check=False)))
    with tempfile.TemporaryFile() as file:
        subprocess.run([PYTHON, "-c", both], stdout=file, stderr=file, check=True)
        file.seek(0)
        found.append(file.read().decode())
        file.seek(0)
        reads = "import sys; print(sys.stdin.read().upper())"
        found.append(shown(subprocess.run([PYTHON, "-c", reads], stdin=file, stdout=-1, check=False)))
    large = "import sys; sys.stdout.write('x' * 300_000); sys.stderr.write('y' * 300_000)"
    found.append([len(each) for each in run(PYTHON, "-c", large)[1:]])
    copy = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
    found.append(len(run(PYTHON, "-c", copy, input=bytes(400_000))[1]))
    by_number = "import os; os.write(1, os.read(0, 5)); print(os.fstat(1).st_mode >> 12)"
    found.append(run(PYTHON, "-c", by_number, input=b"12345678"))
    return found


def conversation() -> Any:
    code = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)"
    with subprocess.Popen([PYTHON, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        answers = []
        for word in ("abc", "xyz"):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            answers.append(process.stdout.readline())
        process.stdin.close()
        answers.append(process.stdout.read())
    return answers, process.returncode


def pipeline() -> Any:
    first = subprocess.Popen([PYTHON, "-c", "for n in range(1000): print(n)"], stdout=subprocess.PIPE)
    adds = "print(sum(int(input()) for _ in range(1000)))"
    second = subprocess.Popen([PYTHON, "-c", adds], stdin=first.stdout, stdout=-1)
    assert first.stdout is not None
    first.stdout.close()
    out, _ = second.communicate()
    return out.decode(), first.wait(), second.returncode


def stopped() -> Any:
    found = []
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        code = "import time; print('ready', flush=True); time.sleep(100)"
        with subprocess.Popen([PYTHON, "-c", code], stdout=-1, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            process.stdout.readline()
            found.append(process.poll())
            process.send_signal(number)
            found.append(process.wait())
    handled = """
import signal, time, sys
signal.signal(15, lambda *a: sys.exit(5))
print('ready', flush=True)
time.sleep(100)
"""
    with subprocess.Popen([PYTHON, "-c", handled], stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            process.terminate()
        found.append(process.wait())
    return found


def nested() -> Any:
    code = """
import subprocess, sys
inner = [sys.executable, "-c", "print(input() + '!')"]
print(subprocess.run(inner, input="deep", text=True, capture_output=True).stdout)
"""
    return run(PYTHON, "-c", code)


def passed() -> Any:
    reader, writer = os.pipe()
    code = f"import os; os.write({writer}, b'by a passed pipe')"
    done = run(PYTHON, "-c", code, pass_fds=[writer])
    os.close(writer)
    other = run(PYTHON, "-c", f"import os\ntry: os.fstat({reader})\nexcept OSError as error: print(error.errno)")
    return done, os.read(reader, 100).decode(), os.read(reader, 100).decode(), other


def inherited() -> Any:
    """What a program inherits that starts with `close_fds=False`: what is not closed on execve(2)."""
    reader, writer = os.pipe()
    listener = socket.create_server(("127.0.0.1", 0))
    copy = listener.dup()
    other = fcntl.fcntl(writer, fcntl.F_DUPFD, 0)
    found: list[Any] = [os.get_inheritable(each) for each in (reader, writer, other)]
    found += [fcntl.fcntl(each, fcntl.F_GETFD) for each in (writer, other)]
    listener.set_inheritable(True)
    fcntl.fcntl(writer, fcntl.F_SETFD, 0)
    numbers = [reader, writer, other, listener.fileno(), copy.fileno()]
    found.append([os.get_inheritable(each) for each in numbers] + [listener.get_inheritable(), copy.get_inheritable()])
    code = f"""
import os, socket, subprocess, sys
for number in {numbers}:
    try:
        os.fstat(number)
        print(os.get_inheritable(number))
    except OSError as error:
        print(error.errno)
    if len(sys.argv) > 2 and number == {writer}:
        os.write(number, b"written by its number")
if len(sys.argv) > 2:
    print(socket.fromfd({listener.fileno()}, socket.AF_INET, socket.SOCK_STREAM).getsockname()[0])
    os.set_inheritable({writer}, False)
    print(subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[1]], close_fds=False, stdout=-1).stdout)
"""
    found += [run(PYTHON, "-c", code), run(PYTHON, "-c", code, code, "again", close_fds=False)]
    found.append(os.read(reader, 100).decode())
    os.set_inheritable(writer, False)
    found.append(run(PYTHON, "-c", code, close_fds=False))
    for number in (reader, writer, other):
        os.close(number)
    listener.close()
    copy.close()
    return [*found, failure(os.get_inheritable, writer), failure(listener.get_inheritable)]


def duplicated_to_numbers() -> Any:
    """dup2(2) to numbers above 2, of sockets, pipes, files and standard streams."""
    one, other = socket.socketpair()
    reader, writer = os.pipe()
    found: list[Any] = [os.dup2(one.fileno(), 77), os.dup2(writer, 78), os.dup2(writer, 79, inheritable=False)]
    found.append([os.get_inheritable(number) for number in (77, 78, 79)])
    other.sendall(b"through 77")
    with socket.socket(fileno=os.dup(77)) as copy:
        found.append(copy.recv(100).decode())
    with socket.socket(fileno=77) as copy:
        found += [copy.fileno(), copy.family.name, select.select([77], [77], [], 0)[1]]
        copy.sendall(b"by 77")
    found += [other.recv(100).decode(), failure(os.fstat, 77)[1], os.write(78, b"x"), os.read(reader, 10).decode()]
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 80)
        os.write(80, b"to a file")
        os.lseek(80, 3, os.SEEK_SET)
        found += [os.read(80, 100).decode(), os.fstat(80).st_size, fcntl.fcntl(80, fcntl.F_GETFL) & os.O_ACCMODE]
        os.close(80)
        found.append(os.fstat(file.fileno()).st_size)
    os.dup2(78, 80)  # a pipe again
    os.dup2(one.fileno(), 80)  # replaced
    os.write(80, b"by 80")
    found.append(other.recv(100).decode())
    code = """
import os
for number in (77, 78, 79, 80):
    try:
        print(os.fstat(number).st_mode >> 12)
    except OSError:
        print("-")
"""
    found += [run(PYTHON, "-c", code), run(PYTHON, "-c", code, close_fds=False), run(PYTHON, "-c", code, pass_fds=[79])]
    found += [failure(os.dup2, 90, 91)[1], failure(os.dup2, 78, -1)[1], os.dup2(78, 78)]
    saved = os.dup(1)
    os.dup2(writer, 1)
    os.write(1, b"caught")
    os.dup2(saved, 1)
    os.close(saved)
    found += [os.read(reader, 100).decode(), failure(os.fstat, saved)[1]]
    for number in (78, 79, 80, reader, writer):
        os.close(number)
    one.close(), other.close()
    return found


def socket_activation() -> Any:
    """A program finds its sockets from number 3 on, as systemd hands them over."""
    listener = socket.create_server(("127.0.0.1", 0))
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    code = """
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid())
found = [socket.socket(fileno=3 + number) for number in range(int(os.environ["LISTEN_FDS"]))]
print([(each.family.name, each.type.name, each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) for each in found])
with found[0].accept()[0] as connection:
    connection.sendall(connection.recv(100).upper())
"""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(into, 1)
        for place, each in enumerate((listener, datagrams)):
            os.dup2(each.fileno(), 60 + place)
        for place in range(2):
            os.dup2(60 + place, 3 + place)
        environment = {**os.environ, "LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}
        os.execve(PYTHON, [PYTHON, "-c", code], environment)
    os.close(into)
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"activated")
        answer = client.recv(100).decode()
    listener.close(), datagrams.close()
    with os.fdopen(out) as lines:
        return answer, lines.read(), os.waitpid(pid, 0)[1]


def sessions() -> Any:
    code = "import os; print(os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid())"
    return run(PYTHON, "-c", code), run(PYTHON, "-c", code, start_new_session=True)


def fresh_state() -> Any:
    """The program has the interpreter's own state, not that of the one that has started it."""
    import logging

    logging.basicConfig(level=logging.DEBUG, format="of the parent %(message)s")
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    code = """
import logging, signal, threading, multiprocessing, asyncio
logging.getLogger("x").debug("not shown")
logging.getLogger("x").warning("shown")
print(signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL, threading.active_count(), threading.current_thread().name)
print(multiprocessing.current_process().name, len(logging.root.handlers))
async def main(): return 5
print(asyncio.run(main()))
"""

    async def start() -> Any:
        return run(PYTHON, "-c", code)

    return asyncio.run(start())


def fresh_libraries() -> Any:
    """A program loads libraries anew, as far as that can be done, and those work that stay."""
    import h11
    import jinja2

    h11.marked = jinja2.marked = True  # type: ignore[attr-defined]
    code = """
import h11, jinja2, markupsafe, os
print(hasattr(h11, "marked"), hasattr(jinja2, "marked"), h11.Connection(h11.CLIENT).states[h11.CLIENT] is h11.IDLE)
print(jinja2.Template("{{ name }}", autoescape=True).render(name=markupsafe.Markup("<b>") + "&"))
"""
    return run(PYTHON, "-c", code), run(PYTHON, "-c", f"import subprocess, h11\nh11.marked = 1\n{code}")


async def talk() -> Any:
    """Subprocesses of asyncio."""
    code = "import sys\nfor line in sys.stdin: print(line.strip() + '!', flush=True)\nsys.exit(6)"
    process = await asyncio.create_subprocess_exec(PYTHON, "-c", code, stdin=-1, stdout=-1)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"one\n")
    first = await process.stdout.readline()
    out, _ = await process.communicate(b"two\n")
    sleeping = await asyncio.create_subprocess_exec(PYTHON, "-c", "import time; time.sleep(100)")
    sleeping.terminate()
    several = await asyncio.gather(*[echo(number) for number in range(3)])
    return first.decode(), out.decode(), process.returncode, await sleeping.wait(), several


async def echo(number: int) -> Any:
    process = await asyncio.create_subprocess_exec(PYTHON, "-c", f"print({number})", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode()


def of_asyncio() -> Any:
    return asyncio.run(talk())


def other_programs() -> Any:
    return [
        run("echo", "a", "b"),
        run("tr", "a-z", "A-Z", input=b"upper\n"),
        run("sh", "-c", "printenv NAME", env={**os.environ, "NAME": "value"}),
        run("false"),
        run("ls", "/no/such/folder", env={**os.environ, "LC_ALL": "C"}),
        shown(subprocess.run("date +%A%A", shell=True, stdout=-1, check=False))[0],
        run("pwd", cwd="/"),
        run("sleep", "0.1"),
        subprocess.getoutput("uname -s"),
        run("uname", "-m"),
        [os.system("true"), os.system("false"), os.system(f"{PYTHON} -c 'import sys; sys.exit(7)'")],
        os.popen("echo by popen").read(),
    ]


def own_network() -> Any:
    """Programs of a host talk to each other by its sockets."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    code = f"""
import socket
with socket.create_connection(("localhost", {listener.getsockname()[1]})) as client:
    client.sendall(b"from a program")
    print(client.recv(100).decode())
"""
    with subprocess.Popen([PYTHON, "-c", code], stdout=-1, text=True) as process:
        connection, _ = listener.accept()
        with connection:
            data = connection.recv(100).decode()
            connection.sendall(b"answered")
        assert process.stdout is not None
        return data, process.stdout.read(), process.wait()


def environment_of_c() -> Any:
    """`os.putenv` changes what programs inherit, and not `os.environ`."""
    code = "import os; print([os.environ.get(name) for name in ('ONE', 'TWO', 'THREE')])"
    os.putenv("ONE", "1")
    os.environ["TWO"] = "2"
    os.environ["THREE"] = "3"
    os.unsetenv("THREE")
    seen: list[Any] = [run(PYTHON, "-c", code), os.environ.get("ONE"), os.environ["THREE"]]
    seen.append(os.spawnv(os.P_WAIT, PYTHON, [PYTHON, "-c", "import os; raise SystemExit('ONE' in os.environ)"]))
    for name in ("", "a=b", "a\0b", 5):
        seen += [wrong(os.putenv, name, "x"), wrong(os.unsetenv, name)]
    return [*seen, wrong(os.putenv, "name", "a\0b")]


def joining_the_main_thread() -> Any:
    """Threads may wait for the end of the main one, and in a child of fork(2) for those that are not there."""
    head = (
        "import os, threading, time\ndef wait(thread):\n    thread.join(); print('end of thread', thread.is_alive())\n"
    )
    body = """
def fork():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    thread = threading.Thread(target=wait, args=(main,))
    thread.start(), thread.join()
    os._exit(0)
main = threading.current_thread()
try:
    main.join()
except RuntimeError as error:
    print(error, type(main).__name__, main is threading.main_thread(), main.name, main.daemon)
"""
    start = "threading.Thread(target=%s).start()\nprint('end of main', flush=True)"
    return [
        run(PYTHON, "-uc", head + body + start % "wait, args=(main,)"),
        run(PYTHON, "-uc", head + body + "thread = threading.Thread(target=fork)\nthread.start(), thread.join()"),
    ]


def buffers_of_pipes() -> Any:
    """`bufsize` is the size of the buffer; lines are no matter of bytes. The interpreter says how it is called."""
    import warnings

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with subprocess.Popen(["cat"], stdin=-1, stdout=-1, bufsize=1) as process:
            first = process.communicate(b"line\n")
    with subprocess.Popen(["cat"], stdin=-1, stdout=-1, bufsize=200_000) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(bytes(150_000))
        ready = select.select([process.stdout], [], [], 0)[0]
        process.stdin.close()
        read = len(process.stdout.read())
    usage = run(PYTHON, "-h")[1].partition("python")[0]
    return [str(each.message) for each in told], first[0].decode(), ready, read, usage


def handlers_of_fork() -> Any:
    """`os.register_at_fork`: handlers that make system calls, in processes of each depth."""
    code = """
import os
r, w = os.pipe()
os.register_at_fork(before=lambda: os.write(w, b"A"), after_in_child=lambda: os.write(w, b"E"))
os.register_at_fork(before=lambda: os.write(w, b"B"), after_in_parent=lambda: os.write(w, b"D"))
for depth in range(2):
    pid = os.fork()
    if pid:
        status = os.waitpid(pid, 0)[1]
        if depth:
            os._exit(os.waitstatus_to_exitcode(status))
        break
else:
    os._exit(5)
os.close(w)
print(os.waitstatus_to_exitcode(status), sorted(os.read(r, 100)))
for wrong in (dict(before=2), dict(after_in_child=None), dict(after_in_child="x"), {}):
    try:
        os.register_at_fork(**wrong)
    except TypeError as error:
        print(error)
"""
    return run(PYTHON, "-c", code)


def streams_by_name() -> Any:
    """`/dev/stdin` and its like, which are the process's own."""
    code = """
import os
with open("/dev/stdin") as lines, open("/dev/fd/2", "w") as err, open("/dev/stdout", "wb", 0) as out:
    out.write(lines.readline().encode())
    print("error", file=err)
descriptor = os.open("/proc/self/fd/0", os.O_RDONLY)
print(os.read(descriptor, 10), os.read(descriptor, 10), flush=True)
reader, writer = os.pipe()
with open(f"/dev/fd/{writer}", "w") as file:
    file.write("by number")
print(os.read(reader, 100))
for name in ("/dev/fd/99999", f"/dev/fd/{writer + 1000}"):
    try:
        open(name)
    except OSError as error:
        print(type(error).__name__)
"""
    caught = subprocess.run([PYTHON, "-c", code], input=b"a line\n", capture_output=True, check=False)
    return [shown(caught), run("/bin/sh", "-c", "echo to the error stream > /dev/stderr; echo a | cat /dev/stdin")]


def names_and_modes() -> Any:
    """What programs are told of a poll object's type, and of a descriptor that signals may not be written to."""
    code = """
import os, select, signal
kind = type(select.poll())
try:
    kind()
except TypeError as error:
    print(error, kind.__module__, kind.__name__)
reader, writer = os.pipe()
try:
    signal.set_wakeup_fd(writer)
except ValueError as error:
    print(str(error).replace(str(writer), "number"))
os.set_blocking(writer, False)
print(signal.set_wakeup_fd(writer), signal.set_wakeup_fd(-1) == writer)
"""
    return run(PYTHON, "-c", code)


def dispositions_of_other_programs() -> Any:
    """Signals that a program ignores, its children ignore; Python puts SIGPIPE back for them, if asked to."""
    code = """
import signal, subprocess
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
for restore in (True, False):
    text = subprocess.check_output(["grep", "SigIgn", "/proc/self/status"], text=True, restore_signals=restore)
    ignored = int(text.split()[1], 16)
    print([number.name for number in (signal.SIGPIPE, signal.SIGUSR1, signal.SIGINT) if ignored >> number - 1 & 1])
"""
    return run(PYTHON, "-c", code)


def wrong_arguments() -> Any:
    """What is refused before a program begins."""
    words, no = [PYTHON, "-c", "pass"], {"NAME": "a\0b"}
    seen = [wrong(os.execve, PYTHON, words, env) for env in (no, {"A\0": "x"}, {"A=B": "x"}, 5)]
    seen += [wrong(os.execv, PYTHON, [PYTHON, "a\0b"]), wrong(os.execv, "a\0b", words), wrong(os.execv, PYTHON, [])]
    seen.append(wrong(subprocess.run, words, env=no))
    ids: list[dict[str, Any]] = [{"user": 2**64}, {"group": 2**64}, {"extra_groups": [2**64]}, {"user": -1}]
    seen += [wrong(subprocess.run, words, **each) for each in ids]
    file = PYTHON + "\0", os.O_RDONLY, 0
    actions: list[Any] = [
        None, (), (None,), (12345,), (os.POSIX_SPAWN_CLOSE,), (os.POSIX_SPAWN_CLOSE, 1, 2),
        (os.POSIX_SPAWN_CLOSE, None), (os.POSIX_SPAWN_OPEN, 3, *file),
    ]  # fmt: skip
    for spawn in (os.posix_spawn, os.posix_spawnp):
        seen += [wrong(spawn, PYTHON, words, {}, file_actions=[action]) for action in actions]
        seen.append(wrong(spawn, PYTHON, words, {}, setpgroup="023"))
        for each in ("setsigmask", "setsigdef"):
            seen += [wrong(spawn, PYTHON, words, {}, **{each: value}) for value in (34, ["j"], [signal.NSIG])]
    return seen


def wrong(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The kind of error that a call raises."""
    try:
        call(*args, **kwargs)
    except (OSError, ValueError, TypeError, OverflowError) as error:
        return [type(error).__name__, getattr(error, "errno", None)]
    return "no error"


def command_lines() -> Any:
    """What needs a shell: the machine's is dash, the host's is ours."""
    seen: list[Any] = [run("/bin/sh", "-c", line, input=b"in put line\n", cwd="/tmp") for line in LINES]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "script").write_text('cd "$1"; for name in *; do echo "$name"; done > ../list; cat ../list')
        Path(folder, "sub").mkdir()
        for name in ("b c", "a"):
            Path(folder, "sub", name).touch()
        seen += [run("sh", "script", "sub", cwd=folder), run("sh", "-c", "echo ~ *; umask 022; umask", cwd=folder,
                 env={"HOME": "/home", "PATH": os.environ["PATH"]})]  # fmt: skip
    seen += [os.system("exit 3") >> 8, subprocess.getstatusoutput("echo a; exit 4"), os.popen("echo b | cat").read()]
    return seen


def closed_streams() -> Any:
    """Standard streams that a program has closed; what is opened next has the lowest number, as daemons count on."""
    code = """
import errno, os, sys
seen = []
for call in (os.fstat, os.close, os.dup, lambda number: os.read(number, 1), lambda number: os.dup2(number, 9)):
    try:
        call(0)
    except OSError as error:
        seen.append(errno.errorcode[error.errno])
os.write(1, repr(seen).encode())
print(os.open(os.devnull, os.O_RDWR), os.dup2(0, 2), os.fstat(0).st_rdev == os.stat(os.devnull).st_rdev, flush=True)
os.close(1)
try:
    print("x", flush=True)
except OSError as error:
    os._exit(error.errno)
"""
    found = [run(PYTHON, "-c", "import os; os.close(0)\n" + code)]
    pid = os.posix_spawn(PYTHON, [PYTHON, "-c", "import os\nos.fstat(0)"], {}, file_actions=[
        (os.POSIX_SPAWN_CLOSE, 0), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
    ])  # fmt: skip
    found.append([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])])
    first, second = os.open(__file__, os.O_RDONLY), os.open(__file__, os.O_RDONLY)
    found.append([os.dup2(first, second) == second, os.get_inheritable(second), os.get_inheritable(first)])
    return found


def no_descriptors() -> Any:
    """A program that is not Python has its standard streams and no more."""
    done = run("ls", "/proc/self/fd")
    return done[0], done[1].split()[:3], len(done[1].split())


HELPERS = (shown, run, failure, wrong, talk, echo, _text)
SCENARIOS = [
    each
    for each in list(globals().values())
    if callable(each) and getattr(each, "__module__", "") == __name__ and each not in HELPERS
]


def run_simulated(scenario: Callable[[], Any]) -> Any:
    """The result on a host of a world."""
    from catenet.world import World

    found: list[Any] = []
    with World(quiet=0) as world:
        host = world.host("a")
        host.owns_process = True
        host.run(lambda: found.append(scenario()))
        world.run()
    return json.loads(json.dumps(found[0]))


def results(where: str) -> dict[str, Any]:
    """The results of all scenarios."""
    if where == "simulated":
        return {each.__name__: run_simulated(each) for each in SCENARIOS}
    return {each.__name__: json.loads(json.dumps(each())) for each in SCENARIOS}


if __name__ == "__main__":
    print(json.dumps(results(sys.argv[1])))
