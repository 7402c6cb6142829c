"""The Trivial File Transfer Protocol (RFC 1350): files in blocks over UDP, with its options."""
