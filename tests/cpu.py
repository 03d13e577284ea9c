"""What a block of code costs."""

import gc
from time import thread_time
from typing import Self

__all__ = ["Cpu"]


class Cpu:
    """A context manager that measures the seconds of CPU that its block takes in this thread.

    Python's collector waits: it goes over all that the whole test-suite holds, which takes longer
    than what is measured, and in which block it does is chance.
    """

    seconds = 0.0

    def __enter__(self) -> Self:
        gc.disable()
        self._started = thread_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = thread_time() - self._started
        gc.enable()
