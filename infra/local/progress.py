"""What the local stack says while it works: one line a step, with how long it took."""

import sys
import time
from contextlib import contextmanager


class Failure(Exception):
    """Something a person can act on. Shown as one message, without a traceback."""


@contextmanager
def step(title: str):
    """Prints the step, then how long it took. What the body prints comes in between."""
    started = time.monotonic()
    print(f"==> {title}", flush=True)
    details = Details()
    yield details
    seconds = time.monotonic() - started
    print(f"    {details.text + ', ' if details.text else ''}{seconds:.1f} s", flush=True)


class Details:
    """What a step found, told on its closing line."""

    text = ""

    def say(self, text: str) -> None:
        self.text = text


def note(text: str) -> None:
    print(f"    {text}", flush=True)


def fail(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)
