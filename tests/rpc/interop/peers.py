"""Which peers there are, and where."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NODE_MODULES = Path(os.environ.get("CATENET_NODE_MODULES", HERE / "node_modules"))
CPP = HERE / "cpp" / "build"
PACKAGES = {"grpcio_aio": "grpc_status", "grpcio_sync": "grpc_status", "grpclib": "grpclib", "connectrpc": "uvicorn"}


def need(name: str) -> None:
    """Skip, with a line that says what to install, if a peer is missing."""
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"needs the package {package} (peer {name})")
    if name == "cpp" and not (CPP / "server").exists():
        pytest.skip(f"needs make -C {CPP.parent}")
    if name == "grpc_js":
        if shutil.which("node") is None:
            pytest.skip("needs node")
        if not (NODE_MODULES / "@grpc" / "grpc-js").is_dir():
            pytest.skip(f"needs npm install --prefix {NODE_MODULES.parent} @grpc/grpc-js @grpc/proto-loader")


def node() -> Any:
    """Environment in which the scripts for node find their packages."""
    return {**os.environ, "NODE_PATH": str(NODE_MODULES)}
