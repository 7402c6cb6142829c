"""catenet rpc serve: implementations of services behind listeners."""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError, access_logs, logs
from catenet.cli.limits import add_rpc_limits, rpc_options
from catenet.cli.rpc_load import implementations, importable
from catenet.cli.rpc_metrics import add_metrics_arguments, check_metrics, telling
from catenet.cli.rpc_sessions import SESSION_SCHEMES, add_session_arguments, session_options
from catenet.cli.serving import Kind, add_arguments, cannot_listen, run_server, seconds, tls_source
from catenet.net.target import SCHEMES, parse_target
from catenet.net.tls_source import TlsFiles, TlsSource
from catenet.net.workers import Placement

if TYPE_CHECKING:
    from catenet.rpc import Guard, Metrics, Server
    from catenet.rpc.policy.audit import Audit
    from catenet.rpc.services.health import Health

__all__ = ["register", "run"]

logger = logging.getLogger("catenet.rpc")

_SPIFFE_PATIENCE = 60.0

EPILOG = """\
WHAT is MODULE:NAME, a class that implements a generated service (or an instance, or a function that returns one), and
any .proto files it needs: their messages can then be imported without compiling them beforehand. A class without a
generated base serves the service of its name, or the only one, in the .proto.

  catenet rpc serve hiscore.proto scores:Scores
  catenet rpc serve scores:Scores --listen tcp://0.0.0.0:50051 --listen unix:/run/hiscore.sock --workers 4
  catenet rpc serve scores:Scores --listen tcp://:50051 --listen session+grpc://:50052
  catenet rpc serve scores:Scores --listen tls://0.0.0.0:443 --cert server.pem --key server.key --client-ca ca.pem
"""
KIND = Kind(
    "rpc",
    {**{name: SCHEMES[name] for name in ("tcp", "tls", "unix")}, **SESSION_SCHEMES},
    "tcp://127.0.0.1:50051",
    reloads=True,
    watched=(".py", ".proto"),
    tls_default="tls://127.0.0.1:50051",
)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("what", nargs="+", metavar="WHAT", help="FILE.proto or MODULE:NAME")
    parser.add_argument("-I", dest="includes", action="append", default=[], metavar="DIR", help="search for imports")
    parser.add_argument(
        "--explorer", action="store_true", help="with a page that lists and calls the services, at /explorer/"
    )
    parser.add_argument(
        "--explorer-host",
        type=_host,
        action="append",
        default=[],
        metavar="NAME",
        help="let callers from elsewhere have the page by this name (default: only this machine)",
    )
    parser.add_argument(
        "--browser-host",
        type=_host,
        action="append",
        default=[],
        metavar="NAME",
        help="let pages under this name of the server call (repeat; default: names of this machine, if only it can)",
    )
    parser.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of another site call, as https://shop.example (repeat; *: of all)",
    )
    parser.add_argument(
        "--reflection",
        action=argparse.BooleanOptionalAction,
        help="tell which services there are (default: where only this machine can call)",
    )
    add_arguments(parser, KIND, reload="start again when .py or .proto files here change")
    parser.add_argument(
        "--drain",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="at SIGTERM: for which health checks say NOT_SERVING while calls are still taken, before --grace (0)",
    )
    parser.add_argument(
        "--spiffe",
        nargs="?",
        const="",
        metavar="SOCKET",
        help="certificates and trust from SPIFFE's Workload API (unix:///path; without: SPIFFE_ENDPOINT_SOCKET)",
    )
    add_rpc_limits(parser)
    access_logs.add_arguments(parser, "call")
    add_metrics_arguments(parser)
    add_session_arguments(parser)
    group = parser.add_argument_group("policy", "What callers may do.")
    group.add_argument("--policy", metavar="FILE", help="rules, limits and issuers of tokens (TOML); no rule, no call")
    group.add_argument("--policy-dry-run", action="store_true", help="decide and log, and let every call go on")
    group.add_argument("--audit", metavar="FILE", help="append decisions and ends of calls, a line of JSON each")
    group.add_argument("--audit-requests", action="store_true", help="with the requests that decisions looked at")
    group.add_argument("--validate", action="store_true", help="hold requests against buf.validate's annotations")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    from catenet.rpc.server.access_log import DEFAULT, AccessLog

    check_metrics(args)
    access_logs.check(args, AccessLog, DEFAULT)
    over_sessions = [url for url in args.listen or () if url.partition(":")[0] in SESSION_SCHEMES]
    if over_sessions and args.workers > 1:
        raise UsageError(f"--listen {over_sessions[0]}: a session lives in one process; say --workers 1")
    if args.spiffe is not None and (args.cert or args.tls):
        raise UsageError("--spiffe goes without --cert and --tls: it is where certificates come from")
    return run_server(args, KIND, partial(_serving, args))


