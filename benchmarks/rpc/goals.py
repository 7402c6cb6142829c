"""What was aimed at, and other ratios worth telling, in the tables of calls."""

from __future__ import annotations

from benchmarks.goals import Goal

UNARY = "Unary calls"
STREAM = "Server streaming"
ONE = "Clients against the C++ server, one"
MANY = "Clients against the C++ server, 64"
PAIR = "Client and server of one kind, one"
NARROW = "Client and server of one kind on one processor"
PAIRS = "Client and server of one kind, 64"
LOCAL = "A local call"
UNIX, FUNCTION = "catenet, Unix socket", "a function of the same process"
PROTOBUF, JSON = "Connect over HTTP/1.1, protobuf", "Connect over HTTP/1.1, JSON"
IDLE = "Idle connections"
FLOOR = "bare uvloop, fixed bytes"

GOALS = (
    Goal("server, calls per CPU second by grpc-go's", UNARY, "catenet", "grpc-go", "capacity", least=1.5),
    Goal("server, calls per CPU second by tonic's", UNARY, "catenet", "tonic", "capacity", least=1 / 1.5),
    Goal("server, calls per CPU second by C++ gRPC's", UNARY, "catenet", "C++ gRPC, callback", "capacity"),
    Goal("server, calls per CPU second by grpc.aio's", UNARY, "catenet", "grpc.aio", "capacity"),
    Goal("server compiled, by grpc-go's", UNARY, "catenet, compiled", "grpc-go", "capacity", least=1.5),
    Goal("server compiled, by tonic's", UNARY, "catenet, compiled", "tonic", "capacity", least=1 / 1.5),
    Goal("streaming server, messages by C++ gRPC's", STREAM, "catenet", "C++ gRPC, callback"),
    Goal("two workers by one", "Workers", "catenet, two workers", "catenet, one process", "capacity", least=1.9),
    Goal("Connect, protobuf, by connectrpc's", PROTOBUF, "catenet", "connectrpc on uvicorn", "capacity", least=5),
    Goal("Connect, JSON, by connectrpc's", JSON, "catenet", "connectrpc on uvicorn", "capacity", least=5),
    Goal("client, one after another, by grpc.aio's", ONE, "catenet", "grpc.aio", least=3),
    Goal("its processor time by grpc.aio's", ONE, "catenet", "grpc.aio", "processor"),
    Goal("client, 64 in flight, by grpc.aio's", MANY, "catenet", "grpc.aio", least=4),
    Goal("its processor time by grpc.aio's", MANY, "catenet", "grpc.aio", "processor"),
    Goal("what any client on uvloop can be, one after another, by grpc.aio's", ONE, FLOOR, "grpc.aio"),
    Goal("the same, 64 in flight", MANY, FLOOR, "grpc.aio"),
    Goal("processor time of both ends of a call, by grpc.aio's", PAIR, "catenet", "grpc.aio", "both", most=0.2),
    Goal("the same compiled", PAIR, "catenet, compiled", "grpc.aio", "both", most=0.2),
    Goal("what no program on uvloop can be below, by grpc.aio's", PAIR, FLOOR, "grpc.aio", "both"),
    Goal("processor time with both ends on one processor, by grpc.aio's", NARROW, "catenet", "grpc.aio", "both"),
    Goal("latency with both ends on one processor, by grpc.aio's", NARROW, "catenet", "grpc.aio", "p50"),
    Goal("pair, 64 in flight, by grpc.aio's", PAIRS, "catenet", "grpc.aio"),
    Goal("drop-in and its server by grpc.aio's, one after another", PAIR, "catenet.rpc.grpc.aio", "grpc.aio"),
    Goal("drop-in and its server by grpc.aio's, 64 in flight", PAIRS, "catenet.rpc.grpc.aio", "grpc.aio"),
    Goal("drop-in and its server by grpcio's, one after another", PAIR, "catenet.rpc.grpc", "grpcio"),
    Goal("drop-in server, calls per CPU second by grpc.aio's", UNARY, "catenet.rpc.grpc.aio", "grpc.aio", "capacity"),
    Goal("drop-in server, by grpcio's", UNARY, "catenet.rpc.grpc, 8 threads", "grpcio, 8 threads", "capacity"),
    Goal("local call, by dbus-fast's", LOCAL, UNIX, "dbus-fast on uvloop, its own dbus-daemon", least=1),
    Goal("local call, by Pyro5's", LOCAL, UNIX, "Pyro5, Unix socket", least=1),
    Goal("local call, sync, by Pyro5's", LOCAL, "catenet, sync, Unix socket", "Pyro5, Unix socket", least=1),
    Goal("time of a local call by that of a function", LOCAL, UNIX, FUNCTION, "p50"),
    Goal("time of a call over TCP by that of a local one", LOCAL, "catenet, TCP", UNIX, "p50"),
    Goal("time of a call over TLS by that of a local one", LOCAL, "catenet, TLS", UNIX, "p50"),
    Goal("bytes of an idle connection, of 1,000", IDLE, "catenet, 1,000 idle", "", "memory", most=2048),
    Goal("bytes of an idle connection, of 10,000", IDLE, "catenet, 10,000 idle", "", "memory", most=2048),
)  # fmt: skip
