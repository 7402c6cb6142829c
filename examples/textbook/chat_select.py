"""A chat server on select(2): chat_select.py [PORT]. The sockets of interest are handed over anew at each call."""

import select
import sys

from chat_room import Room


def main() -> None:
    room = Room(int(sys.argv[1]) if len(sys.argv) > 1 else 7010)
    while True:
        waiting_to_write = [member for member, unsent in room.unsent.items() if unsent]
        readable, writable, _ = select.select([room.listener, *room.received], waiting_to_write, [])
        for ready in readable:
            if ready is room.listener:
                room.accept()
            elif ready in room.received:
                room.read(ready)
        for member in writable:
            room.write(member)


if __name__ == "__main__":
    main()
