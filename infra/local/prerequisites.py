"""What must be on the machine, and the virtual environment with the rest. Standard library only:
this runs before anything is installed.

    prerequisites.py ARGUMENT ...     runs Python with these arguments in that environment
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from progress import Failure, step

RUST_VERSION = (1, 95)
PYTHON_VERSION = (3, 11)

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
VENV = ROOT / "target" / "local" / "venv"


def check() -> None:
    """Raises one failure that lists everything missing, not the first thing only."""
    missing = []
    if sys.version_info < PYTHON_VERSION:
        missing.append(f"Python {dotted(PYTHON_VERSION)} or newer (this is {sys.version.split()[0]})")
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("Python's venv module (Debian, Ubuntu: apt install python3-venv)")
    missing += rust_problems()
    if missing:
        raise Failure("missing on this machine:\n  - " + "\n  - ".join(missing))


def rust_problems() -> list[str]:
    wanted = f"Rust {dotted(RUST_VERSION)} or newer (https://rustup.rs)"
    if not shutil.which("cargo") or not shutil.which("rustc"):
        return [wanted]
    shown = subprocess.run(["rustc", "--version"], capture_output=True, text=True, cwd=ROOT)
    found = re.match(r"rustc (\d+)\.(\d+)", shown.stdout)
    if not found:
        return [f"a working rustc: {(shown.stderr or shown.stdout).strip()}"]
    if tuple(map(int, found.groups())) < RUST_VERSION:
        return [f"{wanted}; this is {shown.stdout.strip()}"]
    return []


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def environment(directory: Path = VENV, requirements: Path = REQUIREMENTS) -> Path:
    """The virtual environment's Python; the environment is made when its requirements changed."""
    python = python_of(directory)
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = directory / "requirements.sha256"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    with step(f"Python packages into {directory.relative_to(ROOT)}"):
        venv.EnvBuilder(clear=True, with_pip=True).create(directory)
        installed = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements],
            capture_output=True,
            text=True,
        )
        if installed.returncode != 0:
            raise Failure(f"pip could not install {requirements.relative_to(ROOT)}:\n{installed.stderr.strip()}")
        stamp.write_text(wanted)
    return python


def enter_environment() -> None:
    """Runs this same command again inside the virtual environment, unless it is there already."""
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    check()
    python = environment()
    sys.stdout.flush()
    os.execv(python, [str(python), *sys.argv])


if __name__ == "__main__":
    try:
        check()
        os.execv(environment(), ["python", *sys.argv[1:]])
    except Failure as failure:
        sys.exit(f"error: {failure}")
