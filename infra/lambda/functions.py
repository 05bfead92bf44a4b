"""Functions for the real Lambda: builds them, deploys them, and runs one by hand.

    functions.py build | deploy --stage dev | invoke FUNCTION EVENT

cargo-lambda and the SAM command line are installed on demand, exactly pinned, under target/tools.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "local"))

import prerequisites  # noqa: E402
from progress import Failure, fail, step  # noqa: E402

HERE = Path(__file__).parent
CARGO_LAMBDA = ROOT / "target" / "tools" / "cargo-lambda"
SAM = ROOT / "target" / "tools" / "sam"
HOST = "127.0.0.1"
RUST_TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}


def tool(directory: Path, program: str, requirements: str) -> tuple[str, dict[str, str]]:
    """A program of a virtual environment, and the environment variables to run it with."""
    python = prerequisites.environment(directory, HERE / requirements)
    paths = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    return str(python.parent / program), {**os.environ, "PATH": paths}


def cargo_lambda() -> tuple[str, dict[str, str]]:
    return tool(CARGO_LAMBDA, "cargo-lambda", "requirements-cargo-lambda.txt")


def function_names() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "functions").glob("*/Cargo.toml"))


def build(architecture: str) -> None:
    """Into target/lambda/<function>/bootstrap, where template.yaml looks."""
    prerequisites.check()
    if not has_target(RUST_TARGETS[architecture]):
        raise Failure(
            f"Rust's target for {architecture} is missing; install it with: rustup target add {RUST_TARGETS[architecture]}\n"
            f"  or build for this machine's own architecture with: make build ARCH=..."
        )
    program, environment = cargo_lambda()
    flag = "--arm64" if architecture == "arm64" else "--x86-64"
    command = [program, "lambda", "build", "--release", "--locked", flag]
    for name in function_names():
        command += ["--bin", name]
    with step(f"Functions for {architecture}") as details:
        if subprocess.run(command, cwd=ROOT, env=environment).returncode != 0:
            raise Failure("the functions do not build")
        sizes = [(ROOT / "target" / "lambda" / name / "bootstrap").stat().st_size for name in function_names()]
        details.say(f"{len(sizes)} functions, the largest {max(sizes) / 1e6:.1f} MB")


def has_target(target: str) -> bool:
    shown = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", target], capture_output=True, text=True, cwd=ROOT
    )
    directory = Path(shown.stdout.strip())
    return shown.returncode == 0 and any(directory.glob("libstd-*"))


def deploy(stage: str, architecture: str) -> None:
    missing = [name for name in ("HQ_URL", "HQ_SIGNING_SECRET") if not os.environ.get(name)]
    if missing:
        raise Failure(
            f"set {' and '.join(missing)} in the environment: where HQ receives orders, and the secret that signs them"
        )
    build(architecture)
    program, environment = tool(SAM, "sam", "requirements-sam.txt")
    parameters = {
        "Stage": stage,
        "Architecture": architecture,
        "HqUrl": os.environ["HQ_URL"],
        "HqSigningSecret": os.environ["HQ_SIGNING_SECRET"],
    }
    for name in ("TokenIssuer", "TokenAudience", "AlarmTopicArn", "TillConcurrency"):
        if os.environ.get(name):
            parameters[name] = os.environ[name]
    command = [program, "deploy", "--config-env", stage, "--template-file", "template.yaml", "--parameter-overrides"]
    command += [f"{name}={value}" for name, value in parameters.items()]
    with step(f"Deployment of stage {stage}"):
        if subprocess.run(command, cwd=ROOT, env={**environment, "SAM_CLI_TELEMETRY": "0"}).returncode != 0:
            raise Failure("the deployment failed")


def invoke(name: str, event: Path) -> None:
    """Runs one function on one event, with the local stack's tables and queues."""
    if name not in function_names():
        raise Failure(f"there is no function {name}; there are {', '.join(function_names())}")
    if not event.is_file():
        raise Failure(f"there is no event {event}")
    program, environment = cargo_lambda()
    environment |= configuration(name)
    port = free_port()
    watch = subprocess.Popen(
        [program, "lambda", "watch", "--ignore-changes", "--invoke-address", HOST, "--invoke-port", str(port), "--bin", name],
        cwd=ROOT,
        env=environment,
        stdout=sys.stderr,
        start_new_session=True,
    )
    try:
        wait_until_listening(watch, port)
        done = subprocess.run(
            [
                program, "lambda", "invoke", name, "--data-file", str(event.absolute()),
                "--invoke-address", HOST, "--invoke-port", str(port), "--output-format", "json",
            ],
            cwd=ROOT,
            env=environment,
        )
        if done.returncode != 0:
            raise Failure(f"{name} failed")
    finally:
        # The watcher runs cargo, which runs the function: the whole group ends.
        os.killpg(watch.pid, signal.SIGTERM)
        watch.wait()


def configuration(name: str) -> dict[str, str]:
    """The function's environment in the local stack."""
    shown = subprocess.run(
        [sys.executable, str(ROOT / "infra" / "local" / "stack.py"), "configuration", name],
        capture_output=True,
        text=True,
    )
    if shown.returncode != 0:
        raise Failure(shown.stderr.strip().removeprefix("error: "))
    return json.loads(shown.stdout.splitlines()[-1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until_listening(watch: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if watch.poll() is not None:
            raise Failure("cargo lambda watch did not start")
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise Failure("cargo lambda watch does not listen")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="functions.py")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("build", "deploy"):
        one = commands.add_parser(command)
        one.add_argument("--architecture", choices=RUST_TARGETS, required=True)
        if command == "deploy":
            one.add_argument("--stage", choices=["dev", "test", "prod"], required=True)
    one = commands.add_parser("invoke")
    one.add_argument("function")
    one.add_argument("event", type=Path)
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    try:
        if chosen.command == "build":
            build(chosen.architecture)
        elif chosen.command == "deploy":
            deploy(chosen.stage, chosen.architecture)
        else:
            invoke(chosen.function, chosen.event)
    except Failure as failure:
        fail(str(failure))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
