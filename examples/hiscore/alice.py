"""Plays and reports each score to the server, with asyncio and httpx; then checks that none was lost.

python alice.py http://127.0.0.1:8080
"""

from __future__ import annotations

import asyncio
import random
import sys
import uuid

import httpx

ROUNDS = 25
PATIENCE = 40
"""Attempts per request: a server that is down comes back, a cable gets plugged in again."""


async def ask(client: httpx.AsyncClient, method: str, path: str, **options: object) -> httpx.Response:
    """Send a request until there is an answer; every request here may be sent twice without harm."""
    for attempt in range(PATIENCE):
        try:
            response = await client.request(method, path, **options)
            if response.status_code < 500:
                return response.raise_for_status()
            problem = f"status {response.status_code}"
        except httpx.TransportError as error:
            problem = type(error).__name__
        print(f"{method} {path}: {problem}, trying again", flush=True)
        await asyncio.sleep(min(2.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))
    raise SystemExit(f"{method} {path}: gave up")


async def play(client: httpx.AsyncClient, player: str) -> dict[str, int]:
    """Play all rounds and return the acknowledged scores."""
    acknowledged = {}
    for number in range(ROUNDS):
        await asyncio.sleep(random.uniform(0.1, 0.6))
        score = {"id": str(uuid.uuid4()), "player": player, "points": random.randrange(1000)}
        answer = (await ask(client, "POST", "/scores", json=score)).json()
        acknowledged[answer["id"]] = score["points"]
        if number % 5 == 4:
            print(f"round {number + 1}: {score['points']} points, the best so far are {answer['best']}", flush=True)
    return acknowledged


async def main(server: str) -> None:
    async with httpx.AsyncClient(base_url=server, timeout=1.0) as client:
        acknowledged = await play(client, "alice")
        stored = (await ask(client, "GET", "/scores", params={"player": "alice"})).json()
    lost = acknowledged.keys() - {score["id"] for score in stored}
    if lost or len({score["id"] for score in stored}) != len(stored):
        raise SystemExit(f"{len(lost)} acknowledged scores are not in the database")
    print(f"all {len(acknowledged)} scores are in the database", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"))
