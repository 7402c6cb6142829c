"""Ours takes every case as the page says, and has reasons there; by a sample the peers still do so too."""

import asyncio

import pytest
from tests.http.strictness import libraries, servers, table
from tests.peers import program

VERSIONS, KEPT = table.load()


@pytest.mark.parametrize("kind", table.KINDS)
def test_ours_takes_every_case_as_it_is_written_down(kind):
    cases, serve = table.KINDS[kind]
    found = {table.key(case): serve(case.data) for case in cases}
    assert found == {key: row.partition(" | ")[0] for key, row in KEPT[kind].items()}
    assert len(found) == len(cases)


def test_there_are_enough_and_where_we_accept_more_there_is_a_reason():
    assert sum(len(cases) for cases, _ in table.KINDS.values()) >= 400
    for kind, (cases, _) in table.KINDS.items():
        for case in cases:
            mine, _, letters = KEPT[kind][table.key(case)].partition(" | ")
            assert case.why or mine[0] != "A" or "R" not in letters, table.key(case)


def test_nothing_that_we_accept_is_read_as_two():
    """`S` in ours: what follows the message was taken for something else."""
    assert [key for rows in KEPT.values() for key, row in rows.items() if row[0] == "S"] == [
        "Body: shorter by two lines"
    ]


def test_the_page_is_made_of_what_was_kept():
    assert table.PAGE.read_text() == table.page()


def sample(kind, peer):
    """Every seventh case, and what is kept of it."""
    at = table.PEERS.index(peer)
    cases, serve = table.KINDS[kind]
    return [(case, serve(case.data), KEPT[kind][table.key(case)].partition(" | ")[2][at]) for case in cases[::7]]


LIBRARIES = [(kind, peer) for kind in table.KINDS for peer in getattr(libraries, kind.upper())]


@pytest.mark.parametrize(("kind", "peer"), LIBRARIES)
def test_libraries_still_take_them_so(kind, peer):
    if table.version(peer) != VERSIONS[peer]:
        pytest.skip(f"the page was made with {peer} {VERSIONS[peer]}")
    serve = getattr(libraries, kind.upper())[peer]
    found = {table.key(case): table.letter(mine, serve(case.data)) for case, mine, _ in sample(kind, peer)}
    assert found == {table.key(case): kept for case, _, kept in sample(kind, peer)}


@pytest.mark.peer
@pytest.mark.parametrize("peer", ["aiohttp", "uvicorn", "nginx", "haproxy", "Apache"])
def test_servers_still_take_them_so(peer):
    """Without what is told by a wait, or by which comes first (haproxy answers while chunks are still coming)."""
    if peer in servers.PROXIES and program(servers.PROXIES[peer]) is None:
        pytest.skip(f"needs {servers.PROXIES[peer]}")
    if table.version(peer) != VERSIONS[peer]:
        pytest.skip(f"the page was made with {peer} {VERSIONS[peer]}")
    chosen = [(case, mine, kept) for case, mine, kept in sample("requests", peer) if kept in "RA"]
    chosen = [each for each in chosen if peer != "haproxy" or b"chunked" not in each[0].data]

    async def run():
        if peer in servers.SERVERS:
            async with servers.SERVERS[peer]() as address:
                return await servers.play(address, [case.data for case, _, _ in chosen], 10)
        async with servers.proxy(servers.PROXIES[peer]) as started:
            return await servers.play(started[0][0], [case.data for case, _, _ in chosen], 10)

    outcomes = asyncio.run(run())
    found = {table.key(case): table.letter(mine, got) for (case, mine, _), got in zip(chosen, outcomes, strict=True)}
    assert found == {table.key(case): kept for case, _, kept in chosen}
