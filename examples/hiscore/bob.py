"""Plays and reports each score to the server, with requests and no asyncio; then checks that none was lost.

python bob.py http://127.0.0.1:8080
"""

from __future__ import annotations

import random
import sys
import time
import uuid

import requests

ROUNDS = 25
PATIENCE = 40


def ask(session: requests.Session, method: str, url: str, **options: object) -> requests.Response:
    """Send a request until there is an answer; every request here may be sent twice without harm."""
    for attempt in range(PATIENCE):
        try:
            response = session.request(method, url, timeout=1.0, **options)
            if response.status_code < 500:
                response.raise_for_status()
                return response
            problem = f"status {response.status_code}"
        except (requests.ConnectionError, requests.Timeout) as error:
            problem = type(error).__name__
        print(f"{method} {url}: {problem}, trying again", flush=True)
        time.sleep(min(2.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))
    raise SystemExit(f"{method} {url}: gave up")


def play(session: requests.Session, server: str, player: str) -> dict[str, int]:
    """Play all rounds and return the acknowledged scores."""
    acknowledged = {}
    for number in range(ROUNDS):
        time.sleep(random.uniform(0.1, 0.6))
        score = {"id": str(uuid.uuid4()), "player": player, "points": random.randrange(1000)}
        answer = ask(session, "POST", f"{server}/scores", json=score).json()
        acknowledged[answer["id"]] = score["points"]
        if number % 5 == 4:
            print(f"round {number + 1}: {score['points']} points, the best so far are {answer['best']}", flush=True)
    return acknowledged


def main(server: str) -> None:
    with requests.Session() as session:
        acknowledged = play(session, server, "bob")
        stored = ask(session, "GET", f"{server}/scores", params={"player": "bob"}).json()
        top = ask(session, "GET", f"{server}/top").json()
    lost = acknowledged.keys() - {score["id"] for score in stored}
    if lost or len({score["id"] for score in stored}) != len(stored):
        raise SystemExit(f"{len(lost)} acknowledged scores are not in the database")
    print(
        f"all {len(acknowledged)} scores are in the database; {top[0]['player']} leads with {top[0]['points']}",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
