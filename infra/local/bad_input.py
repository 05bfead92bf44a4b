"""A hostile client: everything that can be wrong with a request, a token, an upload or a record. Each has
an answer of its own that says what was wrong, and nothing is changed by it.

    bad_input.py [--directory target/local]      against a running stack

The cases are tables: a name, a request, the status and the code that a client must get.
"""

import argparse
import http.client
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import prerequisites
from bad_access import BadAccess
from bad_commands import BadCommands
from bad_queries import BadQueries
from bad_records import BadRecords
from hostile_client import Table
from prerequisites import ROOT
from progress import Failure, fail, note


def run(stack) -> None:
    """Every table and check; raises one AssertionError that lists all that was answered wrongly."""
    client = BadInput(stack)
    client.load()
    failures: list[str] = []
    for table in client.tables():
        failures += client.work_off(table)
    for check in client.checks():
        started = time.monotonic()
        try:
            said = check()
            note(f"{check.__name__}: {said} ({time.monotonic() - started:.1f} s)")
        except (AssertionError, Failure, OSError, http.client.HTTPException) as error:
            failures.append(f"{check.__name__}: {str(error) or repr(error)}")
            note(f"WRONG {failures[-1]}")
    if failures:
        raise AssertionError(f"{len(failures)} answers to bad input were wrong:\n  " + "\n  ".join(failures))


class BadInput(BadCommands, BadAccess, BadQueries, BadRecords):
    """All of it."""

    # Tables

    def tables(self) -> Iterator[Table]:
        yield Table("bodies that are no JSON", self.bodies)
        yield Table("envelopes", self.envelopes)
        yield Table("idempotency keys", self.idempotency_keys)
        yield Table("things that are not there", self.unknown_things)
        yield Table("quantities, prices and amounts", self.numbers)
        yield Table("card numbers and texts", self.texts)
        yield Table("states of a cart", self.cart_states)
        yield Table("tokens", self.bad_tokens)
        yield Table("every route without a token", self.routes_without_token)
        yield Table("roles and stores", self.reach)
        yield Table("another tenant's token", self.another_tenant)
        yield Table("stock", self.stock_requests)
        yield Table("lists: limits and cursors", self.lists)
        yield Table("days and filters", self.days)
        yield Table("paths and methods", self.paths)
        yield Table("too large", self.sizes)
        yield Table("feeds", self.feeds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bad_input.py")
    parser.add_argument("--directory", type=Path, default=ROOT / "target" / "local", help="the stack's state")
    chosen = parser.parse_args()
    try:
        prerequisites.enter_environment()
        from stack import LocalStack

        run(LocalStack(chosen.directory.absolute()))
    except (AssertionError, Failure) as error:
        fail(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
