import jwt
import pytest

from apns_simulator import TrustedKey, make_provider_key
from apns_simulator.provider_tokens import TokenGate, load_public_keys

KEY = make_provider_key()
OTHER = make_provider_key()
NOW = 1_800_000_000
MINUTE = 60


def gate() -> TokenGate:
    return TokenGate(load_public_keys(KEY.trusted() | OTHER.trusted()))


def bearer(token: str) -> bytes:
    return b"bearer " + token.encode()


def signed(
    *, key: str = KEY.private_key_pem, algorithm: str = "ES256", **changes: float | str
) -> str:
    claims = {"iss": changes.get("iss", KEY.team_id), "iat": changes.get("iat", NOW)}
    headers = {"kid": changes.get("kid", KEY.key_id)}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


VERDICTS: dict[str, tuple[bytes | None, str | None]] = {
    "good": (bearer(KEY.sign(NOW)), None),
    "scheme in capitals": (b"Bearer " + KEY.sign(NOW).encode(), None),
    "59 minutes old": (bearer(KEY.sign(NOW - 59 * MINUTE)), None),
    "absent": (None, "MissingProviderToken"),
    "empty": (b"", "InvalidProviderToken"),
    "no token": (b"bearer ", "InvalidProviderToken"),
    "another scheme": (b"basic " + KEY.sign(NOW).encode(), "InvalidProviderToken"),
    "two spaces": (b"bearer  " + KEY.sign(NOW).encode(), "InvalidProviderToken"),
    "not a JWT": (b"bearer abc", "InvalidProviderToken"),
    "not ASCII": (b"bearer \xff.\xff.\xff", "InvalidProviderToken"),
    "61 minutes old": (bearer(KEY.sign(NOW - 61 * MINUTE)), "ExpiredProviderToken"),
    "from the future": (bearer(KEY.sign(NOW + 61 * MINUTE)), "InvalidProviderToken"),
    "unknown key": (bearer(make_provider_key().sign(NOW)), "InvalidProviderToken"),
    "key of another": (bearer(signed(key=OTHER.private_key_pem)), "InvalidProviderToken"),
    "no key id": (
        bearer(jwt.encode({"iat": NOW}, KEY.private_key_pem, "ES256")),
        "InvalidProviderToken",
    ),
    "another team": (bearer(signed(iss="NOTMYTEAM0")), "InvalidProviderToken"),
    "iat as text": (bearer(signed(iat=str(NOW))), "InvalidProviderToken"),
    "iat with fraction": (bearer(signed(iat=NOW + 0.5)), "InvalidProviderToken"),
    "another algorithm": (bearer(signed(key="s" * 32, algorithm="HS256")), "InvalidProviderToken"),
    "signature cut": (bearer(KEY.sign(NOW)[:-4]), "InvalidProviderToken"),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdict(case: str) -> None:
    authorization, reason = VERDICTS[case]
    assert gate().check(authorization, NOW) == reason


def test_a_token_expires_while_it_is_in_use() -> None:
    tokens, token = gate(), bearer(KEY.sign(NOW))
    assert tokens.check(token, NOW) is None
    assert tokens.check(token, NOW + 60 * MINUTE) is None
    assert tokens.check(token, NOW + 60 * MINUTE + 1) == "ExpiredProviderToken"


def test_a_change_counts_from_when_the_connection_first_saw_the_token() -> None:
    # A token that is 45 minutes old when first seen binds until minute 65, whatever its iat.
    tokens = gate()
    old, new = bearer(KEY.sign(NOW - 45 * MINUTE)), bearer(KEY.sign(NOW))
    assert tokens.check(old, NOW) is None
    assert tokens.check(new, NOW + 5 * MINUTE) == "TooManyProviderTokenUpdates"
    assert tokens.check(old, NOW + 6 * MINUTE) is None
    assert tokens.check(new, NOW + 20 * MINUTE) is None


def test_a_bad_token_does_not_become_the_current_one() -> None:
    tokens = gate()
    assert tokens.check(bearer(KEY.sign(NOW - 61 * MINUTE)), NOW) == "ExpiredProviderToken"
    assert tokens.check(bearer(KEY.sign(NOW)), NOW) is None


def test_the_first_key_binds_the_connection() -> None:
    tokens = gate()
    assert tokens.check(bearer(KEY.sign(NOW)), NOW) is None
    assert tokens.check(bearer(OTHER.sign(NOW)), NOW + 3000) == "UnrelatedKeyIdInToken"


def test_only_elliptic_curve_keys_are_trusted() -> None:
    with pytest.raises(ValueError, match="PEM"):
        load_public_keys({"K": TrustedKey("T", "nonsense")})
    rsa = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf
9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==
-----END PUBLIC KEY-----
"""
    with pytest.raises(ValueError, match="elliptic"):
        load_public_keys({"K": TrustedKey("T", rsa)})


def test_the_key_stays_out_of_the_repr() -> None:
    for text in (repr(KEY), repr(KEY.trusted())):
        assert "BEGIN" not in text
        assert KEY.team_id in text
