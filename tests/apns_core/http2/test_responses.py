import pytest

from apns_core.http2.errors import ErrorCode
from apns_core.http2.hpack_decoder import Field
from apns_core.http2.responses import MalformedResponse, content_length, final_status, trailers

OK: Field = (b":status", b"200")


def pairs(*fields: Field) -> list[Field]:
    return list(fields)


@pytest.mark.parametrize("status", [200, 204, 400, 403, 404, 405, 410, 413, 429, 500, 503, 999])
@pytest.mark.parametrize("ends", [False, True])
def test_final_statuses(status: int, *, ends: bool) -> None:
    fields = pairs((b":status", b"%d" % status), (b"apns-id", b"x"), (b"x-other", b""))
    assert final_status(fields, ends=ends) == status


@pytest.mark.parametrize("status", [b"100", b"102", b"103", b"199"])
def test_s13_informational_statuses_are_no_end(status: bytes) -> None:
    fields = pairs((b":status", status), (b"link", b"</x>"))
    assert final_status(fields, ends=False) is None
    with pytest.raises(MalformedResponse) as caught:
        final_status(fields, ends=True)
    assert caught.value.code == ErrorCode.PROTOCOL_ERROR
    assert caught.value.section == "RFC 9113 §8.1"


@pytest.mark.parametrize(
    ("fields", "section"),
    [
        (pairs(), "§8.3.2"),
        (pairs((b"apns-id", b"x")), "§8.3.2"),
        (pairs(OK, OK), "§8.3.2"),
        (pairs(OK, (b":status", b"")), "§8.3.2"),
        (pairs((b":status", b""), OK), "§8.3.2"),
        (pairs((b"apns-id", b"x"), OK), "§8.3"),
        *(
            (pairs((b":status", status)), "§8.3.2")
            for status in (
                b"",
                b"2",
                b"20",
                b"2000",
                b"020",
                b"099",
                b"-20",
                b"+20",
                b"2 0",
                b" 200",
                b"200 ",
                b"20x",
                b"200\n",
                b"200 OK",
                b"\xb2\xb0\xb0",
            )
        ),
        (pairs((b":status", b"101")), "§8.6"),
        *(
            (pairs(OK, (name, b"x")), "§8.3")
            for name in (
                b":method",
                b":path",
                b":scheme",
                b":authority",
                b":protocol",
                b":",
                b":x",
                b":Status",
            )
        ),
        *(
            (pairs(OK, (name, b"x")), "§8.2.1")
            for name in (
                b"",
                b"Apns-Id",
                b"apns id",
                b" apns-id",
                b"apns-id ",
                b"apns-id\t",
                b"apns:id",
                b"apns-id:",
                b"apns-id\r\nx",
                b"x\n",
                b"\x00",
                b"\x7f",
                b"caf\xe9",
                b"A",
            )
        ),
        *(
            (pairs(OK, (name, b"x")), "§8.2.2")
            for name in (
                b"connection",
                b"proxy-connection",
                b"keep-alive",
                b"transfer-encoding",
                b"upgrade",
                b"te",
            )
        ),
        *(
            (pairs(OK, (name, value)), "§8.2.1")
            for name in (b"x-any", b"apns-id", b"content-length")
            for value in (
                b"\r",
                b"a\nb",
                b"a\x00b",
                b"a\r\nb: c",
                b" a",
                b"a ",
                b"\ta",
                b"a\t",
                b" ",
                b"a\n",
            )
        ),
    ],
)
def test_h13_malformed_responses(fields: list[Field], section: str) -> None:
    with pytest.raises(MalformedResponse) as caught:
        final_status(fields, ends=True)
    assert caught.value.code == ErrorCode.PROTOCOL_ERROR
    assert caught.value.section == f"RFC 9113 {section}"


@pytest.mark.parametrize(
    "field",
    [
        (b"x", b""),
        (b"x", b"a b\tc"),
        (b"x", b"\x01\x7f\x80\xff"),
        (b"!#$%&'*+-.^_`|~09az", b"x"),
        # Not a token of HTTP, and yet no name that §8.2.1 has us refuse.
        (b"a/b(c)", b"x"),
        (b"trailer", b"x"),
    ],
)
def test_h13_odd_but_legal_fields(field: Field) -> None:
    assert final_status(pairs(OK, field), ends=True) == 200
    trailers(pairs(field), ends=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([b"0"], 0),
        ([b"00012"], 12),
        ([b"12", b"12"], 12),
        ([b"9" * 19], 10**19 - 1),
    ],
)
def test_h14_content_length(values: list[bytes], expected: int | None) -> None:
    fields = pairs(OK, *((b"content-length", value) for value in values))
    assert content_length(fields) == expected


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b"-1"],
        [b"+1"],
        [b"1 2"],
        [b"1,1"],
        [b"0x1"],
        [b"1.0"],
        [b"1_0"],
        [b"\xd9\xa1"],
        [b"9" * 20],
        [b"1", b"2"],
        [b"1", b"01"],
        [b"1", b""],
    ],
)
def test_h14_content_length_that_is_none(values: list[bytes]) -> None:
    with pytest.raises(MalformedResponse) as caught:
        content_length(pairs(OK, *((b"content-length", value) for value in values)))
    assert caught.value.section == "RFC 9110 §8.6"


def test_s17_trailers() -> None:
    trailers(pairs(), ends=True)
    trailers(pairs((b"x-checksum", b"1")), ends=True)
    with pytest.raises(MalformedResponse, match="does not end"):
        trailers(pairs((b"x-checksum", b"1")), ends=False)
    for name in (b":status", b":path", b"X-Checksum", b"connection"):
        with pytest.raises(MalformedResponse):
            trailers(pairs((name, b"200")), ends=True)
