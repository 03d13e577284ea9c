"""TLS as HTTP/2 and APNs want it; the adapters use it, the engine never imports it."""

import os
import ssl

from apns_core.errors import ConnectFailed, InvalidField

__all__ = ["check_alpn", "client_context", "prepare_context"]


def client_context(
    *, cafile: str | os.PathLike[str] | None = None, cadata: str | bytes | None = None
) -> ssl.SSLContext:
    """Make a context for connections to APNs. It always verifies certificate and host name.

    Trusts the authorities of the system. With ``cafile`` (a path) or ``cadata`` (PEM as text or
    bytes, or DER) it trusts those *instead*, for a simulator or a proxy. Who wants anything else
    brings a context of their own; see `prepare_context`.

    Raises `InvalidField` when authorities cannot be read.
    """
    # ssl.create_default_context would also write session keys to the file in $SSLKEYLOGFILE.
    context = prepare_context(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    # RFC 9113 Section 9.2.2 and Appendix A: of the suites of TLS 1.2, those with ephemeral keys and
    # authenticated encryption. TLS 1.3 has no others.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    if cafile is not None:
        _trust("cafile", context, cafile=cafile)
    if cadata is not None:
        # To ssl, bytes are DER. A PEM file read in binary is the likelier thing to be passed.
        if isinstance(cadata, bytes) and b"-----BEGIN" in cadata:
            cadata = cadata.decode("ascii", "replace")
        _trust("cadata", context, cadata=cadata)
    if cafile is None and cadata is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def prepare_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make a caller's own context fit for HTTP/2. **Changes it**, and returns it.

    Sets ALPN to ``h2`` alone and forbids TLS below 1.2, compression, renegotiation and
    authentication after the handshake (RFC 9113 Sections 3.2 and 9.2). Leaves the caller's trust,
    certificates, cipher suites and verification alone.
    """
    context.set_alpn_protocols(["h2"])
    # A caller who asks for more gets it.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.post_handshake_auth = False
    return context


def check_alpn(selected: str | None) -> None:
    """Refuse a server that did not choose HTTP/2. Call after the handshake, before any write.

    ``selected`` is what ``selected_alpn_protocol()`` returned. Raises `ConnectFailed`.
    """
    if selected != "h2":
        got = "no protocol" if selected is None else repr(selected)
        raise ConnectFailed(f"the server does not offer HTTP/2: ALPN selected {got}, not 'h2'")


def _trust(
    field: str,
    context: ssl.SSLContext,
    *,
    cafile: str | os.PathLike[str] | None = None,
    cadata: str | bytes | None = None,
) -> None:
    try:
        context.load_verify_locations(cafile=cafile, cadata=cadata)
    except (OSError, TypeError, ValueError) as error:  # ssl.SSLError is an OSError
        raise InvalidField(field, "no certificate of an authority can be read from it") from error
