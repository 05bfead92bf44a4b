"""How long the simulator takes for a thousand seeds of a thousand commands, on two cores.

    simulator_speed.py [--binary target/release/simulator] [--seeds 1000]

With fewer seeds, to try a change, nothing is kept: the figure is that of all. A seed that fails is a broken
invariant: that is told as `make simulate` tells it, and there is no figure.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import figures
from figures import ROOT, Figure

sys.path.insert(0, str(ROOT / "infra" / "local"))

from progress import Failure, fail, note, step  # noqa: E402

BENCHMARK = "simulator_speed"
SEEDS = 1_000
COMMANDS = 1_000
SECONDS_MAX = 300
CORES = 2
BUILT_BY = "cargo build --release --locked --package tillstream-testkit --bin simulator"
# The simulator's last line.
SUMMARY = re.compile(r"^(\d+) seeds of (\d+) commands in .*: (\d+) commands, .*; (\d+) seeds failed$", re.MULTILINE)


def seconds(binary: Path, seeds: int) -> float:
    """From the start of the simulator's process to its end; its threads are as many as it may use cores."""
    if not binary.is_file():
        raise Failure(f"{binary} is missing; build it with: {BUILT_BY}")
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    if len(cores) < CORES:
        note(f"this machine has {len(cores)} core of {CORES}: it is slower than what is asked of")
    command = [str(binary), "--seeds", str(seeds), "--commands", str(COMMANDS)]
    with step(f"The simulator: {seeds} seeds of {COMMANDS} commands, on {len(cores)} cores"):
        sys.stdout.flush()
        begin = time.perf_counter()
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
        )
        took = time.perf_counter() - begin
        print(ended.stdout, end="", flush=True)
    check(ended.stdout, ended.returncode, seeds)
    return took


def check(told: str, status: int, seeds: int) -> None:
    """That all was run that was asked for, and nothing broke."""
    summary = SUMMARY.search(told)
    if not summary:
        raise Failure(f"the simulator ended with {status} and did not say what it ran")
    ran, each, commands, failed = map(int, summary.groups())
    if status or failed:
        raise Failure(f"{failed} seeds failed: their time says nothing; mend what they found first")
    if (ran, each) != (seeds, COMMANDS) or commands < seeds * COMMANDS:
        raise Failure(f"the simulator ran {ran} seeds of {each} commands, {commands} in all: fewer than asked for")


def figure(took: float, build: str) -> Figure:
    return Figure(BENCHMARK, f"simulate_{SEEDS}_seeds", round(took, 1), "s", {"at_most": SECONDS_MAX}, build)


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulator_speed.py")
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "release" / "simulator")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--figures", type=Path, default=figures.FOLDER)
    chosen = parser.parse_args()
    binary = chosen.binary.resolve()
    try:
        took = seconds(binary, chosen.seeds)
    except Failure as failure:
        fail(str(failure))
        return 1
    if chosen.seeds != SEEDS:
        note(f"not kept: {chosen.seeds} of {SEEDS} seeds took {took:.1f} s")
        return 0
    measured = figure(took, "dev" if binary.parent.name == "debug" else "release")
    print(measured.line())
    figures.write(BENCHMARK, [measured], chosen.figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
