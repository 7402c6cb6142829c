"""Segments out: output, acknowledgements of them, retransmission, path MTU, pacing."""
