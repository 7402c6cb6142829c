"""A UDP client that waits only so long for the answer and then asks again: udp_client.py HOST PORT [QUESTION...]."""

import socket
import sys

FIRST_TIMEOUT = 0.5
"""Seconds; doubled for each attempt, since a lost datagram may mean a crowded network."""

ATTEMPTS = 6


def ask(host: str, port: int, question: str) -> str | None:
    """Return the answer, or None after the last attempt."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as client:
        client.connect(address)  # only this peer's answers, and its ICMP errors, reach us
        for attempt in range(ATTEMPTS):
            client.settimeout(FIRST_TIMEOUT * 2**attempt)
            try:
                client.send(question.encode())
                answer = client.recv(2048).decode()
            except TimeoutError:
                print(f"no answer, attempt {attempt + 1}", file=sys.stderr)
                continue
            if answer.startswith(question):  # a late answer to an earlier question is not ours
                return answer
    return None


def main() -> int:
    host, port, *questions = sys.argv[1:]
    for question in questions or ["where am I"]:
        answer = ask(host, int(port), question)
        if answer is None:
            print(f"{host} did not answer", file=sys.stderr)
            return 1
        print(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
