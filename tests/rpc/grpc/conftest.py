"""What grpcio-tools generates, and which `grpc` it is tried with.

The values that these tests expect are those of grpcio: with `CATENET_GRPC=grpcio` the same tests run on it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from grpc_tools import protoc

REFERENCE = os.environ.get("CATENET_GRPC") == "grpcio"


@pytest.fixture(scope="session")
def api() -> Any:
    """The module under test."""
    return importlib.import_module("grpc" if REFERENCE else "catenet.rpc.grpc")


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The generated code, as it is: it imports the real `grpc` and meets our servers and channels."""
    out = tmp_path_factory.mktemp("dropin")
    here = str(Path(__file__).parent)
    status = protoc.main(["", f"-I{here}", f"--python_out={out}", f"--grpc_python_out={out}", f"{here}/dropin.proto"])
    assert status == 0
    sys.path.insert(0, str(out))
    messages, stubs = importlib.import_module("dropin_pb2"), importlib.import_module("dropin_pb2_grpc")
    sys.path.remove(str(out))
    yield SimpleNamespace(
        folder=out,
        Message=messages.Message,
        EchoStub=stubs.EchoStub,
        EchoServicer=stubs.EchoServicer,
        add=stubs.add_EchoServicer_to_server,
        name=messages.DESCRIPTOR.services_by_name["Echo"].full_name,
    )


@pytest.fixture(scope="session")
def authority() -> Any:
    """An authority with a certificate for a server and one for a client, in PEM."""
    ca = trustme.CA()

    def pair(certificate: Any) -> tuple[bytes, bytes]:
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        return certificate.private_key_pem.bytes(), chain

    return SimpleNamespace(
        root=ca.cert_pem.bytes(),
        server=pair(ca.issue_cert("localhost", "127.0.0.1")),
        client=pair(ca.issue_cert("client.test", common_name="me")),
    )
