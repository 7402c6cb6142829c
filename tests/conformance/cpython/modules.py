"""Which of CPython's test modules are run, and which of their tests a world cannot pass."""

from __future__ import annotations

from fnmatch import fnmatchcase

__all__ = ["MODULES", "QUICK", "reason"]

MODULES = (
    "test_asynchat", "test_asyncio", "test_asyncore", "test_contextlib", "test_contextlib_async", "test_datetime",
    "test_docxmlrpc", "test_epoll", "test_fcntl", "test_file_eintr", "test_fileio", "test_fork1", "test_ftplib",
    "test_getpass", "test_http_cookiejar", "test_http_cookies", "test_httplib", "test_httpservers", "test_imaplib",
    "test_io", "test_logging", "test_multiprocessing_main_handling", "test_nntplib", "test_os", "test_platform",
    "test_poll", "test_popen", "test_poplib", "test_posix", "test_pty", "test_queue", "test_random", "test_resource",
    "test_robotparser", "test_sched", "test_select", "test_selectors", "test_signal", "test_smtpd", "test_smtplib",
    "test_socket", "test_socketserver", "test_ssl", "test_subprocess", "test_telnetlib", "test_tempfile",
    "test_thread", "test_threadedtempfile", "test_threading", "test_threading_local", "test_threadsignals",
    "test_time", "test_urllib", "test_urllib2", "test_urllib2_localnet", "test_urllib_response",
    "test_uuid", "test_wait3", "test_wait4", "test_wsgiref", "test_xmlrpc",
)  # fmt: skip

QUICK = (
    "test_epoll", "test_ftplib", "test_poll", "test_poplib", "test_queue", "test_select", "test_selectors",
    "test_socket", "test_ssl", "test_thread", "test_time",
)  # fmt: skip
"""Those of the bounded run."""

_PREEMPTION = "a program that computes or sends for ever without waiting is not preempted"
_TERMINAL = "programs have no terminals"
_INTERNALS = "looks at what the interpreter keeps for threads of the operating system; threads are greenlets"
_AT_END = "waits for what the interpreter does at its own end, which comes after that of the world"
_NUMBERS = "descriptors of a host count from 2^20 and are used once; they are not the lowest free numbers"
_OPTIONS = "a Python program begins in the interpreter that runs: options of the interpreter (-X, -E) come too late"
_STRESS = "sends signals to itself while it computes, which are handled at its next call"

_OUT_OF_REACH: dict[str, str] = {
    "test.test_asyncio.test_streams.StreamTests.test_drain_raises": _PREEMPTION,
    "test.test_threading.InterruptMainTests.test_can_interrupt_tight_loops": _PREEMPTION,
    "test.test_subprocess.*.test_call_timeout": _PREEMPTION,
    "test.test_subprocess.RunFuncTestCase.test_timeout": _PREEMPTION,
    "test.test_subprocess.POSIXProcessTestCase.test_close_fds": _NUMBERS,
    "test.test_subprocess.POSIXProcessTestCase.test_close_fds_when_max_fd_is_lowered": _NUMBERS,
    "test.test_subprocess.POSIXProcessTestCase.test_pass_fds": _NUMBERS,
    "test.test_subprocess.POSIXProcessTestCase.test_pass_fds_redirected": _NUMBERS,
    "test.test_os.*.test_closerange": _NUMBERS,
    "test.test_subprocess.RunFuncTestCase.test_encoding_warning": _OPTIONS,
    "test.test_io.*.test_check_encoding_*": _OPTIONS,
    "test.test_io.*.test_text_encoding": _OPTIONS,
    "test.test_asyncio.*.test_env_var_debug": _OPTIONS,
    "test.test_threading.ThreadTests.test_import_from_another_thread": _OPTIONS,
    "test.test_threading.ThreadTests.test_PyThreadState_SetAsyncExc": _INTERNALS,
    "test.test_threading.ThreadTests.test_foreign_thread": _INTERNALS,
    "test.test_threading.ThreadTests.test_ident_of_no_threading_threads": _INTERNALS,
    "test.test_threading.ThreadTests.test_shutdown_locks": _INTERNALS,
    "test.test_threading.ThreadTests.test_locals_at_exit": _AT_END,
    "test.test_threading.ThreadTests.test_main_thread_during_shutdown": _AT_END,
    "test.test_threading.AtexitTests.test_atexit_after_shutdown": _AT_END,
    "test.test_threading.SubinterpThreadingTests.*": "subinterpreters would not be on the host",
    "test.test_logging.ModuleLevelMiscTest.test_logging_at_shutdown*": _AT_END,
    "test.test_tempfile.TestTemporaryDirectory.test_*_on_shutdown*": _AT_END,
    "test.test_io.*.test_create_at_shutdown_*": _AT_END,
    "test.test_signal.StressTest.*": _STRESS,
    "test.test_signal.ItimerTest.test_itimer_prof": "computing takes no time",
    "test.test_signal.ItimerTest.test_itimer_virtual": "computing takes no time",
    "test.test_signal.RaiseSignalTest.test__thread_interrupt_main": _AT_END,
    "test.test_pty.*": _TERMINAL,
    "test.test_asyncio.*_pty": _TERMINAL,
    "test.test_asyncio.*_pty_output": _TERMINAL,
    "test.test_os.*.test_openpty": _TERMINAL,
    "test.test_os.FileTests.test_splice*": "splice(2) is not modelled; os.sendfile is",
    "test.test_posix.*.test_mkfifo*": "files are the machine's, and none of them is a pipe; os.pipe is modelled",
    "test.test_posix.*.test_mknod*": "files are the machine's, and none of them is a pipe; os.pipe is modelled",
    "test.test_posix.*.test_sched_*": "programs of a host are infinitely fast; there is nothing to schedule",
    "test.test_posix.*.test_get_and_set_scheduler_and_param": "there is nothing to schedule",
    "test.test_posix.TestPosixSpawn*.test_setscheduler_*": "there is nothing to schedule",
    "test.test_os.ProgramPriorityTests.*": "there is nothing to schedule",
    "test.test_socket.BasicVSOCKTest.*": "AF_VSOCK is not modelled",
}


def reason(test: str) -> str | None:
    """Return why a world cannot pass a test; None for one that it is to pass."""
    return next((why for pattern, why in _OUT_OF_REACH.items() if fnmatchcase(test, pattern)), None)
