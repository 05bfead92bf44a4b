"""The fuzzing tests again and again, each round from a seed of its own, until the time is over.

    fuzz.py [--minutes 10] [--cases 1000] [--seed N]

They are the properties that `make test` looks at, which has them draw the same few cases each time, so that what
fails is the change that is tested. Here each round draws others, and more of them. A round that was begun is
finished. With a seed there is one round: that of this seed.

The seed is said before the round: also what hangs, or ends the process, can be run again. What a property fails by is
made small, and kept below a folder `proptest-regressions` beside its file: from there every later run tries it first.
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "local"))

from progress import fail, note, step  # noqa: E402

# Of the whole workspace, as `make test` builds it: a package alone has other features, and would be built anew. Not
# optimised, as there: then a sum that overflows panics, which here is to be found.
TESTS = ["cargo", "test", "--locked", "--workspace"]
COMMANDS = [
    [*TESTS, "--test", "fuzzing"],
    # Templates, and texts that are printed.
    [*TESTS, "--test", "documents", "hostile_"],
]
SEED_BITS = 32


def run_round(seed: int, cases: int) -> bool:
    """Whether every property holds in the cases of this seed."""
    drawn = {**os.environ, "PROPTEST_RNG_SEED": str(seed), "PROPTEST_CASES": str(cases)}
    passed = True
    for command in COMMANDS:
        # The second is asked also where the first failed: a round is a round of all.
        passed = subprocess.run(command, cwd=ROOT, env=drawn).returncode == 0 and passed
    return passed


def run(minutes: float, cases: int, seed: int | None) -> bool:
    end, rounds = time.monotonic() + 60 * minutes, 0
    while rounds == 0 or (seed is None and time.monotonic() < end):
        rounds += 1
        chosen = secrets.randbits(SEED_BITS) if seed is None else seed
        with step(f"Round {rounds}, seed {chosen}: {cases} cases of each property"):
            passed = run_round(chosen, cases)
        if not passed:
            fail(f"the same round again: make fuzz SEED={chosen} CASES={cases}")
            return False
    note(f"{rounds} rounds of {cases} cases: every property holds")
    return True


def whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz.py")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--cases", type=whole, default=1000)
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    try:
        return 0 if run(asked.minutes, asked.cases, asked.seed) else 1
    except KeyboardInterrupt:
        fail("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
