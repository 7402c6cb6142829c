"""Plays and reports each score, with asyncio; then checks that none was lost.

python alice.py tcp://127.0.0.1:50051
"""

from __future__ import annotations

import asyncio
import random
import sys
import uuid

from hiscore_pb2 import GetRequest, Rank, Score, TopRequest

from catenet.rpc import Channel, Code, RpcError
from hiscore_rpc import HiScoreClient

ROUNDS = 25
PATIENCE = 20
GAME = "tetris"


async def submit(client: HiScoreClient, score: Score) -> Rank:
    """Report a score. The channel repeats what it may; what is left is a deadline that passed while all was down."""
    for _ in range(PATIENCE):
        try:
            return await client.submit(score, timeout=2.0, wait_for_ready=True)
        except RpcError as error:
            print(f"submit: {error}, trying again", flush=True)
            if error.code not in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
                raise
    raise SystemExit("submit: gave up")


async def main(url: str) -> None:
    async with Channel(url) as channel:
        client = HiScoreClient(channel)
        acknowledged = set()
        for number in range(ROUNDS):
            await asyncio.sleep(random.uniform(0.1, 0.6))
            score = Score(id=str(uuid.uuid4()), game=GAME, player="alice", points=random.randrange(1000))
            rank = await submit(client, score)
            acknowledged.add(score.id)
            if number % 5 == 4:
                best = await client.get(GetRequest(game=GAME), timeout=10.0, wait_for_ready=True)
                print(f"round {number + 1}: place {rank.place}, the best has {best.points} points", flush=True)
        stored = [
            score.id
            async for score in client.top(TopRequest(game=GAME), timeout=10.0, wait_for_ready=True)
            if score.player == "alice"
        ]
    if sorted(stored) != sorted(acknowledged):
        raise SystemExit(f"{len(acknowledged)} scores were acknowledged, {len(stored)} are stored")
    print(f"all {len(stored)} scores are stored, each once", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
