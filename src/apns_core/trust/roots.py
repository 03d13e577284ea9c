"""The authorities that APNs is certified by, from the package ``certifi`` where it is installed.

Apple asks senders to trust *AAA Certificate Services* and *USERTrust RSA Certification Authority*
("Setting up a remote notification server"): the first until 2025, the second since. Systems trust
them as a rule. Those that do not: containers without ``ca-certificates``; Python from python.org
on macOS; Windows, which fetches a root when one of its own programs first meets it.

``certifi`` is Mozilla's list, which most machines with Python have by now. From its 140 authorities
these two are taken and no others, known by their fingerprints: a machine that distrusts an
authority goes on distrusting it, and nobody who changes that file can add another. It no longer
has *AAA Certificate Services*, which Mozilla has withdrawn and APNs no longer uses.
"""

import hashlib
import ssl
from importlib import resources
from typing import Final

__all__ = ["APNS_ROOTS", "apns_roots"]

APNS_ROOTS: Final = {
    "d7a7a0fb5d7e2731d771e9484ebcdef71d5f0c3e0a2948782bc83ee0ea699ef4": (
        "AAA Certificate Services"
    ),
    "e793c9b02fd8aa13e21c31228accb08119643b749c898964b1746d46c3d4cbd2": (
        "USERTrust RSA Certification Authority"
    ),
}
"""The SHA-256 fingerprints of the roots that Apple names, and their names."""


def apns_roots() -> str:
    """Return those of `APNS_ROOTS` that ``certifi`` has, as PEM; empty where it is not installed.

    ``client_context(cadata=apns_roots())`` trusts no other authority.
    """
    try:
        bundle = resources.files("certifi").joinpath("cacert.pem").read_text("utf-8")
    except (ModuleNotFoundError, OSError):
        return ""
    found = [
        f"{_BEGIN}{body}{_END}\n"
        for body in (part.partition(_END)[0] for part in bundle.split(_BEGIN)[1:])
        if _fingerprint(f"{_BEGIN}{body}{_END}\n") in APNS_ROOTS
    ]
    return "".join(found)


_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


def _fingerprint(pem: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
