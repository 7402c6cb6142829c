"""An agent that serves the Workload API: trust domains with authorities, SVIDs that are renewed at will."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from catenet.rpc import Code, Server
from catenet.rpc.model.wellknown import WORKLOAD_API

DER = serialization.Encoding.DER


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _dates(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    hour = datetime.timedelta(hours=1)
    return builder.not_valid_before(now - hour).not_valid_after(now + hour)


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


class Domain:
    """A trust domain, with one authority; `rotate` makes another one."""

    def __init__(self, name: str) -> None:
        self.id = f"spiffe://{name}"
        self.rotate()

    def rotate(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(f"authority of {self.id}")
        builder = x509.CertificateBuilder(subject, subject, self.key.public_key(), x509.random_serial_number())
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        builder = builder.add_extension(_usage(True), critical=True)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(self.id)]), critical=False
        )
        self.certificate = _dates(builder).sign(self.key, SHA256())

    @property
    def bundle(self) -> bytes:
        return self.certificate.public_bytes(DER)

    def issue(self, spiffe_id: str, through: bool = False) -> tuple[bytes, bytes]:
        """Return chain and key of an SVID; `through`: with an authority between."""
        issuer, signer, between = self.certificate.subject, self.key, b""
        if through:
            signer = ec.generate_private_key(ec.SECP256R1())
            subject = _name("an authority between")
            builder = x509.CertificateBuilder(issuer, subject, signer.public_key(), x509.random_serial_number())
            builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
            builder = builder.add_extension(_usage(True), critical=True)
            between = _dates(builder).sign(self.key, SHA256()).public_bytes(DER)
            issuer = subject
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder(issuer, _name("workload"), key.public_key(), x509.random_serial_number())
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(_usage(False), critical=True)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)]), critical=False
        )
        leaf = _dates(builder).sign(signer, SHA256()).public_bytes(DER)
        private = key.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return leaf + between, private


class Agent:
    """The service. `set` changes what it says, to those who listen too; `end` ends their streams."""

    __service__ = WORKLOAD_API

    def __init__(self) -> None:
        self.answer: Any = None
        self.bundles: Any = None
        self.refusal: tuple[Code, str] | None = None
        self.asked = 0
        self._version = 0
        self._ended = 0
        self._changed = asyncio.Event()

    def set(
        self, *svids: tuple[Domain, str, bytes, bytes] | tuple[Domain, str, bytes, bytes, str], federated: Any = ()
    ) -> None:
        """Say these: domain, id, chain, key and perhaps a hint."""
        answer = WORKLOAD_API.methods[0].response()
        bundles = WORKLOAD_API.methods[1].response()
        for domain, spiffe_id, chain, key, *hint in svids:
            answer.svids.add(
                spiffe_id=spiffe_id, x509_svid=chain, x509_svid_key=key, bundle=domain.bundle, hint=(hint or [""])[0]
            )
            bundles.bundles[domain.id] = domain.bundle
        for domain in federated:
            answer.federated_bundles[domain.id] = bundles.bundles[domain.id] = domain.bundle
        self.say(answer, bundles)

    def give(self, domain: Domain, path: str, federated: Any = (), through: bool = False) -> None:
        """Say one SVID, issued now."""
        spiffe_id = domain.id + path
        self.set((domain, spiffe_id, *domain.issue(spiffe_id, through)), federated=federated)

    def say(self, answer: Any, bundles: Any = None) -> None:
        self.answer, self.bundles, self.refusal = answer, bundles, None
        self._tell()

    def refuse(self, code: Code, text: str = "no identity") -> None:
        self.refusal = code, text
        self._tell()

    def end(self) -> None:
        self._ended += 1
        self._tell()

    def _tell(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def fetch_x509_svid(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for _ in self._versions(context):
            yield self.answer

    async def fetch_x509_bundles(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for _ in self._versions(context):
            yield self.bundles

    async def _versions(self, context: Any) -> AsyncIterator[None]:
        self.asked += 1
        if context.get("workload.spiffe.io") != "true":
            context.abort(Code.INVALID_ARGUMENT, "security header missing from request")
        ended = self._ended
        while ended == self._ended:
            if self.refusal is not None:
                context.abort(*self.refusal)
            version = self._version
            if self.answer is not None:
                yield
            while version == self._version:
                await self._changed.wait()


async def serving(agent: Agent, place: Any) -> Server:
    """Serve it at a Unix socket."""
    server = Server([agent])
    await server.listen(f"unix:{place}")
    return server
