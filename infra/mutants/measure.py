"""How many mutants of shared/domain and shared/app the tests catch.

    measure.py [--minutes 60] [--seed 5] [--files shared/app/src/stock]

Works on a copy of the last commit in target/mutants. What was found there is kept: a run of the same commit
goes on where the last one stopped, with mutants drawn by chance. A run of another commit takes over what a test
caught and tries the rest again, and says so; without target/mutants/verdicts.jsonl it tries all. Why some are
missed is in explained.txt, and of how many.
"""

import argparse
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "local"))

import prerequisites  # noqa: E402
from progress import Failure, fail, note, step  # noqa: E402

CARGO_MUTANTS = "27.1.0"
PACKAGES = ["tillstream-domain", "tillstream-app"]
TOOLS = ROOT / "target" / "tools" / "mutants"
FOLDER = ROOT / "target" / "mutants"
SOURCE = FOLDER / "source"
# The copy that was built before.
BEFORE = FOLDER / "before"
# Tests of what a mutant cannot change, or that are not tests.
LEFT_OUT = {
    "architecture",
    "hq-stand-in",
    "kit",
    "memory_database",
    "poller",
    "tillstream_tests",
}
SIMULATOR_SEEDS = 14
# Tests that take longer are left out: what only they would notice counts as missed.
SECONDS_MAX = 30
WORKERS = 2


@dataclass
class Tests:
    """A binary of tests: how to run it, and of each test how long it takes and which mutants it comes by."""

    name: str
    command: list[str]
    directory: Path
    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, frozenset[int]] = field(default_factory=dict)

    def kept(self) -> dict:
        """What is written down, without the tests that are left out."""
        quick = {name: seconds for name, seconds in self.seconds.items() if seconds <= SECONDS_MAX}
        reached = {name: sorted(self.reached[name]) for name in quick}
        return {
            "name": self.name,
            "command": self.command,
            "directory": str(self.directory),
            "seconds": quick,
            "reached": reached,
        }

    @classmethod
    def of(cls, kept: dict) -> "Tests":
        reached = {name: frozenset(numbers) for name, numbers in kept["reached"].items()}
        return cls(kept["name"], kept["command"], Path(kept["directory"]), kept["seconds"], reached)

    def listed(self) -> list[str]:
        """The names of its tests; none where it is no binary of tests but a program that passes or fails."""
        if self.name == "simulator":
            return []
        command = [*self.command, "--list", "--format", "terse"]
        told = demand(subprocess.run(command, cwd=self.directory, text=True, capture_output=True)).stdout
        return [line.removesuffix(": test") for line in told.splitlines() if line.endswith(": test")]

    def by(self, mutant: int) -> "tuple[float, Tests, list[str]] | None":
        """The tests that come by a mutant, after how long they take together."""
        names = [name for name, reached in self.reached.items() if mutant in reached]
        return (sum(self.seconds[name] for name in names), self, names) if names else None

    def run(self, names: list[str], limit: float, **variables: str) -> str:
        """Whether all of these pass: `passed`, `failed`, or `timed out`."""
        environment = {**os.environ, "PROPTEST_RNG_SEED": "1", "PROPTEST_MAX_SHRINK_ITERS": "0", **variables}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [*self.command, "--exact", *names] if names[0] else self.command
        running = subprocess.Popen(command, cwd=self.directory, env=environment, start_new_session=True, **quiet)
        try:
            return "passed" if running.wait(timeout=limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            return "timed out"


def cargo(*arguments: str, **more) -> subprocess.CompletedProcess:
    environment = {**os.environ, "CARGO_TARGET_DIR": str(FOLDER / "target")}
    return subprocess.run(["cargo", *arguments], cwd=SOURCE, env=environment, text=True, **more)


def demand(done: subprocess.CompletedProcess) -> subprocess.CompletedProcess:
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, done.args))}:\n{(done.stderr or done.stdout or '')[-3000:]}")
    return done


