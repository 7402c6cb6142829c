"""Keeps high scores: the service of hiscore.proto over one SQLite file.

    python server.py tcp://0.0.0.0:50051

or, by the command line: catenet rpc serve hiscore.proto server:HiScore
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from hiscore_pb2 import GetRequest, LoadSummary, Rank, Score, TopRequest

from catenet.rpc import Code, Context, RpcError, Server
from hiscore_rpc import HiScoreService

COLUMNS = "id TEXT PRIMARY KEY, game TEXT NOT NULL, player TEXT NOT NULL, points INTEGER NOT NULL"


class HiScore(HiScoreService):
    def __init__(self, folder: Path | None = None) -> None:
        # systemd gives a service its folder by this variable.
        folder = folder or Path(os.environ.get("STATE_DIRECTORY", "."))
        self.database = sqlite3.connect(folder / "hiscore_rpc.db")
        self.database.execute(f"CREATE TABLE IF NOT EXISTS scores ({COLUMNS})")

    async def get(self, request: GetRequest, context: Context) -> Score:
        async for score in self.top(TopRequest(game=request.game, limit=1), context):
            return score
        raise RpcError(Code.NOT_FOUND, f"nobody has played {request.game!r}")

    async def submit(self, request: Score, context: Context) -> Rank:
        return self.add(request)

    async def top(self, request: TopRequest, context: Context) -> AsyncIterator[Score]:
        query = "SELECT id, game, player, points FROM scores WHERE game = ? ORDER BY points DESC, id LIMIT ?"
        for id_, game, player, points in self.database.execute(query, (request.game, request.limit or -1)):
            yield Score(id=id_, game=game, player=player, points=points)

    async def load(self, requests: AsyncIterator[Score], context: Context) -> LoadSummary:
        ranks = [self.add(score) async for score in requests]
        return LoadSummary(scores=len(ranks), records=sum(rank.place == 1 for rank in ranks))

    async def play(self, requests: AsyncIterator[Score], context: Context) -> AsyncIterator[Rank]:
        async for score in requests:
            yield self.add(score)

    def add(self, score: Score) -> Rank:
        if not score.id or not score.game or not score.player:
            raise RpcError(Code.INVALID_ARGUMENT, "a score needs id, game and player")
        with self.database:
            row = (score.id, score.game, score.player, score.points)
            self.database.execute("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)", row)
        query = "SELECT count(*) FROM scores WHERE game = ? AND points > ?"
        better = self.database.execute(query, (score.game, score.points)).fetchone()[0]
        return Rank(game=score.game, player=score.player, place=better + 1)

    def count(self) -> int:
        return int(self.database.execute("SELECT count(*) FROM scores").fetchone()[0])


async def main(url: str) -> None:
    service = HiScore()
    server = Server([service])
    await server.listen(url)
    print(f"listening, with {service.count()} scores", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
