"""From IDL to Python: protobuf's own message modules, and one typed module of ours with services and clients."""

from catenet.rpc.compile.command import CompileError, compile_protos, write_schemas
from catenet.rpc.compile.generate import generate

__all__ = ["CompileError", "compile_protos", "generate", "write_schemas"]