def cargo_mutants() -> Path:
    program = TOOLS / "bin" / "cargo-mutants"
    if not program.exists():
        with step(f"cargo-mutants {CARGO_MUTANTS}"):
            install = ["cargo", "install", "--quiet", "--locked", "--root", str(TOOLS)]
            demand(subprocess.run([*install, f"cargo-mutants@{CARGO_MUTANTS}"], text=True, capture_output=True))
    return program


def copy_of(commit: str) -> None:
    shutil.rmtree(BEFORE, ignore_errors=True)
    if SOURCE.exists():
        SOURCE.rename(BEFORE)
    SOURCE.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True)
    # Each file is as new as now: cargo builds what is younger than what it built, whatever the commit's time.
    subprocess.run(["tar", "-x", "-m", "-C", str(SOURCE)], input=archive.stdout, check=True)


def keep_times() -> None:
    """Gives what is as it was built before its time of then, so that cargo does not build it again."""
    for path in filter(Path.is_file, SOURCE.rglob("*")):
        before = BEFORE / path.relative_to(SOURCE)
        if before.is_file() and before.read_bytes() == path.read_bytes():
            shutil.copystat(before, path)


def listed(program: Path) -> list[dict]:
    """All mutants, numbered from 1."""
    packages = [word for package in PACKAGES for word in ("--package", package)]
    command = [str(program), "mutants", "--list", "--json", *packages]
    told = demand(subprocess.run(command, cwd=SOURCE, text=True, capture_output=True)).stdout
    return [{**mutant, "id": number} for number, mutant in enumerate(json.loads(told), start=1)]


def build(mutants: list[dict]) -> tuple[set[int], set[int]]:
    """Rewrites the copy; answers which mutants are in it, and which cannot be built."""
    from switches import Source
    from unviable import prune

    texts = {name: (SOURCE / name).read_bytes() for name in {mutant["file"] for mutant in mutants}}
    domain = SOURCE / "shared" / "domain" / "src"
    shutil.copy(Path(__file__).with_name("mutant_switch.rs"), domain / "mutant_switch.rs")
    library = domain / "lib.rs"
    library.write_text(library.read_text().replace("\npub mod ", "\npub mod mutant_switch;\npub mod ", 1))
    written: set[int] = set()

    def rewrite(without: set[int]) -> None:
        written.clear()
        for name, text in texts.items():
            own = "crate" if name.startswith("shared/domain/") else "::tillstream_domain"
            chosen = [m for m in mutants if m["file"] == name and m["id"] not in without]
            source = Source(text, chosen, f"{own}::mutant_switch::on")
            (SOURCE / name).write_text(source.rewritten())
            written.update(source.written)

    environment = {**os.environ, "CARGO_TARGET_DIR": str(FOLDER / "target")}
    unviable: set[int] = set()
    for package in PACKAGES:
        check = ["cargo", "check", "--locked", "--lib", "--message-format=json", "--package", package]
        before = set(unviable)
        found = prune(SOURCE, check, environment, lambda without, before=before: rewrite(before | without))
        unviable = before | found
    return written - unviable, unviable


def binaries() -> list[Tests]:
    told = demand(cargo("test", "--workspace", "--locked", "--no-run", capture_output=True)).stderr
    demand(cargo("build", "--locked", "--package", "tillstream-testkit", "--bin", "simulator", capture_output=True))
    found = []
    for line in told.splitlines():
        executable = re.match(r"\s+Executable (?:unittests )?\S+ \((\S+)\)", line)
        name = Path(executable[1]).name.rpartition("-")[0] if executable else None
        if not name or name in LEFT_OUT or name == "simulator":
            continue
        path = Path(executable[1])
        sources = path.with_name(path.name + ".d").read_text().splitlines()[0]
        package = re.search(r"(shared/\w+|functions/[\w-]+|tests)/(?:src|tests|benches)/", sources)
        directory = SOURCE / (package[1] if package else ".")
        found.append(Tests(f"{directory.name}/{name}", [str(path), "--quiet"], directory))
    simulator = [str(FOLDER / "target" / "debug" / "simulator"), "--seeds", str(SIMULATOR_SEEDS)]
    return [*found, Tests("simulator", simulator, SOURCE)]


