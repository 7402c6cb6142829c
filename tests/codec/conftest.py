from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from grpc_tools import protoc


@pytest.fixture(scope="session")
def every(tmp_path_factory: Any) -> Any:
    """The message class of every.proto, compiled for this test run."""
    out = tmp_path_factory.mktemp("every")
    here = Path(__file__).parent
    include = Path(protoc.__file__).parent / "_proto"
    assert protoc.main(["protoc", f"-I{here}", f"-I{include}", f"--python_out={out}", "every.proto"]) == 0
    sys.path.insert(0, str(out))
    try:
        import every_pb2
    finally:
        sys.path.remove(str(out))
    return every_pb2.Every
