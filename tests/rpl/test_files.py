"""Files that a scenario expects."""

from __future__ import annotations

from catenet.testing.rpl.files import anchor_difference, file_difference


def test_records_of_a_zone_in_any_order() -> None:
    ours = ["a.\t60\tIN\tA\t192.0.2.1 ; here", "", "a.\t60\tIN\tDS\t1 13 2 ABCD"]
    assert file_difference(ours, [ours[2].lower().replace("\tin\tds", "\tIN\tDS"), "a.\t60\tIN\tA\t192.0.2.1"]) is None
    assert file_difference(ours, ours[:1]) == ("line 2 of the file is None, expected 'a.\\t60\\tin\\tds\\t1 13 2 abcd'")


def test_anchors_by_what_they_say() -> None:
    head = [";;id: a. 1", ";;last_queried: 5", ";;query_failed: 6"]
    keys = [
        "a. 60 IN DNSKEY 257 3 8 AAAA ;{id = 1 (ksk), size = 8b} ;;state=2",
        "a. 60 IN DNSKEY 257 3 8 BBBB ;;state=1",
    ]
    got = [*head[:2], ";;query_failed: 1", keys[1], keys[0].replace("8b", "9b")]
    assert anchor_difference([*head, *keys], got) is None
    assert anchor_difference([*head, *keys], [*got[:2], ";;query_failed: 0", *got[3:]]) is not None
    assert anchor_difference([*head, *keys], [got[1], got[0], *got[2:]]) is not None
    assert anchor_difference([*head, *keys], [*got[:4], keys[0].replace("state=2", "state=3")]) is not None
