"""Plays without asyncio: each game is one call in which scores go one way and ranks the other.

python bob.py tcp://127.0.0.1:50051
"""

from __future__ import annotations

import random
import sys
import time
import uuid

from hiscore_pb2 import Score, TopRequest

from catenet.rpc import RpcError, SyncChannel
from hiscore_rpc import HiScoreSyncClient

GAMES = ["tetris", "pong", "pacman", "galaga"]
PATIENCE = 20
ROUNDS = 5


def play(client: HiScoreSyncClient, scores: list[Score]) -> list[int]:
    """Send scores and return the place of each; the ids make it safe to begin again."""
    with client.play(timeout=5.0, wait_for_ready=True) as call:
        places = []
        for score in scores:
            call.send(score)
            rank = call.receive()
            if rank is None:
                break
            places.append(rank.place)
        call.done()
        return places


def play_until_done(client: HiScoreSyncClient, scores: list[Score]) -> list[int]:
    for attempt in range(PATIENCE):
        try:
            return play(client, scores)
        except RpcError as error:
            print(f"{scores[0].game}: {error}, again", flush=True)
            time.sleep(min(2.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))
    raise SystemExit(f"{scores[0].game}: gave up")


def main(url: str) -> None:
    with SyncChannel(url) as channel:
        client = HiScoreSyncClient(channel)
        for game in GAMES:
            scores = [
                Score(id=str(uuid.uuid4()), game=game, player="bob", points=random.randrange(1000))
                for _ in range(ROUNDS)
            ]
            print(f"{game}: places {play_until_done(client, scores)}", flush=True)
            time.sleep(random.uniform(0.5, 2.0))
            stored = client.top(TopRequest(game=game), timeout=10.0, wait_for_ready=True)
            if sum(score.player == "bob" for score in stored) != ROUNDS:
                raise SystemExit(f"{game}: scores are missing")


if __name__ == "__main__":
    main(*sys.argv[1:])