def get_to_know(tests: list[Tests]) -> None:
    """Times each test, and notes which mutants it comes by."""
    path = FOLDER / "reached"
    for of in tests:
        for name in of.listed() or [""]:
            path.unlink(missing_ok=True)
            started = time.monotonic()
            if of.run([name], 900, MUTANTS_REACHED=str(path)) != "passed":
                raise Failure(f"{of.name} {name} fails without any mutant")
            of.seconds[name] = time.monotonic() - started
            reached = path.read_text().split() if path.exists() else []
            of.reached[name] = frozenset(int(number) for number in reached)
        reached = frozenset().union(*of.reached.values())
        note(f"{of.name}: {len(of.seconds)} tests, {sum(of.seconds.values()):.1f} s, by {len(reached)} mutants")


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    name: str
    commit: str
    # The binary of tests that noticed it; none where it was missed.
    by: str | None
    # It did not fail: it ran until its time was up.
    timed_out: bool = False


def verdict(mutant: int, name: str, commit: str, tests: list[Tests]) -> Verdict:
    """Of the binaries of tests that come by a mutant the quick ones are asked first."""
    reaching = sorted(filter(None, (of.by(mutant) for of in tests)), key=lambda one: one[0])
    for seconds, of, names in reaching:
        # What takes four times as long does not end.
        ended = of.run(names, 4 * seconds + 5, MUTANT=str(mutant))
        if ended != "passed":
            return Verdict(name, commit, of.name, ended == "timed out")
    return Verdict(name, commit, None)


def try_all(mutants: list[dict], commit: str, tests: list[Tests], results: Path, minutes: float) -> None:
    left, lock, end = queue.SimpleQueue(), threading.Lock(), time.monotonic() + 60 * minutes
    for mutant in mutants:
        left.put(mutant)
    tried = caught = 0

    def work() -> None:
        nonlocal tried, caught
        while time.monotonic() < end:
            try:
                mutant = left.get_nowait()
            except queue.Empty:
                return
            found = verdict(mutant["id"], mutant["name"], commit, tests)
            with lock, results.open("a") as kept:
                kept.write(json.dumps(asdict(found)) + "\n")
                tried, caught = tried + 1, caught + (found.by is not None)
                if tried % 50 == 0:
                    note(f"{tried} of {len(mutants)}: {caught} caught")

    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def known(results: Path) -> dict[str, Verdict]:
    """The last verdict on each mutant, by its name."""
    lines = results.read_text().splitlines() if results.exists() else []
    return {one["name"]: Verdict(**one) for one in map(json.loads, lines)}


def carried(results: Path, names: set[str]) -> list[Verdict]:
    """What stands at another commit: a test that failed there is there still. What was missed, or what may
    only have met a slow moment, is tried again."""
    return [one for one in known(results).values() if one.by and not one.timed_out and one.name in names]


def without_place(name: str) -> str:
    """A mutant's name without line and column, which every change moves."""
    return re.sub(r":\d+:\d+: ", ": ", name)


@dataclass(frozen=True)
class Explanation:
    """Why mutants of one name, so of one function, are missed."""

    reason: str
    # Of how many: a function may have several of one name, and what is said of one need not hold of another.
    most: int = 1


def explanations(text: str) -> dict[str, Explanation]:
    """What a file says, by the names of mutants without their places."""
    found: dict[str, Explanation] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        # A name may have such a bar itself, so it is read from the end.
        name, _, reason = line.rpartition(" | ")
        before, _, most = name.rpartition(" | ")
        if most.isdecimal():
            name, explanation = before, Explanation(reason, int(most))
        else:
            explanation = Explanation(reason)
        if not name or not reason or explanation.most < 1:
            raise Failure(f"explained.txt: neither 'name | reason' nor 'name | number | reason': {line}")
        if name in found:
            raise Failure(f"explained.txt: explained twice: {name}")
        found[name] = explanation
    return found


def explained() -> dict[str, Explanation]:
    return explanations(Path(__file__).with_name("explained.txt").read_text())


