"""Every kept input of the fuzzers, and what they began with, through the same checks."""

from collections.abc import Callable, Iterator
from importlib import import_module

import pytest

from fuzz.corpus import kept
from fuzz.harnesses import HARNESSES


def check_of(harness: str) -> Callable[[bytes], None]:
    check: Callable[[bytes], None] = import_module(f"fuzz.harnesses.{harness}").check
    return check


def seeds_of(harness: str) -> Iterator[bytes]:
    seeds: Iterator[bytes] = import_module(f"fuzz.harnesses.{harness}").seeds()
    return seeds


@pytest.mark.timeout(300)
@pytest.mark.parametrize("harness", HARNESSES)
def test_kept_inputs_break_no_promise(harness: str) -> None:
    check = check_of(harness)
    inputs = kept(harness)
    assert inputs
    for data in inputs:
        check(data)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("harness", HARNESSES)
def test_seeds_break_no_promise(harness: str) -> None:
    check = check_of(harness)
    for data in seeds_of(harness):
        check(data)


@pytest.mark.parametrize("harness", HARNESSES)
def test_no_input_at_all_is_an_input_too(harness: str) -> None:
    check_of(harness)(b"")
