"""What a process does to itself so that nothing leaves it: it gives up network, rights and system calls for good.

Nothing here knows of hosts and worlds. `closing.py` is where to begin; docs/design/enclosure.md has the reasons.
"""
