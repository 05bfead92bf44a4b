"""Everything that can be said about the project without running it: formatting, lints, templates,
licences, advisories. Runs all of them, then says which failed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "local"))

import prerequisites  # noqa: E402
from progress import Failure, fail, note, step  # noqa: E402

TOOLS = ROOT / "target" / "tools" / "checks"
# Names that are not there, unused ones, and what reads well but does not mean what it seems to.
PYTHON_RULES = ["check", "--no-cache", "--quiet", "--target-version", "py311", "--select", "E9,F,B,UP"]
ADVISORIES = "https://github.com/RustSec/advisory-db"


def passes(*command) -> bool:
    sys.stdout.flush()
    return subprocess.run([str(part) for part in command], cwd=ROOT).returncode == 0


def advisories(cargo_deny: Path) -> bool:
    """Needs the advisory database from the network. Where that is out of reach it is said, not taken
    for a failure of the project; REQUIRE_ADVISORIES=1 makes it one."""
    reachable = subprocess.run(
        ["git", "ls-remote", "--quiet", "--exit-code", ADVISORIES, "HEAD"],
        capture_output=True,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
    )
    if reachable.returncode != 0 and not os.environ.get("REQUIRE_ADVISORIES"):
        note(f"NOT CHECKED: {ADVISORIES} is out of reach from this machine")
        return True
    return passes(cargo_deny, "check", "advisories")


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
    checks = {
        "Formatting": lambda: passes("cargo", "fmt", "--all", "--check"),
        "Lints": lambda: passes(
            "cargo", "clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"
        ),
        "Lints of the Python files": lambda: passes(TOOLS / "bin" / "ruff", *PYTHON_RULES, "infra", "tests"),
        "Templates: CloudFormation's and SAM's rules": lambda: passes(TOOLS / "bin" / "cfn-lint", *templates),
        "Templates: this project's rules": lambda: passes(
            local, "-m", "unittest", "discover", "--start-directory", "infra/checks"
        ),
        "Licences, sources, wildcards": lambda: passes(
            cargo_deny, "--locked", "check", "licenses", "bans", "sources"
        ),
        "Advisories": lambda: advisories(cargo_deny),
    }
    failed = []
    for title, check in checks.items():
        with step(title) as details:
            if not check():
                failed.append(title)
                details.say("FAILED")
    for title in failed:
        fail(f"{title} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
