"""Compile the engine with mypyc as a wheel is built; without this hook the wheel is pure Python.

    HATCH_BUILD_HOOKS_ENABLE=1 python -m build --wheel

One source serves both forms. The compiled modules lie beside their sources in the wheel, and Python
prefers them. Nothing is written among the sources themselves, where an editable install would find
it and run yesterday's code. Which modules are compiled says pyproject.toml.
"""

import sys
from pathlib import Path
from shutil import rmtree
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["CompileHook"]


class CompileHook(BuildHookInterface[Any]):
    """The build hook ``custom`` of hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and add what comes of it to the wheel."""
        if version == "editable":
            return  # It runs the sources, as it should.
        # Here, not above: hatchling reads this file also where the hook is not enabled.
        from mypyc.build import mypycify  # noqa: PLC0415
        from setuptools import Distribution  # noqa: PLC0415

        source = Path("src", "apns_core")
        work = Path(self.root, "build", "compiled")
        rmtree(work, ignore_errors=True)
        extensions = mypycify(
            [
                "--config-file=",  # What the build needs does not hang on how we check types.
                f"--python-version={sys.version_info.major}.{sys.version_info.minor}",
                *sorted(str(path) for path in source.rglob("*.py") if self._compiles(path)),
            ],
            target_dir=str(work),
            debug_level="0",
            group_name="apns_core",
        )
        command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib = str(work / "lib")
        command.build_temp = str(work / "temp")
        command.ensure_finalized()
        command.run()
        for output in command.get_outputs():
            build_data["force_include"][output] = str(Path(output).relative_to(work / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def _compiles(self, path: Path) -> bool:
        return not any(path.match(pattern) for pattern in self.config["interpreted"])
