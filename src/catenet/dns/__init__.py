"""Names of the DNS: asking servers, as a program or from the command line."""

from catenet.dns.client import Reply, ask, lookup
from catenet.dns.config import parse_resolv_conf, system_config

__all__ = ["Reply", "ask", "lookup", "parse_resolv_conf", "system_config"]
