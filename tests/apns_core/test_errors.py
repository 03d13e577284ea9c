import inspect
import pickle

import pytest

import apns_core
from apns_core import errors
from apns_core.errors import ApnsError, InvalidField


def test_t12_every_public_exception_has_the_one_root() -> None:
    for module in (apns_core, errors):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) and issubclass(thing, BaseException):
                assert issubclass(thing, ApnsError)


def test_all_of_them_are_exported() -> None:
    assert set(errors.__all__) <= set(apns_core.__all__)


def test_invalid_field_names_the_field() -> None:
    error = InvalidField("topic", "longer than 255 characters")
    assert error.field == "topic"
    assert str(error) == "topic: longer than 255 characters"
    with pytest.raises(ValueError, match="topic"):
        raise error


def test_invalid_field_crosses_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(InvalidField("topic", "empty")))  # noqa: S301
    assert (error.field, str(error)) == ("topic", "topic: empty")
