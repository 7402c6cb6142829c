"""Keeps high scores: an aiohttp server over one SQLite file.

POST /scores with {"id": ..., "player": ..., "points": ...} stores a score; the client chooses the id, so that a request
sent again stores nothing twice. GET /scores?player=NAME lists a player's scores, GET /top the ten best.

    python server.py --port 8080
"""

from __future__ import annotations

import argparse
import os
import sqlite3
from pathlib import Path

from aiohttp import web

DATABASE = web.AppKey("database", sqlite3.Connection)


def open_database(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "hiscore.db")
    database.execute(
        "CREATE TABLE IF NOT EXISTS scores (id TEXT PRIMARY KEY, player TEXT NOT NULL, points INTEGER NOT NULL)"
    )
    database.commit()
    return database


async def add_score(request: web.Request) -> web.Response:
    score = await request.json()
    database = request.app[DATABASE]
    with database:
        added = database.execute(
            "INSERT OR IGNORE INTO scores VALUES (?, ?, ?)", (score["id"], score["player"], score["points"])
        ).rowcount
    best = database.execute("SELECT max(points) FROM scores").fetchone()[0]
    return web.json_response({"id": score["id"], "best": best}, status=201 if added else 200)


async def list_scores(request: web.Request) -> web.Response:
    rows = request.app[DATABASE].execute(
        "SELECT id, points FROM scores WHERE player = ? ORDER BY id", (request.query["player"],)
    )
    return web.json_response([{"id": id_, "points": points} for id_, points in rows])


async def list_top(request: web.Request) -> web.Response:
    rows = request.app[DATABASE].execute("SELECT player, points FROM scores ORDER BY points DESC, id LIMIT 10")
    return web.json_response([{"player": player, "points": points} for player, points in rows])


async def count_at_start(app: web.Application) -> None:
    count = app[DATABASE].execute("SELECT count(*) FROM scores").fetchone()[0]
    print(f"listening, with {count} scores", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8080)
    # systemd gives a service its folder by this variable.
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("STATE_DIRECTORY", ".")))
    args = parser.parse_args()
    app = web.Application()
    app[DATABASE] = open_database(args.folder)
    app.add_routes([web.post("/scores", add_score), web.get("/scores", list_scores), web.get("/top", list_top)])
    app.on_startup.append(count_at_start)
    web.run_app(app, port=args.port, print=None, shutdown_timeout=1)


if __name__ == "__main__":
    main()
