"""`World.at`: which actions a run waits for, and what they are called with."""

from __future__ import annotations

import time

from catenet.world import World


def test_a_run_waits_for_programs_that_an_action_starts() -> None:
    started: list[float] = []
    with World() as world:
        host = world.host("a")
        world.at(50.0, host.run, lambda: started.append(time.monotonic() - 1000), daemon=False)
        world.at(100.0, host.restart)
        world.run()
    assert started == [50.0, 100.0]


def test_a_run_does_not_wait_for_other_actions() -> None:
    called: list[str] = []
    with World() as world:
        host = world.host("a")
        host.run(time.sleep, 1)
        world.at(50.0, called.append, "a function")
        world.at(60.0, host.crash)
        world.run()
        assert world.now < 50
        world.run(until=70)
    assert called == ["a function"] and not host.up


def test_an_action_of_the_same_name_is_another_one() -> None:
    class Elsewhere:
        def restart(self) -> None:
            """Not that of a host."""

    with World() as world:
        world.host("a").run(time.sleep, 1)
        world.at(50.0, Elsewhere().restart)
        world.run()
        assert world.now < 50