def judged(missed: list[str], known_reasons: dict[str, Explanation]) -> tuple[list[str], list[str]]:
    """Of what is missed, what no explanation is of; and of which explanations there are more than they say. These
    are then of none: nobody knows which of them was meant."""
    counts = Counter(map(without_place, missed))
    wide = [name for name, why in known_reasons.items() if counts[name] > why.most]
    holds = known_reasons.keys() - set(wide)
    complaints = [f"{counts[name]} are missed, {known_reasons[name].most} explained: {name}" for name in wide]
    return [name for name in missed if without_place(name) not in holds], complaints


def report(names: list[str], commit: str, results: Path) -> list[str]:
    """Says what is known of these mutants; answers what is missed and explained by nothing. Fails where an
    explanation would be of more than it was written for."""
    verdicts = [one for name, one in known(results).items() if name in set(names)]
    caught = [one for one in verdicts if one.by]
    missed = sorted(one.name for one in verdicts if not one.by)
    reasons = explained()
    unexplained, complaints = judged(missed, reasons)
    (FOLDER / "missed.txt").write_text("".join(f"{name}\n" for name in unexplained))
    earlier = sum(one.commit != commit for one in caught)
    note(f"{len(names)} viable mutants, {len(names) - len(verdicts)} of them not tried")
    note(
        f"{len(caught)} caught ({earlier} at an earlier commit, {sum(one.timed_out for one in caught)} by time-outs), "
        f"{len(missed)} missed, {len(missed) - len(unexplained)} of these explained; target/mutants/missed.txt"
    )
    if verdicts:
        note(f"{100 * len(caught) / len(verdicts):.1f} % of the tried are caught")
    for gone in sorted(reasons.keys() - set(map(without_place, names))):
        note(f"explained, but there is no such mutant: {gone}")
    if complaints:
        raise Failure("explained.txt explains one mutant of a name, or as many as it says:\n  " + "\n  ".join(complaints))
    return unexplained


def main() -> int:
    parser = argparse.ArgumentParser(prog="measure.py")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--files", default="", help="only files whose path begins so")
    asked = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    state, results = FOLDER / "state.json", FOLDER / "verdicts.jsonl"
    try:
        kept = json.loads(state.read_text()) if state.exists() else {}
        if kept.get("commit") != commit:
            program = cargo_mutants()
            copy_of(commit)
            with step("The list of mutants") as details:
                mutants = listed(program)
                details.say(f"{len(mutants)} mutants")
            with step("All mutants in one build, but for those that cannot be built") as details:
                viable, unviable = build(mutants)
                details.say(f"{len(viable)} viable, {len(unviable)} not")
            with step("Tests"):
                keep_times()
                tests = binaries()
                get_to_know(tests)
            kept = {
                "commit": commit,
                "mutants": [{key: mutant[key] for key in ("id", "name", "file")} for mutant in mutants],
                "viable": sorted(viable),
                "tests": [of.kept() for of in tests],
            }
            stands = carried(results, {mutant["name"] for mutant in mutants})
            results.write_text("".join(f"{json.dumps(asdict(one))}\n" for one in stands))
            state.write_text(json.dumps(kept))
        tests = [Tests.of(one) for one in kept["tests"]]
        mutants = [mutant for mutant in kept["mutants"] if mutant["id"] in set(kept["viable"])]
        done = known(results)
        left = [one for one in mutants if one["name"] not in done and one["file"].startswith(asked.files)]
        random.Random(asked.seed).shuffle(left)
        with step(
            f"{len(left)} mutants against the tests that come by them, for {asked.minutes:g} minutes at most"
        ):
            try_all(left, commit, tests, results, asked.minutes)
        report([mutant["name"] for mutant in mutants], commit, results)
    except Failure as failure:
        fail(str(failure))
        return 1
    return 0


if __name__ == "__main__":
    if Path(sys.prefix).resolve() != (TOOLS / "venv").resolve():
        try:
            prerequisites.check()
            python = prerequisites.environment(TOOLS / "venv", Path(__file__).with_name("requirements.txt"))
        except Failure as failure:
            sys.exit(f"error: {failure}")
        sys.stdout.flush()
        os.execv(python, [str(python), *sys.argv])
    sys.exit(main())
