import pytest

from tests.hostile import GROUPS, ROOT, ROWS, found_by_row, page, rows_of


def test_every_kind_of_fault_has_a_test() -> None:
    assert [row for row, found in found_by_row().items() if not found] == []


def test_every_kind_of_fault_is_in_a_group_and_in_order() -> None:
    sizes = {"H": 15, "C": 16, "S": 23, "T": 12}
    assert list(sizes) == list(GROUPS)
    assert list(ROWS) == [f"{k}{n}" for k, size in sizes.items() for n in range(1, size + 1)]


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs/hostile.md").read_text() == page(), "python -m tests.hostile --write …"


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("test_c5_silence", ["C5"]),
        ("test_h1_h2_blocks", ["H1", "H2"]),
        ("test_h5_to_h7_blocks", ["H5", "H6", "H7"]),
        ("test_c1_c7_to_c9_x", ["C1", "C7", "C8", "C9"]),
        ("test_the_library_h2_hears", []),
        ("test_60_answered", []),
    ],
)
def test_ids_are_read_from_names(name: str, rows: list[str]) -> None:
    assert rows_of(name) == rows
