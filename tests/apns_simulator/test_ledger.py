import pytest

from apns_simulator import Ledger, LedgerEntry
from apns_simulator.ledger import MAX_VIOLATIONS


def entry(device: str, apns_id: str, status: int = 200, reason: str | None = None) -> LedgerEntry:
    return LedgerEntry(1, 1, device, apns_id, "com.example.app", status, reason)


def filled(*, keep_entries: bool = True) -> Ledger:
    ledger = Ledger(keep_entries=keep_entries)
    record = ledger.open_connection()
    record.peak_streams, record.streams_before_acceptance = 7, 1
    record.field_block_sizes = {300: 1, 60: 5, 62: 3}
    ledger.open_connection().field_block_sizes = {310: 1}
    for made in (
        entry("aa", "one"),
        entry("bb", "two", 429, "TooManyRequests"),
        entry("bb", "two"),
        entry("cc", "three"),
        entry("cc", "THREE"),
        entry("dd", "four", 503),
    ):
        ledger.process(made)
        if made.device_token != "dd":
            ledger.answer(made)
    ledger.leave_unprocessed(1, 9, "refused")
    ledger.violate(2, "two streams too many")
    return ledger


def test_counts() -> None:
    ledger = filled()
    assert ledger.processed_count == 6
    assert ledger.answered_count == 5
    assert ledger.accepted_count == 4
    assert ledger.by_reason == {"TooManyRequests": 1, "503": 1}
    assert ledger.processed_by_device() == {"aa": 1, "bb": 2, "cc": 2, "dd": 1}
    assert ledger.accepted_by_device() == {"aa": 1, "bb": 1, "cc": 2}
    assert ledger.violations == ["connection 2: two streams too many"]


def test_channels_have_statuses_of_their_own() -> None:
    ledger = Ledger()
    for kind, status, device in (
        ("create channel", 201, ""),
        ("delete channel", 204, ""),
        ("broadcast push", 200, ""),
        ("broadcast push", 503, ""),
        ("device push", 201, "aa"),
    ):
        made = entry(device, kind, status)
        made.kind, made.channel_id = kind, "channel"
        ledger.process(made)
    assert ledger.accepted_count == 3
    assert ledger.by_reason == {"503": 1, "201": 1}
    assert ledger.accepted_by_channel() == {"channel": 1}
    assert ledger.processed_by_device() == {"aa": 1}
    assert ledger.accepted_by_device() == {}


def test_a_duplicate_is_accepted_twice_under_one_apns_id() -> None:
    assert filled().duplicates() == {"three": 2}


def test_figures_over_all_connections() -> None:
    ledger = filled()
    assert (ledger.peak_streams, ledger.streams_before_acceptance) == (7, 1)
    assert (
        ledger.field_block_bytes == 61.0
    )  # The middle of 60 (5 times), 62 (3 times), 300 and 310.
    assert ledger.connections[0].field_block_bytes == 300 + 5 * 60 + 3 * 62


def test_an_empty_ledger_has_figures_too() -> None:
    ledger = Ledger()
    assert (ledger.peak_streams, ledger.streams_before_acceptance) == (0, 0)
    assert ledger.field_block_bytes == 0.0
    assert ledger.accepted_count == 0


@pytest.mark.parametrize("keep_entries", [True, False])
def test_travels_as_json(keep_entries: bool) -> None:  # noqa: FBT001
    ledger = filled(keep_entries=keep_entries)
    text = ledger.to_json()
    assert "\n" not in text
    copy = ledger.copy()
    assert copy.to_json() == text
    assert copy.connections == ledger.connections
    assert copy.entries == ledger.entries
    assert copy.by_reason["TooManyRequests"] == 1
    ledger.process(entry("ee", "five"))
    assert copy.processed_count == 6


def test_counting_alone_keeps_no_entries() -> None:
    ledger = filled(keep_entries=False)
    assert (ledger.entries, ledger.unprocessed) == ([], [])
    assert ledger.processed_count == 6
    assert ledger.by_unprocessed_cause == {"refused": 1}


def test_violations_are_bounded_and_all_counted() -> None:
    ledger = Ledger()
    for _ in range(MAX_VIOLATIONS + 5):
        ledger.violate(1, "again")
    assert len(ledger.violations) == MAX_VIOLATIONS
    assert ledger.violation_count == MAX_VIOLATIONS + 5


def test_device_tokens_stay_out_of_the_repr() -> None:
    assert "c0ffee" not in repr(entry("c0ffee", "one"))