def _host(text: str) -> str:
    from catenet.rpc.model.local_names import check_hosts

    try:
        (host,) = check_hosts([text])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return host


class _Running:
    """The server, and what is told of its health."""

    def __init__(self, args: argparse.Namespace, server: Server, health: Health, tls: TlsSource | None) -> None:
        self._args = args
        self._server = server
        self._health = health
        self._announce: float = args.drain
        self._tls = tls

    @property
    def urls(self) -> Sequence[str]:
        """Where it listens."""
        return self._server.urls

    def reload(self) -> None:
        """Read the policy, with its limits and keys, and certificates again, for what begins from now on."""
        if isinstance(self._tls, TlsFiles) and self._tls.reload():
            logger.info("certificates are read again")
        if not self._args.policy:
            return
        try:
            before = self._server.guard
            self._server.replace_guard(_guard(self._args, None if before is None else before.audit))
        except (UsageError, ValueError) as error:
            logger.error("the policy is not read again, the one before stays: %s", error)
        else:
            logger.info("%s is read again", self._args.policy)

    async def drain(self, grace: float | None = None) -> None:
        """Say that it is not serving, and after a while let running calls end."""
        await self._health.drain(self._server, self._announce, grace)


@contextlib.asynccontextmanager
async def _serving(args: argparse.Namespace, placement: Placement) -> AsyncIterator[_Running]:
    from catenet.net.tuning import keep_large_blocks
    from catenet.rpc import Metrics, Server
    from catenet.rpc.server.access_log import DEFAULT, AccessLog
    from catenet.rpc.server.cors import Cors
    from catenet.rpc.services.health import Health

    keep_large_blocks()
    with importable(args.what, args.includes) as descriptors:
        health = Health()
        services = [*implementations(args.what, descriptors, explain=bool(args.verbose)), health]
        # The program's modules are there now, and have configured logging if they want it otherwise.
        logs.configure(args, several=args.workers > 1)
        metrics = None if args.metrics is None else Metrics()
        try:
            watched = _telemetry(args, metrics)
            options = replace(rpc_options(args), session=session_options(args))
            guard, browsers = _guard(args), _browsers(args, services, placement)
            log = access_logs.open_log(args, AccessLog, DEFAULT)
            cors = Cors(args.cors) if args.cors else None
            server = Server(services, options=options, guard=guard, cors=cors, access_log=log, **watched, **browsers)
        except ValueError as error:
            raise UsageError(str(error)) from None
        except ImportError as error:
            if error.name != "protovalidate":
                raise
            raise UsageError("--validate needs the package protovalidate: pip install 'catenet[auth]'") from None
        logger.info("services: %s", ", ".join(service.name for service in server.services[:-1]))
        if args.reflection if args.reflection is not None else _are_local(placement.urls):
            _add_reflection(server)
        elif args.reflection is None:
            logger.info("reflection is off, as callers may come from elsewhere: --reflection")
        _check_rules(args, server)
        async with contextlib.AsyncExitStack() as stack:
            tls = tls_source(args) if args.spiffe is None else await _spiffe(args.spiffe, stack)
            for url in placement.urls:
                await _listen(server, url, tls, placement)
            await stack.enter_async_context(telling(args, placement, server, metrics))
            yield _Running(args, server, health, tls)


async def _spiffe(endpoint: str, stack: contextlib.AsyncExitStack) -> TlsSource:
    """Wait for an identity, and follow it as long as the server runs."""
    from catenet.rpc import RpcError
    from catenet.rpc.spiffe import WorkloadIdentity

    try:
        identity = WorkloadIdentity(endpoint)
    except ValueError as error:
        raise UsageError(f"--spiffe: {error}") from None
    stack.push_async_callback(identity.close)
    try:
        await identity.start(_SPIFFE_PATIENCE)
    except (TimeoutError, RpcError) as error:
        raise UsageError(f"--spiffe: {error}") from None
    logger.info("identity: %s", identity.svid.spiffe_id)
    return identity.server()


