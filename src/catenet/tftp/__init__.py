"""The Trivial File Transfer Protocol (RFC 1350): files in blocks over UDP, with its options.

A pure core for both ends (`Transfer`), a client (`get`, `put`, `reading`, `writing`), a server of a folder (`serve`).
"""

from catenet.tftp.channel import Channel
from catenet.tftp.client import SCHEMES, get, parse_url, put, reading, writing
from catenet.tftp.core import ServerCore
from catenet.tftp.errors import ErrorCode, NoAnswerError, TftpError
from catenet.tftp.options import Granted, Wishes
from catenet.tftp.server import Server, ServerOptions, serve
from catenet.tftp.transfer import Transfer

__all__ = [
    "SCHEMES",
    "Channel",
    "ErrorCode",
    "Granted",
    "NoAnswerError",
    "Server",
    "ServerCore",
    "ServerOptions",
    "TftpError",
    "Transfer",
    "Wishes",
    "get",
    "parse_url",
    "put",
    "reading",
    "serve",
    "writing",
]
