"""Resolve a name to addresses: resolve.py [-4 | -6] NAME [SERVICE]."""

import argparse
import socket
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description="Resolve a name to addresses.")
    family = parser.add_mutually_exclusive_group()
    family.add_argument("-4", dest="family", action="store_const", const=socket.AF_INET, help="IPv4 only")
    family.add_argument("-6", dest="family", action="store_const", const=socket.AF_INET6, help="IPv6 only")
    parser.add_argument("name")
    parser.add_argument("service", nargs="?", default=None)
    args = parser.parse_args()
    try:
        found = socket.getaddrinfo(args.name, args.service, args.family or socket.AF_UNSPEC, socket.SOCK_STREAM)
    except socket.gaierror as error:
        print(f"{args.name}: {error.strerror}", file=sys.stderr)
        return 1
    for kind, _type, _protocol, _canonical, address in found:
        print("IPv4" if kind == socket.AF_INET else "IPv6", *address[:2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
