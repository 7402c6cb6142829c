"""The decisions of a pool: each rule by an example, and all of them against a model that does anything."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from catenet.net.pool import Pool, PoolLimits

WIDE = PoolLimits(max_connections=None, max_keepalive=None, keepalive_expiry=None)


class Connection:
    """Takes `capacity` exchanges at once."""

    def __init__(self, capacity=1, lasting=False):
        self.capacity = capacity
        self.running = 0
        self.closed = False
        self.lasting = lasting
        self.idle_since = 0.0

    @property
    def room(self):
        return 0 if self.closed else self.capacity - self.running

    @property
    def busy(self):
        return self.running > 0

    @property
    def shared(self):
        return self.capacity > 1


class Driver:
    """Carries out what a pool decides, at once; connecting succeeds when the test says so."""

    def __init__(self, **limits):
        self.pool = Pool(PoolLimits(**limits))
        self.now = 0.0
        self.opening = []
        self.slots = {}
        self.closed = []
        self.granted = []

    def act(self):
        decisions = self.pool.decide(self.now)
        self.opening += decisions.open
        self.granted += decisions.grant
        for connection in decisions.close:
            assert not connection.busy
            connection.closed = True
            self.closed.append(connection)
            del self.slots[connection]

    def call(self, key="a"):
        """Return a connection in use, or the ticket of a caller who waits."""
        connection = self.pool.pick(key, self.now)
        if connection is None:
            ticket = self.pool.wait(key)
            self.act()
            return ticket
        connection.running += 1
        return connection

    def connect(self, capacity=1, lasting=False):
        slot = self.opening.pop(0)
        connection = Connection(capacity, lasting)
        connection.idle_since = self.now
        self.slots[connection] = slot
        self.pool.connected(slot, connection)
        self.act()
        return connection

    def begin(self):
        """The caller that was let go on first begins."""
        ticket = self.granted.pop(0)
        connection = ticket.slot.member
        self.pool.begun(ticket)
        assert connection.room > 0
        connection.running += 1
        return connection, ticket

    def end(self, connection):
        connection.running -= 1
        connection.idle_since = self.now
        if self.pool.changed(self.slots[connection]):
            self.act()

    def lose(self, connection):
        connection.closed = True
        self.pool.lost(self.slots.pop(connection))
        self.act()


def test_ten_callers_get_ten_connections():
    driver = Driver()
    driver.pool.add("a", first := Connection())
    first.running = 1
    tickets = [driver.call() for _ in range(10)]
    assert len(driver.opening) == 10
    for ticket in tickets:
        driver.connect()
        assert driver.begin()[1] is ticket


def test_to_an_unknown_server_one_connection_is_tried_first():
    driver = Driver()
    for _ in range(10):
        driver.call()
    assert len(driver.opening) == 1
    driver.connect()
    assert len(driver.opening) == 9


def test_callers_share_a_connection_that_can_be_shared():
    driver = Driver()
    for _ in range(10):
        driver.call()
    shared = driver.connect(capacity=4)
    assert len(driver.granted) == 4 and not driver.opening
    for _ in range(4):
        driver.begin()
    driver.end(shared)
    assert len(driver.granted) == 1 and driver.pool.count == 1


def test_more_shared_connections_if_they_are_allowed():
    driver = Driver(max_shared=2)
    for _ in range(10):
        driver.call()
    driver.connect(capacity=4)
    assert len(driver.opening) == 1
    driver.connect(capacity=4)
    assert len(driver.granted) == 8 and not driver.opening


def test_the_limit_holds_and_callers_are_served_in_their_order():
    driver = Driver(max_connections=2)
    tickets = [driver.call() for _ in range(6)]
    driver.connect()
    driver.connect()
    assert not driver.opening and driver.pool.count == 2
    served = []
    while driver.granted:
        connection, ticket = driver.begin()
        served.append(ticket)
        assert not driver.pool.waiting("a") or driver.pool.pick("a", 0.0) is None
        driver.end(connection)
    assert served == tickets


def test_nobody_overtakes_a_caller_who_waits():
    driver = Driver(max_connections=1)
    connection = driver.call() and driver.connect()
    driver.begin()
    waiting = driver.call()
    connection.running = 0
    assert driver.pool.pick("a", 0.0) is None
    driver.pool.changed(driver.slots[connection])
    driver.act()
    assert driver.granted == [waiting]
    assert driver.pool.pick("a", 0.0) is None  # it is promised, though nothing runs on it yet


def test_a_caller_who_gives_up_passes_on_what_it_was_promised():
    driver = Driver(max_connections=1)
    first, second, third = driver.call(), driver.call(), driver.call()
    driver.pool.forget(second)
    driver.connect()
    assert driver.granted == [first]
    driver.granted.clear()
    driver.pool.forget(first)
    driver.act()
    assert driver.granted == [third]
    driver.granted.clear()
    driver.pool.forget(third)
    driver.act()
    assert not driver.granted and driver.pool.outstanding == 0
    assert driver.pool.pick("a", 0.0) is not None


def test_a_caller_that_picks_and_does_not_use_it_leaves_nothing_behind():
    driver = Driver(max_connections=1)
    driver.call()
    connection = driver.connect()
    driver.begin()
    driver.end(connection)
    for _ in range(3):
        assert driver.pool.pick("a", 0.0) is connection


def test_the_one_used_last_is_used_next_and_the_others_expire():
    driver = Driver(keepalive_expiry=5.0)
    for _ in range(3):
        driver.call()
    driver.connect()
    connections = [driver.slots and next(reversed(driver.slots)), driver.connect(), driver.connect()]
    for _ in connections:
        driver.begin()
    for connection in connections:
        driver.end(connection)
    for driver.now in (1.0, 2.0, 3.0):
        assert driver.call() is connections[2]
        driver.end(connections[2])
    assert driver.pool.next_deadline() == 5.0
    driver.now = 5.0
    driver.pool.handle_timeout(driver.now)
    driver.act()
    assert driver.closed == connections[:2]
    assert driver.pool.next_deadline() == 8.0


def test_an_expired_connection_is_not_picked_though_the_timer_is_late():
    driver = Driver(keepalive_expiry=5.0)
    driver.call()
    connection = driver.connect()
    driver.begin()
    driver.end(connection)
    driver.now = 5.1
    assert driver.pool.pick("a", driver.now) is None and driver.pool.undecided
    driver.act()
    assert driver.closed == [connection]


@pytest.mark.parametrize("lasting", [True, False])
def test_what_lasts_does_not_expire(lasting):
    driver = Driver(keepalive_expiry=5.0, max_keepalive=0)
    driver.call()
    driver.connect(lasting=lasting)
    connection, _ = driver.begin()
    connection.running = 0
    driver.pool.changed(driver.slots[connection])
    driver.act()
    driver.pool.handle_timeout(100.0)
    driver.act()
    assert driver.closed == ([] if lasting else [connection])
    assert driver.pool.next_deadline() is None


def test_no_more_idle_ones_than_the_limit():
    driver = Driver(max_keepalive=2)
    for _ in range(5):
        driver.call()
    driver.connect()
    while driver.opening:
        driver.connect()
    connections = [driver.begin()[0] for _ in range(5)]
    for connection in connections:
        driver.end(connection)
    assert driver.closed == connections[:3] and driver.pool.count == 2


def test_an_idle_connection_gives_way_to_another_key():
    driver = Driver(max_connections=1)
    driver.call("a")
    old = driver.connect()
    driver.begin()
    waiting = driver.call("b")
    assert not driver.opening
    driver.end(old)
    assert driver.closed == [old] and len(driver.opening) == 1
    driver.connect()
    assert driver.granted == [waiting]


def test_keys_take_their_turns_at_the_limit():
    """A busy key does not starve another: who came first is served first."""
    driver = Driver(max_connections=1)
    driver.call("a")
    connection = driver.connect()
    driver.begin()
    other = driver.call("b")
    driver.call("a")
    driver.end(connection)
    assert not driver.granted and driver.closed == [connection]
    driver.connect()
    assert driver.granted == [other]


def test_keys_take_their_turns_again_and_again():
    driver = Driver(max_connections=1)
    driver.call("a")
    connection = driver.connect()
    driver.begin()
    tickets = [driver.call(key) for key in "abacbac"]
    served = []
    for _ in tickets:
        driver.end(connection)
        if driver.opening:
            driver.connect()
        connection, ticket = driver.begin()
        served.append(ticket)
    assert served == tickets


def test_a_paused_key_opens_nothing_until_it_is_time():
    driver = Driver()
    driver.pool.pause("a", 3.0)
    driver.call()
    assert not driver.opening and driver.pool.next_deadline() == 3.0
    driver.now = 3.0
    driver.pool.handle_timeout(3.0)
    driver.act()
    assert len(driver.opening) == 1 and driver.pool.next_deadline() is None


def test_what_fails_is_tried_again_and_only_if_it_is_needed():
    driver = Driver()
    ticket = driver.call()
    driver.pool.failed(driver.opening.pop())
    driver.pool.pause("a", 1.0)
    driver.act()
    assert driver.pool.count == 0 and not driver.opening
    driver.pool.forget(ticket)
    driver.now = 1.0
    driver.pool.handle_timeout(1.0)
    driver.act()
    assert not driver.opening


def test_keys_that_have_nothing_left_are_forgotten():
    driver = Driver(keepalive_expiry=1.0)
    for number in range(1000):
        driver.call(number)
        connection = driver.connect()
        driver.begin()
        driver.end(connection)
        driver.now += 2.0
        driver.pool.handle_timeout(driver.now)
        driver.act()
    assert len(driver.pool._groups) < 50


@pytest.mark.parametrize(
    "wrong", [{"max_connections": 0}, {"max_keepalive": -1}, {"keepalive_expiry": -1}, {"acquire_timeout": -1}]
)
def test_limits_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PoolLimits(**wrong)


class Anything(RuleBasedStateMachine):
    """Callers of three keys come, give up, end; connections are made, fail, break; time passes."""

    @initialize(
        connections=st.sampled_from([1, 2, 5, None]),
        keepalive=st.sampled_from([0, 1, None]),
        capacity=st.sampled_from([1, 1, 3]),
    )
    def begin(self, connections, keepalive, capacity):
        self.driver = Driver(max_connections=connections, max_keepalive=keepalive, keepalive_expiry=5.0)
        self.limit = connections
        self.capacity = capacity
        self.waiting = []
        self.running = []

    @rule(key=st.sampled_from("abc"))
    def call(self, key):
        got = self.driver.call(key)
        (self.running if isinstance(got, Connection) else self.waiting).append(got)
        self.go_on()

    def go_on(self):
        """Those that were let go on begin, sometimes later than others are decided about."""
        while self.driver.granted:
            connection, ticket = self.driver.begin()
            older = [other for other in self.waiting if other.key == ticket.key and other.number < ticket.number]
            assert not older, "a caller was overtaken"
            self.waiting.remove(ticket)
            self.running.append(connection)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data):
        ticket = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.driver.pool.forget(ticket)
        self.driver.act()
        self.go_on()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=st.sampled_from(["end", "end", "end", "break"]))
    def end(self, data, how):
        connection = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        if how == "end" and not connection.closed:
            self.driver.end(connection)
        elif not connection.closed:
            connection.running -= 1
            self.driver.lose(connection)
        self.go_on()

    @precondition(lambda self: self.driver.opening)
    @rule(works=st.booleans())
    def connect(self, works):
        if works:
            self.driver.connect(self.capacity)
        else:
            self.driver.pool.failed(self.driver.opening.pop(0))
            self.driver.act()
        self.go_on()

    @precondition(lambda self: self.driver.slots)
    @rule(data=st.data())
    def lose(self, data):
        connections = list(self.driver.slots)
        self.driver.lose(connections[data.draw(st.integers(0, len(connections) - 1))])
        self.go_on()

    @rule(seconds=st.sampled_from([0.5, 6.0]))
    def pass_time(self, seconds):
        self.driver.now += seconds
        due = self.driver.pool.next_deadline()
        if due is not None and due <= self.driver.now:
            self.driver.pool.handle_timeout(self.driver.now)
            self.driver.act()
        due = self.driver.pool.next_deadline()
        assert due is None or due > self.driver.now, "the timer would fire again at once"
        self.go_on()

    @invariant()
    def counts_agree(self):
        driver = self.driver
        assert driver.pool.count == len(driver.slots) + len(driver.opening)
        assert self.limit is None or driver.pool.count <= self.limit
        assert driver.pool.outstanding == len(self.waiting)

    @invariant()
    def nobody_waits_for_nothing(self):
        """A caller waits only while something is being opened, or while the limit is used up by what is busy."""
        driver = self.driver
        for ticket in self.waiting:
            mine = [c for c, slot in driver.slots.items() if slot.key == ticket.key]
            assert not any(connection.room for connection in mine)
            if not any(slot.key == ticket.key for slot in driver.opening) and not any(c.shared for c in mine):
                assert self.limit is not None and driver.pool.count >= self.limit
                assert all(c.busy or slot.key in {t.key for t in self.waiting} for c, slot in driver.slots.items())

    def teardown(self):
        """In the end everything that waits is served."""
        for _ in range(1000):
            if not (self.waiting or self.running or self.driver.opening):
                break
            if self.driver.opening:
                self.driver.connect(self.capacity)
            elif self.running:
                connection = self.running.pop()
                if not connection.closed:
                    self.driver.end(connection)
            self.go_on()
        assert not self.waiting


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
