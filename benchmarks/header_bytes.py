"""Octets of a request's field block by the size of the server's HPACK table.

First and steady state, for one topic, with and without the fields that are a notification's own.

    python benchmarks/header_bytes.py [--json]
"""

import argparse
import json
import sys

import hpack

from apns_core import Notification, Route
from apns_core.field_blocks import FIELD_INDEXING, FieldBlocks
from apns_core.http2.hpack_encoder import HpackEncoder

TABLE_SIZES = (4_096, 1_024, 512, 256, 0)
WARM_UP = 20


def block_sizes(table_size: int, *, own_fields: bool) -> list[int]:
    """Return the sizes of the first blocks of a connection; a real decoder reads each."""
    encoder = HpackEncoder(FIELD_INDEXING)
    encoder.set_peer_limit(table_size)
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = table_size
    blocks = FieldBlocks(encoder, b"api.push.apple.com")
    blocks.set_authorization(b"bearer " + b"x" * 230)
    route = Route("com.example.app")
    sizes: list[int] = []
    for n in range(WARM_UP):
        notification = Notification(
            route,
            f"{n:064x}",
            b"{}",
            expiration=1_700_000_000 + n if own_fields else None,
            apns_id=f"{n:08x}-0000-4000-8000-000000000000" if own_fields else None,
        )
        block = blocks.encode(notification)
        fields = decoder.decode(block, raw=True)
        assert any(name == b":path" and value == notification.path for name, value in fields)
        sizes.append(len(block))
    return sizes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = [
        {
            "table_size": size,
            "first": block_sizes(size, own_fields=False)[0],
            "steady": block_sizes(size, own_fields=False)[-1],
            "steady_with_id_and_expiration": block_sizes(size, own_fields=True)[-1],
        }
        for size in TABLE_SIZES
    ]
    if options.json:
        json.dump(rows, sys.stdout)
        print()
        return
    print("octets of field block; path of 74, provider token of 230, topic of 15")
    print(f"{'table':>6} {'first':>7} {'steady':>7} {'with apns-id and apns-expiration':>33}")
    for row in rows:
        print(
            f"{row['table_size']:>6} {row['first']:>7} {row['steady']:>7} "
            f"{row['steady_with_id_and_expiration']:>33}"
        )


if __name__ == "__main__":
    main()
