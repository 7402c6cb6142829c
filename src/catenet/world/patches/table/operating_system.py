"""The operating system: files, processes, clocks, signals, threads, the interpreter itself."""

from __future__ import annotations

from typing import Final

from catenet.world.patches.table.row import (
    ANOTHER_HOST,
    EXCHANGED,
    FILES,
    HARMLESS,
    HOST_FILES,
    IN_PLACE,
    MACHINE,
    NO_PRIORITY,
    NO_TERMINAL,
    OWN_PROCESS,
    REFUSED,
    REPLACED,
    SHARED,
    USERS,
    Row,
)

__all__ = ["ROWS"]

ROWS: Final = (
    Row(
        "os",
        REPLACED,
        "simulated descriptors and the standard streams",
        """close closerange dup fstat fsync get_blocking get_inheritable isatty lseek pipe pipe2 read readv
        sendfile set_blocking set_inheritable write writev""",
    ),
    Row("os", REPLACED, HOST_FILES, "open"),
    Row(
        "os",
        REPLACED,
        "processes of the host",
        """abort getpgid getpgrp getpid getppid getsid kill killpg pidfd_open setpgid setpgrp setsid sched_yield
        wait wait3 wait4 waitid waitpid""",
    ),
    Row(
        "os",
        REPLACED,
        'a child on a host with `isolation = "process"`; refused where hosts share a process',
        "fork system",
    ),
    Row(
        "os",
        REPLACED,
        "users and groups of the process",
        """getegid geteuid getgid getgroups getresgid getresuid getuid initgroups setegid seteuid setgid setgroups
        setregid setresgid setresuid setreuid setuid""",
    ),
    Row(
        "os",
        REPLACED,
        "directory, file mode mask and environment of the process",
        "chdir fchdir putenv umask unsetenv",
    ),
    Row("os", REPLACED, "the host's name, clock and entropy", "getrandom times uname urandom"),
    Row("os", REPLACED, "a process has no terminal", "tcgetpgrp tcsetpgrp ttyname"),
    Row("os", EXCHANGED, "the process's own", "environ environb getcwd getcwdb"),
    Row(
        "os",
        REFUSED,
        OWN_PROCESS,
        """execl execle execlp execlpe execvp execvpe popen spawnl spawnle spawnlp spawnlpe spawnv spawnve
        spawnvp spawnvpe""",
    ),
    Row("os", REPLACED, OWN_PROCESS, "execv execve posix_spawn posix_spawnp"),
    Row("os", REFUSED, NO_TERMINAL, "forkpty"),
    Row("os", HARMLESS, "`open` by number", "fdopen"),
    Row("os", REPLACED, "simulated descriptors", "eventfd eventfd_read eventfd_write"),
    Row(
        "os",
        REPLACED,
        "to the standard streams, and among simulated descriptors alone on a host that shares its process",
        "dup2",
    ),
    Row("os", REFUSED, "use os.sendfile, or os.read and os.write", "splice"),
    Row(
        "os",
        REFUSED,
        "use threading.Timer or an event loop's call_later",
        """timerfd_create>=3.13 timerfd_gettime>=3.13 timerfd_gettime_ns>=3.13 timerfd_settime>=3.13
        timerfd_settime_ns>=3.13""",
    ),
    Row("os", REFUSED, "use os.pipe or a socket of the family AF_UNIX", "mkfifo mknod"),
    Row("os", REFUSED, NO_TERMINAL, "grantpt>=3.13 login_tty openpty posix_openpt>=3.13 ptsname>=3.13 unlockpt>=3.13"),
    Row("os", REFUSED, ANOTHER_HOST, "chroot setns>=3.12 unshare>=3.12"),
    Row("os", REFUSED, NO_PRIORITY, "nice sched_setaffinity sched_setparam sched_setscheduler setpriority"),
    Row(
        "os",
        SHARED,
        FILES,
        """access chmod chown copy_file_range device_encoding fchmod fchown fdatasync fpathconf fstatvfs ftruncate
        fwalk get_terminal_size getxattr lchown link listxattr lockf makedirs memfd_create pathconf
        posix_fadvise posix_fallocate pread preadv pwrite pwritev remove removedirs
        removexattr rename renames replace rmdir setxattr statvfs symlink sync unlink walk""",
    ),
    Row(
        "os",
        SHARED,
        MACHINE,
        """confstr ctermid getgrouplist getlogin getpriority sched_get_priority_max sched_get_priority_min
        sched_getparam sched_getscheduler sched_rr_get_interval""",
    ),
    Row("os", REPLACED, "times of files are the world's", "lstat mkdir stat truncate utime"),
    Row("os", IN_PLACE, "times of files are the world's", "DirEntry"),
    Row("os", REPLACED, "files are the machine's, listed in the order of their names", "listdir scandir"),
    Row("os", REPLACED, "files are the machine's, but for those below /proc", "readlink"),
    Row(
        "os",
        REPLACED,
        "every host has four processors and no load",
        "cpu_count getloadavg process_cpu_count>=3.13 sched_getaffinity sysconf",
    ),
    Row("os", REPLACED, "handlers stay with the interpreter, and run in children too", "register_at_fork"),
    Row(
        "os",
        HARMLESS,
        "",
        """PathLike WCOREDUMP WEXITSTATUS WIFCONTINUED WIFEXITED WIFSIGNALED WIFSTOPPED WSTOPSIG WTERMSIG
        confstr_names fsdecode fsencode fspath get_exec_path getenv getenvb major makedev minor pathconf_names
        sched_param stat_result statvfs_result strerror supports_dir_fd supports_effective_ids supports_fd
        supports_follow_symlinks sysconf_names terminal_size times_result uname_result waitid_result
        waitstatus_to_exitcode""",
    ),
    Row("posix", SHARED, "the interpreter's environment as it was at its start", "environ"),
    Row(
        "os.path",
        SHARED,
        FILES,
        """exists expanduser getatime getctime getmtime getsize isdir isfile isjunction>=3.12 isdevdrive>=3.13
        islink ismount lexists realpath samefile sameopenfile""",
    ),
    Row(
        "os.path",
        HARMLESS,
        "",
        """abspath basename commonpath commonprefix dirname expandvars isabs join normcase normpath relpath samestat
        split splitdrive splitext splitroot>=3.12""",
    ),
    Row(
        "time",
        REPLACED,
        "the virtual clock and the host's clock of the day",
        """asctime clock_getres clock_gettime clock_gettime_ns clock_settime clock_settime_ns ctime gmtime localtime
        monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns pthread_getcpuclockid
        sleep strftime thread_time thread_time_ns time time_ns""",
    ),
    Row("time", REPLACED, "the process's time zone, by its `TZ`", "tzset"),
    Row("time", HARMLESS, "by the process's time zone", "mktime"),
    Row("time", HARMLESS, "", "get_clock_info strptime struct_time"),
    Row(
        "signal",
        REPLACED,
        "signals and timers of the process",
        """alarm getitimer getsignal pause pidfd_send_signal pthread_kill pthread_sigmask raise_signal set_wakeup_fd
        setitimer siginterrupt signal sigpending sigtimedwait sigwait sigwaitinfo""",
    ),
    Row("signal", HARMLESS, "", "default_int_handler strsignal struct_siginfo valid_signals"),
    Row("_signal", REPLACED, "signals of the process", "getsignal pthread_sigmask signal sigpending sigwait"),
    Row("_signal", HARMLESS, "", "valid_signals"),
    Row(
        "_thread",
        REPLACED,
        "threads of the process",
        "interrupt_main start_joinable_thread>=3.13 start_new start_new_thread",
    ),
    Row("_thread", IN_PLACE, "waits in virtual time", "LockType<3.13 lock>=3.13 RLock"),
    Row("_thread", HARMLESS, "", "allocate allocate_lock>=3.13 daemon_threads_allowed>=3.12 exit exit_thread"),
    Row(
        "threading",
        REPLACED,
        "threads of the process",
        "active_count enumerate get_ident get_native_id main_thread stack_size",
    ),
    Row(
        "threading",
        IN_PLACE,
        "threads are greenlets; the interpreter does not wait for them (up to 3.12)",
        "Thread<3.13",
    ),
    Row("threading", HARMLESS, "threads are greenlets, which `_thread` starts", "Thread>=3.13"),
    Row("threading", EXCHANGED, "values of the running thread", "local"),
    Row(
        "threading",
        SHARED,
        "hooks and tracing are those of the interpreter and its threads",
        """excepthook getprofile gettrace setprofile setprofile_all_threads>=3.12 settrace
        settrace_all_threads>=3.12""",
    ),
    Row(
        "threading",
        HARMLESS,
        "",
        """activeCount Barrier BoundedSemaphore Condition Event ExceptHookArgs Lock<3.13 RLock Semaphore Timer
        currentThread current_thread""",
    ),
    Row("sys", EXCHANGED, "the process's own", "argv orig_argv path modules stderr stdin stdout get_asyncgen_hooks"),
    Row(
        "sys",
        SHARED,
        "settings and hooks of the interpreter",
        """activate_stack_trampoline>=3.12 addaudithook breakpointhook deactivate_stack_trampoline>=3.12 displayhook
        excepthook meta_path path_hooks path_importer_cache set_coroutine_origin_tracking_depth
        set_int_max_str_digits setdlopenflags setprofile setrecursionlimit setswitchinterval settrace
        unraisablehook warnoptions""",
    ),
    Row(
        "sys",
        SHARED,
        "facts about the interpreter",
        "getallocatedblocks getprofile getrefcount gettrace getunicodeinternedsize>=3.12",
    ),
    Row(
        "sys",
        HARMLESS,
        "",
        """audit call_tracing exc_info exception exit get_coroutine_origin_tracking_depth get_int_max_str_digits
        getdefaultencoding getdlopenflags getfilesystemencodeerrors getfilesystemencoding getrecursionlimit
        getsizeof getswitchinterval intern is_finalizing is_stack_trampoline_active>=3.12 set_asyncgen_hooks""",
    ),
    Row("resource", REPLACED, "limits of the process", "getrlimit getrusage prlimit setrlimit"),
    Row("resource", HARMLESS, "", "getpagesize struct_rusage"),
    Row("gc", REPLACED, "a process collects garbage at fixed numbers of its turns", "collect disable enable isenabled"),
    Row("gc", SHARED, "settings of the interpreter", "callbacks freeze set_debug set_threshold unfreeze"),
    Row(
        "gc",
        HARMLESS,
        "",
        """garbage get_count get_debug get_freeze_count get_objects get_referents get_referrers get_stats
        get_threshold is_finalized is_tracked""",
    ),
    Row("atexit", REPLACED, "handlers of the process", "register unregister"),
    Row(
        "faulthandler",
        REPLACED,
        "threads of the process, and its signals",
        "cancel_dump_traceback_later dump_traceback dump_traceback_later register unregister",
    ),
    Row("faulthandler", SHARED, "the interpreter's crash handler", "disable enable is_enabled"),
    Row("pwd", SHARED, USERS, "getpwall getpwnam getpwuid"),
    Row("pwd", HARMLESS, "", "struct_passwd"),
    Row("grp", SHARED, USERS, "getgrall getgrgid getgrnam"),
    Row("grp", HARMLESS, "", "struct_group"),
    Row("spwd", SHARED, USERS, "getspall<3.13 getspnam<3.13"),
    Row("spwd", HARMLESS, "", "struct_spwd<3.13"),
    Row("syslog", REFUSED, "use logging.handlers.SysLogHandler", "closelog openlog setlogmask syslog"),
    Row("syslog", HARMLESS, "", "LOG_MASK LOG_UPTO"),
    Row("pty", REFUSED, NO_TERMINAL, "fork master_open openpty slave_open spawn"),
    Row("tty", HARMLESS, "", "cfmakecbreak>=3.12 cfmakeraw>=3.12 setcbreak setraw"),
    Row(
        "termios",
        REPLACED,
        "a process has no terminal",
        "tcdrain tcflow tcflush tcgetattr tcgetwinsize tcsendbreak tcsetattr tcsetwinsize",
    ),
    Row("fcntl", REPLACED, "simulated descriptors", "fcntl ioctl"),
    Row("fcntl", REPLACED, "waits in virtual time", "flock"),
    Row("fcntl", SHARED, FILES, "lockf"),
    Row("mmap", SHARED, FILES, "mmap"),
    Row("io", REPLACED, HOST_FILES, "open"),
    Row("io", SHARED, FILES, "FileIO open_code"),
    Row(
        "io",
        HARMLESS,
        "",
        """BufferedIOBase BufferedRWPair BufferedRandom BufferedReader BufferedWriter BytesIO IOBase
        IncrementalNewlineDecoder RawIOBase StringIO TextIOBase TextIOWrapper text_encoding""",
    ),
    Row(
        "shutil",
        SHARED,
        FILES,
        """chown copy copy2 copyfile copymode copystat copytree disk_usage get_terminal_size make_archive move
        rmtree unpack_archive which""",
    ),
    Row(
        "shutil",
        SHARED,
        "settings of the interpreter",
        "register_archive_format register_unpack_format unregister_archive_format unregister_unpack_format",
    ),
    Row("shutil", HARMLESS, "", "copyfileobj get_archive_formats get_unpack_formats ignore_patterns"),
    Row(
        "tempfile",
        SHARED,
        "files are the machine's, in the host's own directory if it has one; names are drawn by the process",
        """NamedTemporaryFile SpooledTemporaryFile TemporaryDirectory TemporaryFile gettempdir gettempdirb mkdtemp
        mkstemp mktemp""",
    ),
    Row("tempfile", HARMLESS, "", "gettempprefix gettempprefixb"),
    Row("glob", SHARED, FILES, "glob glob0 glob1 iglob"),
    Row("glob", HARMLESS, "", "escape has_magic translate>=3.13"),
    Row("pathlib", SHARED, FILES, "Path PosixPath"),
    Row("pathlib", HARMLESS, "", "PurePath PurePosixPath PureWindowsPath WindowsPath urlquote_from_bytes<3.13"),
    Row("getpass", SHARED, USERS, "getuser"),
    Row("getpass", HARMLESS, "", "fallback_getpass getpass win_getpass"),
    Row(
        "locale",
        SHARED,
        "settings of the interpreter",
        "bind_textdomain_codeset bindtextdomain resetlocale<3.13 setlocale textdomain",
    ),
    Row(
        "locale",
        SHARED,
        "facts about the interpreter",
        "getdefaultlocale getencoding getlocale getpreferredencoding localeconv nl_langinfo",
    ),
    Row(
        "locale",
        HARMLESS,
        "",
        """atof atoi currency dcgettext delocalize dgettext format<3.12 format_string gettext locale_alias
        locale_encoding_alias localize normalize str strcoll strxfrm windows_locale""",
    ),
    Row("_locale", SHARED, "settings of the interpreter", "localeconv setlocale"),
    Row("platform", REPLACED, "the host's name", "uname"),
    Row("platform", REPLACED, "asks the machine outside of the world", "architecture processor"),
    Row("platform", SHARED, MACHINE, "freedesktop_os_release libc_ver"),
    Row(
        "platform",
        HARMLESS,
        "",
        """AndroidVer>=3.13 IOSVersionInfo>=3.13 android_ver>=3.13 ios_ver>=3.13 java_ver mac_ver machine node
        platform python_branch python_build python_compiler python_implementation python_revision python_version
        python_version_tuple release system system_alias uname_result version win32_edition win32_is_iot
        win32_ver""",
    ),
)
