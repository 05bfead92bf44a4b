"""Builds the functions and puts each where the template looks for it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import expand
from prerequisites import ROOT
from progress import Failure

HQ_STAND_IN = "hq-stand-in"


def function_names(template: dict) -> list[str]:
    """A function's binary is named like the last part of its CodeUri."""
    return sorted(path.name for path in expand.code_directories(template).values())


def cargo_target_directory() -> Path:
    shown = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"], capture_output=True, text=True, cwd=ROOT
    )
    if shown.returncode != 0:
        raise Failure(f"cargo metadata failed:\n{shown.stderr.strip()}")
    return Path(json.loads(shown.stdout)["target_directory"])


def build(template: dict, profile: str = "dev", with_tests: bool = False) -> Path:
    """Builds every function and the HQ stand-in. Returns the directory with the binaries.

    `with_tests` builds them with the features that the tests' own dependencies ask of shared packages: after
    `cargo test` nothing of it is left to compile, where the other way compiles tokio and all above it again.
    """
    binaries = function_names(template) + [HQ_STAND_IN]
    command = ["cargo", "build", "--locked", "--workspace", "--profile", profile]
    for binary in binaries:
        command += ["--bin", binary]
    if with_tests:
        command.append("--tests")
    # Its own output is the progress of the longest step of a first start.
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise Failure("the functions do not build")
    built = built_directory(profile)
    for directory in expand.code_directories(template).values():
        place(built / directory.name, ROOT / directory / "bootstrap")
    return built


def built_directory(profile: str) -> Path:
    return cargo_target_directory() / {"dev": "debug"}.get(profile, profile)


def place(binary: Path, bootstrap: Path) -> None:
    """Copies a binary by way of a new file, so that a running one is never written to."""
    if not binary.exists():
        raise Failure(f"cargo built no {binary}")
    if bootstrap.exists():
        old, new = bootstrap.stat(), binary.stat()
        if (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
            return
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    fresh = bootstrap.with_suffix(".new")
    shutil.copy2(binary, fresh)
    os.replace(fresh, bootstrap)
