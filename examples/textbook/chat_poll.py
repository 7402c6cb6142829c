"""A chat server on poll(2): chat_poll.py [PORT]. Interest is registered once per socket and changed when it changes."""

import select
import sys

from chat_room import Room


def main() -> None:
    room = Room(int(sys.argv[1]) if len(sys.argv) > 1 else 7010)
    poll = select.poll()
    poll.register(room.listener, select.POLLIN)
    interest = {room.listener.fileno(): (room.listener, select.POLLIN)}
    while True:
        for fd, event in poll.poll():
            ready, _ = interest[fd]
            if ready is room.listener:
                room.accept()
            else:
                if event & ~select.POLLOUT and ready in room.received:
                    room.read(ready)
                if event & select.POLLOUT:
                    room.write(ready)
        for fd, (member, _) in list(interest.items()):
            if member is not room.listener and member not in room.unsent:
                poll.unregister(fd)
                del interest[fd]
        for member, unsent in room.unsent.items():
            wanted = select.POLLIN | (select.POLLOUT if unsent else 0)
            if interest.get(member.fileno()) != (member, wanted):
                poll.register(member, wanted)
                interest[member.fileno()] = (member, wanted)


if __name__ == "__main__":
    main()
