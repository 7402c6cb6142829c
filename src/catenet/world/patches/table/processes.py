"""Other processes, shared memory, C libraries, sources of chance, and queues."""

from __future__ import annotations

from typing import Final

from catenet.world.patches.table.row import (
    FILES,
    HARMLESS,
    IN_PLACE,
    OWN_PROCESS,
    REFUSED,
    REFUSED_WITHIN,
    REPLACED,
    SHARED,
    Row,
)

__all__ = ["ROWS"]

ROWS: Final = (
    Row("multiprocessing", REFUSED, OWN_PROCESS, "Manager Pool Process"),
    Row(
        "multiprocessing",
        REFUSED_WITHIN,
        OWN_PROCESS,
        "Array Barrier BoundedSemaphore Condition Event JoinableQueue Lock Queue RLock Semaphore SimpleQueue Value",
    ),
    Row("multiprocessing", SHARED, "memory in a temporary file", "RawArray RawValue"),
    Row(
        "multiprocessing",
        SHARED,
        "settings of the interpreter",
        "allow_connection_pickling get_logger log_to_stderr set_executable set_forkserver_preload set_start_method",
    ),
    Row(
        "multiprocessing",
        HARMLESS,
        "",
        """Pipe active_children cpu_count current_process freeze_support get_all_start_methods get_start_method
        parent_process""",
    ),
    Row("multiprocessing.connection", IN_PLACE, "reads and writes simulated descriptors", "Connection"),
    Row(
        "multiprocessing.connection",
        HARMLESS,
        "",
        """Client ConnectionWrapper Listener Pipe SocketClient SocketListener XmlClient XmlListener address_type
        answer_challenge arbitrary_address deliver_challenge families rebuild_connection reduce_connection""",
    ),
    Row("multiprocessing.context", REFUSED_WITHIN, OWN_PROCESS, "ForkProcess ForkServerProcess SpawnProcess"),
    Row(
        "multiprocessing.context",
        HARMLESS,
        "",
        "BaseContext DefaultContext ForkContext ForkServerContext SpawnContext assert_spawning set_spawning_popen",
    ),
    Row("multiprocessing.heap", SHARED, "memory in a temporary file", "Arena BufferWrapper Heap"),
    Row("multiprocessing.heap", HARMLESS, "", "rebuild_arena reduce_arena"),
    Row("multiprocessing.managers", REFUSED, OWN_PROCESS, "BaseManager.start"),
    Row(
        "multiprocessing.managers",
        REFUSED_WITHIN,
        OWN_PROCESS,
        "SharedMemoryManager SyncManager",
    ),
    Row(
        "multiprocessing.managers",
        HARMLESS,
        "",
        """AcquirerProxy Array ArrayProxy AutoProxy BarrierProxy BaseListProxy BasePoolProxy BaseProxy
        ConditionProxy DictProxy EventProxy IteratorProxy ListProxy MakeProxyType Namespace NamespaceProxy
        PoolProxy ProcessLocalSet RebuildProxy Server SharedMemoryServer State Token Value ValueProxy all_methods
        convert_to_error dispatch get_spawning_popen listener_client public_methods rebuild_as_list reduce_array""",
    ),
    Row(
        "multiprocessing.pool",
        REFUSED,
        OWN_PROCESS,
        "Pool.__init__",
    ),
    Row("multiprocessing.pool", REFUSED_WITHIN, OWN_PROCESS, "ThreadPool"),
    Row(
        "multiprocessing.pool",
        HARMLESS,
        "",
        """ApplyResult ExceptionWithTraceback IMapIterator IMapUnorderedIterator MapResult get_context mapstar
        rebuild_exc starmapstar wait worker""",
    ),
    Row("multiprocessing.process", REFUSED, OWN_PROCESS, "BaseProcess.start"),
    Row("multiprocessing.process", HARMLESS, "", "AuthenticationString"),
    Row("multiprocessing.resource_tracker", REFUSED_WITHIN, OWN_PROCESS, "ensure_running getfd register unregister"),
    Row("multiprocessing.resource_tracker", HARMLESS, "", "ResourceTracker cleanup_noop>=3.13 main"),
    Row("multiprocessing.shared_memory", REFUSED_WITHIN, OWN_PROCESS, "SharedMemory ShareableList"),
    Row(
        "multiprocessing.synchronize",
        REFUSED_WITHIN,
        OWN_PROCESS,
        "Barrier BoundedSemaphore Condition Event Lock RLock SemLock Semaphore",
    ),
    Row("multiprocessing.util", REFUSED_WITHIN, OWN_PROCESS, "spawnv_passfds"),
    Row("multiprocessing.util", SHARED, "settings of the interpreter", "register_after_fork"),
    Row("multiprocessing.util", SHARED, FILES, "get_temp_dir"),
    Row(
        "multiprocessing.util",
        HARMLESS,
        "",
        """Finalize ForkAwareLocal ForkAwareThreadLock close_all_fds_except close_fds debug get_logger info
        is_abstract_socket_namespace is_exiting log_to_stderr sub_debug sub_warning""",
    ),
    Row("_multiprocessing", REPLACED, OWN_PROCESS, "SemLock"),
    Row("_multiprocessing", REPLACED, "semaphores of the host", "sem_unlink"),
    Row("_multiprocessing", HARMLESS, "", "flags"),
    Row("_posixshmem", REPLACED, OWN_PROCESS, "shm_open shm_unlink"),
    Row("subprocess", REFUSED, OWN_PROCESS, "Popen.__init__"),
    Row("subprocess", REFUSED_WITHIN, OWN_PROCESS, "call check_call check_output getoutput getstatusoutput run"),
    Row("subprocess", HARMLESS, "", "CompletedProcess list2cmdline"),
    Row("_posixsubprocess", REPLACED, OWN_PROCESS, "fork_exec"),
    Row(
        "concurrent.futures.process",
        REFUSED,
        OWN_PROCESS,
        "ProcessPoolExecutor.__init__",
    ),
    Row("concurrent.futures", HARMLESS, "", "Executor Future ThreadPoolExecutor as_completed wait"),
    Row("concurrent.futures.process", HARMLESS, "", "Queue"),
    Row("queue", IN_PLACE, "waits in virtual time", "SimpleQueue"),
    Row("queue", HARMLESS, "", "LifoQueue PriorityQueue Queue heappop heappush"),
    Row(
        "ctypes",
        SHARED,
        "the machine's C libraries, but for what sets clocks, reaches the network or starts programs",
        "CDLL LibraryLoader PyDLL cdll pydll pythonapi",
    ),
    Row(
        "ctypes",
        HARMLESS,
        "",
        """ARRAY Array BigEndianStructure BigEndianUnion CFUNCTYPE LittleEndianStructure LittleEndianUnion POINTER
        PYFUNCTYPE SetPointerType addressof alignment byref c_bool c_buffer c_byte c_char c_char_p c_double
        c_float c_int c_int16 c_int64 c_longdouble c_size_t c_ubyte c_uint c_uint16 c_void_p c_wchar c_wchar_p
        cast create_unicode_buffer get_errno memmove memset pointer py_object resize set_errno sizeof string_at
        wstring_at""",
    ),
    Row("ctypes.util", REPLACED, "asks the linker outside of the world", "find_library"),
    Row("ctypes.util", HARMLESS, "", "test"),
    Row(
        "_ctypes",
        SHARED,
        "the machine's C libraries, with the same exceptions",
        "call_cdeclfunction call_function dlclose dlopen dlsym",
    ),
    Row("_ctypes", HARMLESS, "", "CFuncPtr PyObj_FromPtr Py_DECREF Py_INCREF buffer_info"),
    Row(
        "random",
        REPLACED,
        "drawn from the process's generator",
        """betavariate binomialvariate>=3.12 choice choices expovariate gammavariate gauss getrandbits getstate
        lognormvariate normalvariate paretovariate randbytes randint random randrange sample seed setstate
        shuffle triangular uniform vonmisesvariate weibullvariate""",
    ),
    Row("random", IN_PLACE, "seeds itself from the process's entropy", "Random"),
    Row("random", HARMLESS, "", "SystemRandom main>=3.13"),
    Row("_random", SHARED, "seeds itself from the machine's entropy, unless it is given a seed", "Random"),
    Row("secrets", HARMLESS, "", "choice compare_digest randbelow randbits token_bytes token_hex token_urlsafe"),
    Row("uuid", REPLACED, "from the host and the process's entropy", "getnode uuid1"),
    Row(
        "uuid",
        HARMLESS,
        "",
        "NAMESPACE_DNS NAMESPACE_OID NAMESPACE_URL NAMESPACE_X500 UUID bytes_ int_ main>=3.12 uuid3 uuid4 uuid5",
    ),
    Row("_uuid", REPLACED, "from the host and the process's entropy", "generate_time_safe"),
    Row("datetime", IN_PLACE, "reads the host's clock of the day", "datetime"),
    Row("datetime", HARMLESS, "", "UTC date datetime_CAPI time timedelta timezone tzinfo"),
)
