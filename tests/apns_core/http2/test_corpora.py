"""The public corpora of the HTTP/2 Japan community, read where APNS_CORPORA says they lie."""

import json
import os
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NotRequired, TypedDict, cast

import pytest

from apns_core.http2.errors import ErrorCode
from apns_core.http2.hpack_decoder import Field, HpackDecoder
from apns_core.http2.hpack_encoder import HpackEncoder, Indexing
from tests.apns_core.http2 import wire
from tests.apns_core.http2.test_hpack_encoder import Pair

CORPORA: Final = os.environ.get("APNS_CORPORA")

pytestmark = pytest.mark.skipif(
    CORPORA is None,
    reason="APNS_CORPORA names no folder with hpack-test-case and http2-frame-test-case (.tar.xz)",
)


class Case(TypedDict):
    wire: str
    header_table_size: NotRequired[int | None]
    headers: list[dict[str, str]]


class FrameCase(TypedDict):
    wire: str
    error: list[int] | None
    frame: dict[str, object] | None
    description: str


def documents(archive: str) -> Iterator[tuple[str, object]]:
    with tarfile.open(Path(CORPORA or "") / archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None and member.name.endswith(".json"):
                yield member.name, json.load(file)


def fields_of(case: Case) -> list[Field]:
    return [
        (name.encode(), value.encode()) for pair in case["headers"] for name, value in pair.items()
    ]


@pytest.fixture(scope="module")
def stories() -> dict[str, list[list[Case]]]:
    """By the name of the encoder that wrote them; `raw-data` is what all encoded."""
    by_encoder: dict[str, list[list[Case]]] = defaultdict(list)
    for name, document in documents("hpack-test-case.tar.xz"):
        by_encoder[name.split("/")[0]].append(cast("dict[str, list[Case]]", document)["cases"])
    return by_encoder


def test_h15_all_stories_decode_exactly(stories: dict[str, list[list[Case]]]) -> None:
    blocks = 0
    for encoder, written in stories.items():
        if encoder == "raw-data":
            continue
        for story in written:
            decoder = HpackDecoder(max_table_size=4_096, max_list_size=2**24)
            for case in story:
                size = case.get("header_table_size")
                if size is not None:
                    decoder.set_limit(size)
                assert decoder.decode(bytes.fromhex(case["wire"])) == fields_of(case)
                blocks += 1
    assert blocks == 47_142


POLICIES: Final = {
    "the policy for APNs": wire.POLICY,
    "what a browser would index": {
        b":authority": Indexing.INCREMENTAL,
        b"user-agent": Indexing.INCREMENTAL,
        b"accept": Indexing.INCREMENTAL,
        b"accept-language": Indexing.INCREMENTAL,
        b"server": Indexing.INCREMENTAL,
        b"cookie": Indexing.ROTATING,
        b"referer": Indexing.SEED,
        b"date": Indexing.SEED,
    },
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("size", [4_096, 300])
def test_h15_raw_data_there_and_back(
    stories: dict[str, list[list[Case]]], policy: dict[bytes, Indexing], size: int
) -> None:
    for story in stories["raw-data"]:
        pair = Pair(policy)
        pair.set_limits(size)
        for case in story:
            pair.send(fields_of(case))
    assert HpackEncoder(policy).encode([]) == b""


def test_c16_frames_of_the_corpus() -> None:
    seen = 0
    for name, document in documents("http2-frame-test-case.tar.xz"):
        case = cast("FrameCase", document)
        octets = bytes.fromhex(case["wire"])
        fed = wire.feed(lambda: wire.open_client(5), octets)
        seen += 1
        if case["error"] is not None:
            if fed.error is None:
                # A stream error, where the RFC asks for no more.
                assert name == "error/window_update-frame-increment.json"
                assert fed.resets == [(1, ErrorCode.PROTOCOL_ERROR)]
            else:
                assert fed.error.code in case["error"], name
                assert wire.goaway_codes(fed.frames) == [fed.error.code]
            continue
        assert (None if fed.error is None else fed.error.code) == EXPECTED[name], name
    assert seen == 34


# The valid frames, as they reach a client with streams 1 to 9 open.
EXPECTED: Final = {
    # On streams that no client can open, or that none has opened.
    "continuation/header.json": ErrorCode.PROTOCOL_ERROR,
    "continuation/normal.json": ErrorCode.PROTOCOL_ERROR,
    "data/normal.json": ErrorCode.PROTOCOL_ERROR,
    "push_promise/normal.json": ErrorCode.PROTOCOL_ERROR,
    "window_update/normal.json": ErrorCode.PROTOCOL_ERROR,
    "goaway/normal.json": ErrorCode.PROTOCOL_ERROR,
    # Their blocks are text, no HPACK.
    "headers/normal.json": ErrorCode.COMPRESSION_ERROR,
    "headers/priority.json": ErrorCode.COMPRESSION_ERROR,
    "ping/normal.json": None,
    "priority/normal.json": None,
    "rst_stream/normal.json": None,
    "settings/normal.json": None,
}


def test_t12_no_block_of_the_corpus_makes_a_connection_raise() -> None:
    """Requests of others, and so malformed as responses: each costs its stream and no more."""
    streams = 0
    for name, document in documents("hpack-test-case.tar.xz"):
        if name.startswith("raw-data"):
            continue
        client = wire.open_client()
        for case in cast("dict[str, list[Case]]", document)["cases"]:
            stream = wire.send(client, b"")
            client.data_to_send()
            size = case.get("header_table_size")
            if size is not None and size > 4_096:
                break  # more than a client of ours allows
            octets = wire.headers(stream.stream_id, bytes.fromhex(case["wire"]), ends=True)
            client.receive_data(octets, wire.NOW)
            streams += 1
            if client.closed:
                break  # a list of fields above our limit
            (ended,) = wire.ended_streams(client.events)
            assert ended is stream
            client.events.clear()
    assert streams > 40_000
