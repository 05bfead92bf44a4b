"""Works off a list of checks against a stack that runs already, and tells what each found."""

import argparse
import http.client
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import prerequisites
from prerequisites import ROOT
from progress import Failure, fail, note


def failures(checks: Iterable[Callable[[], str | None]]) -> list[str]:
    """Performs every check, also after one that failed; what did not hold, one text each."""
    failed = []
    for check in checks:
        started = time.monotonic()
        try:
            said = check()
        except (AssertionError, Failure, OSError, http.client.HTTPException) as error:
            failed.append(f"{check.__name__}: {str(error) or repr(error)}")
            note(f"FAILED {failed[-1]}")
        else:
            note(f"{check.__name__}: {said or 'holds'} ({time.monotonic() - started:.1f} s)")
    return failed


def require_none(failed: list[str], what: str) -> None:
    """Raises one AssertionError that lists all that failed."""
    if failed:
        raise AssertionError(f"{len(failed)} {what}:\n  " + "\n  ".join(failed))


def main(program: str, run: Callable) -> None:
    """The command line of a file of checks: `run` is given the stack that runs."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--directory", type=Path, default=ROOT / "target" / "local", help="the stack's state")
    chosen = parser.parse_args()
    try:
        prerequisites.enter_environment()
        from stack import LocalStack

        run(LocalStack(chosen.directory.absolute()))
    except (AssertionError, Failure) as error:
        fail(str(error))
        sys.exit(1)
