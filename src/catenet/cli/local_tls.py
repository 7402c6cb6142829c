"""`--tls`: servers with a certificate of this machine's own authority, made and renewed as they need it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.net.target import Scheme, Target
from catenet.printable import complain

if TYPE_CHECKING:
    from catenet.net.authority import LocalAuthority

__all__ = ["certify", "explain", "keep_renewed"]

logger = logging.getLogger("catenet.net")

RENEWAL_INTERVAL: Final = 86400.0
ALL_ADDRESSES: Final = ("", "0.0.0.0", "::", "*")


def certify(args: argparse.Namespace, targets: Sequence[Target], schemes: Mapping[str, Scheme]) -> None:
    """Let `--cert` name a certificate of the local authority for the hosts of `targets`. Raises `UsageError`."""
    if args.cert or args.key:
        raise UsageError("--tls makes a certificate; --cert and --key name one: give one or the other")
    hosts = [target.host for target in targets if target.tls]
    if not hosts:
        forms = ", ".join(f"{name}://" for name, scheme in schemes.items() if scheme.tls)
        raise UsageError(f"--tls: no URL of --listen has TLS; choose from {forms}")
    try:
        from catenet.net.authority import AuthorityError, LocalAuthority
    except ImportError:
        raise UsageError("--tls needs the package cryptography: pip install 'catenet[http]'") from None
    args.authority = LocalAuthority()
    args.tls_names = _names(hosts)
    try:
        args.cert = str(args.authority.certificate(args.tls_names))
    except AuthorityError as error:
        raise UsageError(f"--tls: {error}") from None


def explain(authority: LocalAuthority) -> None:
    """Say who has signed the certificate, and how to trust an authority that nobody can trust yet."""
    from catenet.net.authority import how_to_trust

    if authority.is_new:
        complain(f"its certificate is signed by a new authority of this machine, {authority.path}; to trust it:")
        complain(how_to_trust(authority.path), keep="\n")
    else:
        complain(f"its certificate is signed by {authority.path}")


def keep_renewed(args: argparse.Namespace, context: ssl.SSLContext) -> None:
    """See to it that the certificate does not expire while the server runs; in a running event loop."""
    asyncio.get_running_loop().call_later(RENEWAL_INTERVAL, _renew, args, context)


def _renew(args: argparse.Namespace, context: ssl.SSLContext) -> None:
    try:
        context.load_cert_chain(args.authority.certificate(args.tls_names))
    except (ValueError, OSError) as error:
        logger.error("the certificate cannot be renewed: %s", error)
    keep_renewed(args, context)


def _names(hosts: Iterable[str]) -> list[str]:
    """What clients may call servers that listen on `hosts`; for all addresses: the local ones of all interfaces."""
    from catenet.net.authority import is_local

    names: list[str] = []
    for host in hosts:
        if host not in ALL_ADDRESSES:
            names.append(host)
            continue
        import ifaddr

        found = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for one in ifaddr.get_adapters() for ip in one.ips]
        names += [address for address in found if is_local(address)]
    return names