def _telemetry(args: argparse.Namespace, metrics: Metrics | None) -> dict[str, Any]:
    """Return what watches the server's calls. Raises `ValueError` if OpenTelemetry is not installed."""
    if not args.opentelemetry:
        return {"metrics": metrics}
    from catenet.rpc.services.telemetry import SeveralMetrics, Telemetry, TelemetryMetrics

    spans, counts = Telemetry(), TelemetryMetrics()
    return {"interceptors": [spans], "metrics": counts if metrics is None else SeveralMetrics([metrics, counts])}


def _are_local(urls: Sequence[str]) -> bool:
    """Whether only this machine can call."""
    from catenet.rpc.model.local_names import is_local

    targets = [parse_target(url, listening=True, schemes=KIND.schemes) for url in urls]
    return all(target.unix or is_local(target.host) for target in targets)


def _browsers(args: argparse.Namespace, services: Sequence[Any], placement: Placement) -> dict[str, Any]:
    """Return the explorer's page, if it was asked for, and under which names pages may call.

    A name of somebody else's that points to this machine (DNS rebinding) would make a page from anywhere one of ours.
    """
    hosts = frozenset(args.browser_host)
    if not args.explorer:
        if args.explorer_host:
            raise UsageError("--explorer-host goes with --explorer")
        reachable = any(not url.startswith("unix:") for url in placement.urls)  # by a browser
        return {"browser_hosts": hosts} if hosts or (reachable and _are_local(placement.urls)) else {}
    from catenet.rpc.services.explorer.app import Explorer

    explorer = Explorer(services, args.explorer_host)
    return {"app": explorer, "browser_hosts": explorer.hosts | hosts}


def _guard(args: argparse.Namespace, kept: Audit | None = None) -> Guard | None:
    """What stands before the handlers; None if nothing does. `kept`: an audit log that is open already."""
    wanted = ("policy", "policy_dry_run", "audit", "audit_requests", "validate")
    if not any(getattr(args, name) for name in wanted):
        return None
    from catenet.rpc import Guard
    from catenet.rpc.policy.audit import Audit
    from catenet.rpc.policy.table import PolicyError, PolicyFile, read_policy

    if args.policy_dry_run and not args.policy:
        raise UsageError("--policy-dry-run needs --policy FILE")
    if args.audit_requests and not args.audit:
        raise UsageError("--audit-requests needs --audit FILE")
    try:
        file: PolicyFile | None = read_policy(args.policy) if args.policy else None
    except PolicyError as error:
        raise UsageError(str(error)) from None
    try:
        audit = kept or (Audit.open(args.audit, requests=args.audit_requests) if args.audit else None)
    except OSError as error:
        raise UsageError(f"--audit {args.audit}: {error.strerror or error}") from None
    validate = args.validate or (file is not None and file.validate)
    if file is None:
        return Guard(audit=audit, validate=validate)
    return Guard(
        file.policy,
        tokens=file.tokens,
        limits=file.limits,
        audit=audit,
        validate=validate,
        enforce=not args.policy_dry_run,
    )


def _check_rules(args: argparse.Namespace, server: Server) -> None:
    """A rule for a method that is not there is a mistake: what it denies would be allowed."""
    policy = server.guard.policy if server.guard is not None else None
    if policy is not None:
        try:
            policy.check_methods(method.full_name for service in server.services for method in service.methods)
        except ValueError as error:
            raise UsageError(str(error)) from None


def _add_reflection(server: Server) -> None:
    from catenet.rpc.services.reflection import reflection_services

    for service in reflection_services(list(server.services)):
        server.add(service)


async def _listen(server: Server, url: str, tls: TlsSource | None, placement: Placement) -> None:
    try:
        await server.listen(url, tls=tls, reuse_port=placement.reuse_port, sock=placement.shared.get(url))
    except (OSError, ValueError) as error:
        raise cannot_listen([url], error) from None
