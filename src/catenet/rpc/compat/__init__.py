"""Whether a newer interface still does for those who have an older one: the wire, JSON, XML and generated source.

`compare` is pure: descriptors in, findings out. `catenet rpc compat` is the command, docs/rpc-compat.md the guide.
"""

from catenet.rpc.compat.compare import compare
from catenet.rpc.compat.rules import CATEGORIES, RULES, Finding, UnknownRule, rules_of

__all__ = ["CATEGORIES", "RULES", "Finding", "UnknownRule", "compare", "rules_of"]
