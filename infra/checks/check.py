"""Everything that can be said about the project without running it: formatting, lints, templates,
licences, advisories. Runs all of them, then says which failed. What compiles nothing runs beside the compiler, and is
told after it, in the same order every time."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "local"))

import prerequisites  # noqa: E402
from progress import Failure, fail, step  # noqa: E402

TOOLS = ROOT / "target" / "tools" / "checks"
# Names that are not there, unused ones, and what reads well but does not mean what it seems to.
PYTHON_RULES = ["check", "--no-cache", "--quiet", "--target-version", "py311", "--select", "E9,F,B,UP"]
ADVISORIES = "https://github.com/RustSec/advisory-db"
# Where the network swallows what is sent, nobody says so.
REACHED_SECONDS_MAX = 10
# At once, beside the compiler: it needs the cores.
BESIDE = 2

# Whether it passes, and what it said.
Outcome = tuple[bool, str]


def passes(*command) -> bool:
    sys.stdout.flush()
    return subprocess.run([str(part) for part in command], cwd=ROOT).returncode == 0


def outcome(*command) -> Outcome:
    """What `passes` shows is kept, to be shown later."""
    ended = subprocess.run(
        [str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return ended.returncode == 0, ended.stdout


def is_reachable(repository: str) -> bool:
    command = ["git", "ls-remote", "--quiet", "--exit-code", repository, "HEAD"]
    here = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(command, capture_output=True, env=here, timeout=REACHED_SECONDS_MAX).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def advisories(cargo_deny: Path) -> Outcome:
    """Needs the advisory database from the network. Where that is out of reach it is said, not taken
    for a failure of the project; REQUIRE_ADVISORIES=1 makes it one."""
    if not os.environ.get("REQUIRE_ADVISORIES") and not is_reachable(ADVISORIES):
        return True, f"    NOT CHECKED: {ADVISORIES} is out of reach from this machine\n"
    return outcome(cargo_deny, "check", "advisories")


def failed(compiling: dict[str, Callable[[], bool]], beside: dict[str, Callable[[], Outcome]]) -> list[str]:
    """Runs all checks; the titles of those that failed. Those of `compiling` are shown as they run, one after the
    other; those of `beside` run meanwhile."""

    def timed(check: Callable[[], Outcome]) -> tuple[bool, str, float]:
        began = time.monotonic()
        return *check(), time.monotonic() - began

    found = []
    with ThreadPoolExecutor(BESIDE) as pool:
        begun = {title: pool.submit(timed, check) for title, check in beside.items()}
        for title, check in compiling.items():
            with step(title) as details:
                if not check():
                    found.append(title)
                    details.say("FAILED")
        for title, check in begun.items():
            with step(title) as details:
                holds, said, seconds = check.result()
                print(said, end="" if said.endswith("\n") or not said else "\n", flush=True)
                if not holds:
                    found.append(title)
                details.say(f"{'' if holds else 'FAILED, '}{seconds:.1f} s beside the others")
    return found


def main() -> int:
    try:
        prerequisites.check()
        local = prerequisites.environment()
        prerequisites.environment(TOOLS, ROOT / "infra" / "checks" / "requirements.txt")
    except Failure as failure:
        fail(str(failure))
        return 1
    cargo_deny = TOOLS / "bin" / "cargo-deny"
    templates = ["template.yaml", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "infra").glob("*.yaml"))]
    clippy = ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]
    rules = ["-m", "unittest", "discover", "--start-directory", "infra/checks"]
    compiling = {
        "Formatting": lambda: passes("cargo", "fmt", "--all", "--check"),
        "Lints": lambda: passes(*clippy),
    }
    beside = {
        "Lints of the Python files": lambda: outcome(TOOLS / "bin" / "ruff", *PYTHON_RULES, "infra", "tests"),
        "Templates: CloudFormation's and SAM's rules": lambda: outcome(TOOLS / "bin" / "cfn-lint", *templates),
        "Templates: this project's rules": lambda: outcome(local, *rules),
        "Licences, sources, wildcards": lambda: outcome(
            cargo_deny, "--locked", "check", "licenses", "bans", "sources"
        ),
        "Advisories": lambda: advisories(cargo_deny),
    }
    titles = failed(compiling, beside)
    for title in titles:
        fail(f"{title} failed")
    return 1 if titles else 0


if __name__ == "__main__":
    sys.exit(main())
