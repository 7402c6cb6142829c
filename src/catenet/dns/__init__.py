"""Names of the DNS: asking servers, as a program or from the command line."""

from catenet.dns.client import Reply, ask, lookup
from catenet.dns.config import system_config
from catenet.wire.dns.resolv_conf import parse_resolv_conf

__all__ = ["Reply", "ask", "lookup", "parse_resolv_conf", "system_config"]
