"""The network: sockets, readiness, TLS, event loops and servers."""

from __future__ import annotations

from typing import Final

from catenet.world.patches.table.row import (
    FILES,
    HARMLESS,
    IN_PLACE,
    OTHER_PROGRAM,
    REFUSED,
    REFUSED_WITHIN,
    REPLACED,
    SHARED,
    Row,
)

__all__ = ["ROWS"]

ROWS: Final = (
    Row(
        "socket",
        REPLACED,
        "names, interfaces and descriptors of the host",
        """close dup getaddrinfo getdefaulttimeout getfqdn gethostbyaddr gethostbyname gethostbyname_ex gethostname
        getnameinfo getprotobyname getservbyname getservbyport if_indextoname if_nameindex if_nametoindex
        setdefaulttimeout sethostname socketpair""",
    ),
    Row("socket", IN_PLACE, "makes simulated sockets", "socket"),
    Row("socket", REFUSED_WITHIN, "its methods are those of sockets; to make one use socket.socket", "SocketType"),
    Row(
        "socket",
        HARMLESS,
        "",
        """CAPI CMSG_LEN CMSG_SPACE SocketIO create_connection create_server fromfd has_dualstack_ipv6 htonl htons
        inet_aton inet_ntoa inet_ntop inet_pton ntohl ntohs recv_fds send_fds""",
    ),
    Row("_socket", REPLACED, "names of the host", "getaddrinfo socketpair"),
    Row("select", REPLACED, "readiness of simulated descriptors", "epoll poll select"),
    Row("selectors", IN_PLACE, "made of the patched `select`", "EpollSelector PollSelector SelectSelector"),
    Row("selectors", HARMLESS, "", "BaseSelector SelectorKey"),
    Row("ssl", IN_PLACE, "TLS on simulated sockets", "SSLContext"),
    Row("ssl", SHARED, "OpenSSL's entropy", "RAND_add RAND_bytes RAND_pseudo_bytes<3.12 RAND_status"),
    Row("ssl", SHARED, FILES, "get_default_verify_paths"),
    Row(
        "ssl",
        HARMLESS,
        "",
        """CHANNEL_BINDING_TYPES DER_cert_to_PEM_cert DefaultVerifyPaths MemoryBIO PEM_cert_to_DER_cert SSLObject
        SSLSession SSLSocket cert_time_to_seconds create_default_context get_protocol_name get_server_certificate
        match_hostname<3.12 wrap_socket<3.12""",
    ),
    Row("_ssl", SHARED, FILES, "get_default_verify_paths"),
    Row(
        "_ssl",
        HARMLESS,
        "",
        "Certificate err_codes_to_names<3.12 err_names_to_codes<3.12 lib_codes_to_names<3.12 nid2obj txt2obj",
    ),
    Row("asyncio", REFUSED_WITHIN, OTHER_PROGRAM, "create_subprocess_exec create_subprocess_shell"),
    Row("asyncio", IN_PLACE, "an abandoned loop of a killed process is left alone", "BaseEventLoop"),
    Row(
        "asyncio",
        HARMLESS,
        "",
        """AbstractChildWatcher AbstractEventLoop AbstractEventLoopPolicy AbstractServer Barrier BaseProtocol
        BaseTransport BoundedSemaphore BufferedProtocol Condition DatagramProtocol DatagramTransport
        DefaultEventLoopPolicy Event EventLoop>=3.13 FastChildWatcher Future Handle LifoQueue Lock
        MultiLoopChildWatcher PidfdChildWatcher PriorityQueue Protocol Queue ReadTransport Runner
        SafeChildWatcher SelectorEventLoop<3.13 Semaphore Server StreamReader StreamReaderProtocol StreamWriter
        SubprocessProtocol SubprocessTransport Task TaskGroup ThreadedChildWatcher Timeout TimerHandle Transport
        WriteTransport all_tasks as_completed create_eager_task_factory>=3.12 create_task current_task
        eager_task_factory>=3.12 ensure_future gather get_child_watcher get_event_loop get_event_loop_policy
        get_running_loop iscoroutine iscoroutinefunction isfuture new_event_loop open_connection
        open_unix_connection run run_coroutine_threadsafe set_child_watcher set_event_loop set_event_loop_policy
        shield sleep start_server start_unix_server timeout timeout_at to_thread wait wait_for wrap_future""",
    ),
    Row(
        "asyncio.base_subprocess",
        HARMLESS,
        "",
        "BaseSubprocessTransport ReadSubprocessPipeProto WriteSubprocessPipeProto",
    ),
    Row("asyncio.events", HARMLESS, "", "BaseDefaultEventLoopPolicy on_fork>=3.12"),
    Row("asyncio.selector_events", HARMLESS, "", "BaseSelectorEventLoop"),
    Row("asyncio.sslproto", HARMLESS, "", "SSLProtocol add_flowcontrol_defaults"),
    Row("asyncio.streams", HARMLESS, "", "FlowControlMixin"),
    Row("asyncio.subprocess", HARMLESS, "", "Process SubprocessStreamProtocol"),
    Row("asyncio.unix_events", HARMLESS, "", "BaseChildWatcher can_use_pidfd>=3.12 waitstatus_to_exitcode"),
    Row("_asyncio", HARMLESS, "", "current_task>=3.12 get_event_loop<3.12 get_running_loop<3.12"),
    Row(
        "socketserver",
        REFUSED_WITHIN,
        OTHER_PROGRAM,
        """ForkingMixIn ForkingTCPServer ForkingUDPServer ForkingUnixDatagramServer>=3.12
        ForkingUnixStreamServer>=3.12""",
    ),
    Row(
        "socketserver",
        HARMLESS,
        "",
        """BaseRequestHandler BaseServer DatagramRequestHandler StreamRequestHandler TCPServer ThreadingMixIn
        ThreadingTCPServer ThreadingUDPServer ThreadingUnixDatagramServer ThreadingUnixStreamServer UDPServer
        UnixDatagramServer UnixStreamServer""",
    ),
    Row(
        "nis",
        REFUSED,
        "a host has no directory service; use socket.getaddrinfo for names",
        "cat<3.13 get_default_domain<3.13 maps<3.13 match<3.13",
    ),
)
