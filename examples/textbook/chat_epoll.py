"""A chat server on edge-triggered epoll(7): chat_epoll.py [PORT].

An edge is told once: so read until there is nothing left, and try to write whenever there is something to write.
"""

import select
import socket
import sys

from chat_room import Room

EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


def main() -> None:
    room = Room(int(sys.argv[1]) if len(sys.argv) > 1 else 7010)
    epoll = select.epoll()
    epoll.register(room.listener, select.EPOLLIN | select.EPOLLET)
    members: dict[int, socket.socket] = {}
    while True:
        for fd, _ in epoll.poll():
            if fd == room.listener.fileno():
                while newcomer := room.accept():
                    members[newcomer.fileno()] = newcomer
                    epoll.register(newcomer, EDGES)
            elif fd in members:
                while members[fd] in room.received and room.read(members[fd]):
                    pass
        for fd, member in list(members.items()):
            room.write(member)
            if member not in room.received:
                del members[fd]  # closed: the kernel has already forgotten it


if __name__ == "__main__":
    main()
