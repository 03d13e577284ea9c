"""Describes what embedders can call: names, parameters, defaults. Without types, and in plain text.

python -m tests.regressions.public_api > tests/regressions/public_api.txt
"""

import enum
import inspect
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import apns_asyncio
import apns_core
import apns_trio

__all__ = ["described"]


def described() -> str:
    """Return a line for each name that may be used, and for each method and attribute."""
    modules = (apns_core, apns_asyncio, apns_trio)
    lines = (line for module in modules for line in _of_module(module, module.__name__))
    return "\n".join(lines) + "\n"


def _of_module(module: ModuleType, name: str) -> Iterator[str]:
    names: list[str] = module.__all__
    for each in sorted(names):
        yield from _of_value(getattr(module, each), f"{name}.{each}")


def _of_value(value: Any, name: str) -> Iterator[str]:  # noqa: ANN401 - whatever is exported
    if isinstance(value, ModuleType):
        yield from _of_module(value, name)
    elif isinstance(value, FunctionType):
        yield f"{name}{_parameters(value)}"
    elif isinstance(value, type) and issubclass(value, enum.Enum):
        yield from (f"{name}.{member.name} = {member.value!r}" for member in value)
    elif isinstance(value, type):
        yield from _of_class(value, name)
    else:
        yield f"{name}: {type(value).__name__}"


def _of_class(cls: type[Any], name: str) -> Iterator[str]:
    # Of what is not called, or has the constructor of an exception, each Python says its own.
    made = isinstance(inspect.getattr_static(cls, "__init__"), FunctionType)
    called = made and not getattr(cls, "_is_protocol", False)
    yield f"{name}{_parameters(cls)}" if called else name
    if cls is apns_core.Ticket:
        return  # to be handed back, not to be looked into
    attributes: set[str] = set()
    for base in inspect.getmro(cls):
        if base.__module__.startswith("apns_"):
            attributes |= {*vars(base), *inspect.get_annotations(base)}
    for attribute in sorted(each for each in attributes if not each.startswith("_")):
        member = inspect.getattr_static(cls, attribute, None)
        if isinstance(member, classmethod | staticmethod):
            yield f"{name}.{attribute}{_parameters(getattr(cls, attribute))}"
        elif isinstance(member, FunctionType):
            yield f"{name}.{attribute}{_parameters(member)}"
        else:
            yield f"{name}.{attribute}"


def _parameters(function: Any) -> str:  # noqa: ANN401 - a function or a class
    signature = inspect.signature(function)
    bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return f" async {text}" if inspect.iscoroutinefunction(function) else text


if __name__ == "__main__":
    sys.stdout.write(described())
