"""Servers as child processes on loopback, with a throw-away certificate."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

import trustme

__all__ = ["ADDRESS", "HOST", "Authority", "free_port", "require", "running"]

HOST: Final = "localhost"
ADDRESS: Final = "127.0.0.1"
START_TIMEOUT: Final = 10.0


@final
class Authority:
    """A throw-away authority with a certificate for `HOST`, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        ca = trustme.CA()
        leaf = ca.issue_cert(HOST, ADDRESS)
        self.ca, self.cert, self.key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
        ca.cert_pem.write_to_path(self.ca)
        self.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(self.key)


def require(binary: str, package: str) -> str:
    """Return the path of a binary. Raises RuntimeError with the Debian package that brings it."""
    # Debian keeps servers in sbin, which is not on the PATH of an ordinary user.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    if found := shutil.which(binary, path=path):
        return found
    raise RuntimeError(f"{binary} is not installed; on Debian: apt install {package}")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server((ADDRESS, 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(command: Sequence[str], port: int, folder: Path) -> Generator[None]:
    """Run a server while in the block, from when its port answers.

    Raises RuntimeError with what it said if it does not start.
    """
    output = folder / f"{Path(command[0]).name}-{port}.log"
    with (
        output.open("wb") as sink,
        subprocess.Popen(command, stdout=sink, stderr=sink) as process,  # noqa: S603
    ):
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while not accepts(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    said = output.read_text(errors="replace")[-2_000:]
                    raise RuntimeError(f"{command[0]} did not start: {said}")
                time.sleep(0.02)
            yield
        finally:
            process.terminate()


def accepts(port: int) -> bool:
    """Tell whether something listens."""
    try:
        socket.create_connection((ADDRESS, port), timeout=1).close()
    except OSError:
        return False
    return True
