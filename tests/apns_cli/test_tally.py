from apns_cli.tally import DETAILS, Tally


def test_counts_by_outcome_and_by_why() -> None:
    tally = Tally()
    for kind, detail in [
        ("accepted", "200"),
        ("accepted", "200"),
        ("rejected", "Unregistered"),
        ("rejected", "Unregistered"),
        ("rejected", "\x1b[2J"),
        ("unknown", "deadline"),
        ("invalid", "payload"),
    ]:
        tally.add(kind, detail)
    assert tally.members() == {
        "accepted": 2,
        "rejected": {"Unregistered": 2, "\x1b[2J": 1},
        "unprocessed": {},
        "unknown": {"deadline": 1},
        "invalid": {"payload": 1},
    }
    assert tally.total == 7
    assert not tally.all_accepted
    assert tally.summary() == "2 accepted, 3 rejected, 1 unknown, 1 invalid"
    assert list(tally.facts()) == [
        ("Accepted", "2"),
        ("Rejected", "3"),
        ("  Unregistered", "2"),
        ("  \\x1b[2J", "1"),
        ("Unprocessed", "0"),
        ("Unknown", "1"),
        ("  deadline", "1"),
        ("Invalid", "1"),
        ("  payload", "1"),
    ]


def test_whether_all_were_accepted() -> None:
    tally = Tally()
    tally.add("accepted", "200")
    assert tally.all_accepted
    assert tally.summary() == "1 accepted"


def test_a_server_that_makes_up_reasons_does_not_fill_the_memory() -> None:
    tally = Tally()
    for number in range(10 * DETAILS):
        tally.add("rejected", f"reason {number}")
    rejected = tally.others["rejected"]
    assert len(rejected) == DETAILS + 1
    assert rejected["others"] == 9 * DETAILS
    assert tally.total == 10 * DETAILS
