from apns_core.http2.errors import (
    ErrorCode,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
)


def test_codes_are_those_of_section_7() -> None:
    assert [code.value for code in ErrorCode] == list(range(14))


def test_the_peers_mistake_names_rule_and_stream() -> None:
    error = RemoteProtocolError(ErrorCode.CANCEL, "something odd", "RFC 9113 §5", 7)
    assert str(error) == "something odd on stream 7 (CANCEL, RFC 9113 §5)"
    assert (error.code, error.section, error.stream_id) == (8, "RFC 9113 §5", 7)
    error = RemoteProtocolError(ErrorCode.CANCEL, "something odd", "RFC 9113 §5")
    assert str(error) == "something odd (CANCEL, RFC 9113 §5)"


def test_both_are_protocol_errors() -> None:
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
