import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.link.properties import LinkProperties, QueueProperties
from catenet.world.scenario.units import (
    link_properties,
    parse_duration,
    parse_fraction,
    parse_queue,
    parse_rate,
    parse_size,
)

RIGHT = [
    (parse_duration, "20ms", 0.02),
    (parse_duration, "1.5 s", 1.5),
    (parse_duration, "250us", 0.00025),
    (parse_duration, "2min", 120.0),
    (parse_duration, "1h30m", 5400.0),
    (parse_duration, "1min 30s", 90.0),
    (parse_duration, 3, 3.0),
    (parse_rate, "10Mbit", 1e7),
    (parse_rate, "1.5 Gbit/s", 1.5e9),
    (parse_rate, "64kbps", 64_000.0),
    (parse_rate, "1MB/s", 8e6),
    (parse_rate, 9600, 9600.0),
    (parse_rate, "unlimited", None),
    (parse_fraction, "1%", 0.01),
    (parse_fraction, "0.5 %", 0.005),
    (parse_fraction, 0.25, 0.25),
    (parse_size, "64KiB", 65536),
    (parse_size, "1.5kB", 1500),
    (parse_size, 9000, 9000),
    (parse_queue, 50, QueueProperties(packets=50)),
    (parse_queue, "50 packets", QueueProperties(packets=50)),
    (parse_queue, "64KiB", QueueProperties(packets=None, bytes=65536)),
    (parse_queue, "fq-codel", QueueProperties("fq_codel")),
    (parse_queue, "CoDel 300", QueueProperties("codel", packets=300)),
]


@pytest.mark.parametrize(("parse", "text", "value"), RIGHT)
def test_quantities(parse, text, value):
    assert parse(text) == (None if value is None else pytest.approx(value) if isinstance(value, float) else value)


WRONG = [
    (parse_duration, "20 parsecs", "unknown unit of time 'parsecs'"),
    (parse_duration, "1min 30", "unknown unit of time"),
    (parse_duration, "", "is no duration"),
    (parse_duration, True, "must be a number or a text"),
    (parse_rate, "10MB", "did you mean"),
    (parse_rate, 0, "must be more than 0"),
    (parse_fraction, "2", "not from 0 to 1"),
    (parse_fraction, "1‰", "write '1%' or 0.01"),
    (parse_size, "1.5", "not a whole number of bytes"),
    (parse_queue, "0", "at least 1"),
    (parse_queue, "", "queue must be packets, bytes or a discipline"),
    (parse_queue, "1.5 packets", "whole number of packets"),
]


@pytest.mark.parametrize(("parse", "text", "message"), WRONG)
def test_mistakes_say_what_would_be_right(parse, text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


@given(st.text())
def test_any_text_is_a_quantity_or_one_error(text):
    for parse in (parse_duration, parse_rate, parse_fraction, parse_size, parse_queue):
        try:
            parse(text)
        except ValueError as error:
            assert "\n" not in str(error) or "\n" in text


def test_properties_build_on_others():
    base = LinkProperties(latency=0.1, loss=0.5)
    assert link_properties({"loss": "1%", "rate": "1Mbit"}, base) == LinkProperties(latency=0.1, loss=0.01, rate=1e6)
    assert link_properties({"rate": None}, LinkProperties(rate=5.0)).rate is None
    with pytest.raises(ValueError, match="unknown link property 'lossy'; did you mean 'loss'"):
        link_properties({"lossy": 1})
