"""Send lines to upper_server.py and print what comes back: upper_client.py HOST PORT [LINE...]."""

import socket
import sys


def main() -> None:
    host, port, *lines = sys.argv[1:]
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall("".join(f"{line}\n" for line in [*lines, "."]).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("r") as answer:
            for line in answer:
                print(line, end="")


if __name__ == "__main__":
    main()
