"""Talk in a chat room: chat_client.py HOST PORT NAME [--say LINE]... [--seconds N]."""

import argparse
import socket
import threading
import time


def listen(room: socket.socket) -> None:
    with room.makefile("r", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            print(line, end="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Say lines in a chat room and print what the others say.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("name")
    parser.add_argument("--say", action="append", default=[], metavar="LINE", help="say this, one line a second")
    parser.add_argument("--seconds", type=float, default=10, help="stay for so long after the last line")
    args = parser.parse_args()
    with socket.create_connection((args.host, args.port)) as room:
        listener = threading.Thread(target=listen, args=(room,))
        listener.start()
        for line in args.say:
            time.sleep(1)
            room.sendall(f"{args.name}: {line}\n".encode())
        time.sleep(args.seconds)
        room.shutdown(socket.SHUT_WR)  # the server answers by closing, which ends the listener
        listener.join()


if __name__ == "__main__":
    main()
