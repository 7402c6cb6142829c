"""A server that answers and closes without having read the whole request; it ends after as many as it is told to."""

import socket
import sys

with socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    print("listening", flush=True)
    for _ in range(int(sys.argv[1])):
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nconnection: close\r\n\r\n")
    connection, _ = listener.accept()
    connection.recv(100)
    connection.sendall(bytes(10_000))
    sys.exit(0)
