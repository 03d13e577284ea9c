import random
import socket
import ssl
from pathlib import Path

from hpack import Encoder
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, SettingsFrame

from counting_server import PREFACE, counting_server
from loopback import ADDRESS, HOST, Authority

FIELDS = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/3/device/ab"),
]


def test_field_blocks_are_counted_without_padding_priority_and_frame_heads(tmp_path: Path) -> None:
    encoder = Encoder()
    first, second, third = (encoder.encode(FIELDS) for _ in range(3))
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    assert len(preface) == PREFACE
    frames = [
        SettingsFrame(0),
        HeadersFrame(1, first, flags=["END_HEADERS"]),
        DataFrame(1, b"x", flags=["END_STREAM"]),
        HeadersFrame(
            *(3, second), pad_length=7, flags=["END_HEADERS", "END_STREAM", "PADDED", "PRIORITY"]
        ),
        HeadersFrame(5, third[:2], flags=["END_STREAM"]),
        ContinuationFrame(5, third[2:], flags=["END_HEADERS"]),
    ]
    sent = preface + b"".join(frame.serialize() for frame in frames)
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.ca)
    context.set_alpn_protocols(["h2"])
    cuts = sorted(random.Random(1).sample(range(len(sent)), 9))
    with (
        counting_server(authority) as server,
        socket.create_connection((ADDRESS, server.port)) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as tls,
    ):
        tls.settimeout(10)
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            tls.sendall(sent[start:end])
        read = b""
        # Three answers, each HEADERS with END_HEADERS and END_STREAM.
        while any(b"\x01\x05" + n.to_bytes(4, "big") not in read for n in (1, 3, 5)):
            data = tls.recv(65_536)
            assert data, "the server hung up"
            read += data
        counts = server.reset()
    assert counts.blocks == [len(first), len(second), len(third)]
    assert counts.connections == 1
    assert counts.fields == {":method", ":scheme", ":authority", ":path"}
    assert server.counts.blocks == []
