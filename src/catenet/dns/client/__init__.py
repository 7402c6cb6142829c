"""Asking name servers on an event loop: one question of one server, or a name by the habits of resolv.conf(5)."""

from catenet.dns.client.asking import Client, ask
from catenet.dns.client.lookup import lookup
from catenet.dns.client.query import Query, Reply
from catenet.dns.client.schemes import SCHEMES

__all__ = ["SCHEMES", "Client", "Query", "Reply", "ask", "lookup"]
