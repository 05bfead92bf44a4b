"""Functions for the real Lambda: builds them, deploys them, and runs one by hand.

    functions.py build | deploy --stage dev | invoke FUNCTION EVENT | invoke-all

cargo-lambda and the SAM command line are installed on demand, exactly pinned, under target/tools.
"""

import argparse
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "local"))

import prerequisites  # noqa: E402
from progress import Failure, fail, step  # noqa: E402

HERE = Path(__file__).parent
CARGO_LAMBDA = ROOT / "target" / "tools" / "cargo-lambda"
SAM = ROOT / "target" / "tools" / "sam"
HOST = "127.0.0.1"
INVOKE_SECONDS_MAX = 300
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
    with watched([name]) as invoke_one:
        answered = invoke_one(name, event)
        print(answered.stdout, end="")
        if answered.returncode != 0:
            raise Failure(f"{name} failed: {answered.stderr.strip()}")


def invoke_all(built: Path | None) -> None:
    """Runs every function on each of its sample events, in an order in which each finds what it needs: as cargo
    lambda builds it, or as it was built into the directory `built`."""
    failed = []
    with watched(function_names(), built) as invoke_one:
        for name, event in events_in_order():
            answered = invoke_one(name, event)
            if answered.returncode != 0:
                failed.append(f"{name}/{event.name}: {answered.stderr.strip()}")
            print(f"{name:18} {event.stem:28} {summary(answered)}", flush=True)
    if failed:
        raise Failure("\n  ".join([f"{len(failed)} events were not answered:", *failed]))


def events_in_order() -> list[tuple[str, Path]]:
    """Functions and their sample events, as events/order.txt lists them."""
    events = ROOT / "events"
    lines = [line.strip() for line in (events / "order.txt").read_text().splitlines()]
    listed = [line for line in lines if line and not line.startswith("#")]
    return [(sample.partition("/")[0], events / f"{sample}.json") for sample in listed]


def summary(answered: subprocess.CompletedProcess) -> str:
    """An HTTP answer's status and code; of a batch, which records failed."""
    if answered.returncode != 0:
        return "FAILED"
    answer = json.loads(answered.stdout or "null")
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return json.dumps(answer)
    try:
        code = json.loads(answer.get("body") or "{}").get("code", "")
    except ValueError:
        code = ""
    return f"{answer['statusCode']} {code}".strip()


@contextmanager
def watched(names: list[str], built: Path | None = None):
    """`cargo lambda watch` over functions, configured as in the local stack; gives what invokes one. Those of a
    directory `built` are started here, and it is only their Runtime API."""
    program, environment = cargo_lambda()
    environment |= configuration(names)
    # As on AWS: the local stack's way is for its emulator, which does not read reports.
    environment["BATCH_FAILURES"] = "report"
    port = free_port()
    command = [program, "lambda", "watch", "--ignore-changes", "--invoke-address", HOST, "--invoke-port", str(port)]
    if built is not None:
        command.append("--only-lambda-apis")
    watch = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sys.stderr, start_new_session=True)
    functions: list[subprocess.Popen] = []
    try:
        wait_until_listening(watch, port)
        if built is not None:
            functions += [start(built / name, environment, port) for name in names]

        def invoke_one(name: str, event: Path) -> subprocess.CompletedProcess:
            with tempfile.NamedTemporaryFile("w", suffix=".json") as sent:
                sent.write(with_tokens(event.read_text()))
                sent.flush()
                return answer_of(
                    [
                        program, "lambda", "invoke", name, "--data-file", sent.name,
                        "--invoke-address", HOST, "--invoke-port", str(port), "--output-format", "json",
                    ],
                    environment,
                )  # fmt: skip

        yield invoke_one
    finally:
        for function in functions:
            function.kill()
            function.wait()
        # The watcher runs cargo, which runs the functions: the whole group ends.
        os.killpg(watch.pid, signal.SIGTERM)
        watch.wait()


def start(function: Path, environment: dict[str, str], port: int) -> subprocess.Popen:
    """A function as `cargo lambda watch` starts it."""
    of_it = {
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "4096",
        "AWS_LAMBDA_RUNTIME_API": f"http://{HOST}:{port}/.rt/{function.name}",
    }
    return subprocess.Popen([str(function)], cwd=ROOT, env={**environment, **of_it}, stdout=sys.stderr)


def answer_of(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess:
    """The first call compiles the function; one that never answers could not be started."""
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=INVOKE_SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {INVOKE_SECONDS_MAX} s")


def with_tokens(event: str) -> str:
    """Sample events say which token they need, since one in a file would expire."""

    def token(wanted: re.Match) -> str:
        given = dict(pair.split("=", 1) for pair in wanted[1].split())
        return token_of(given["TENANT"], given["ROLE"])

    return re.sub("<token of make token ([^>]+)>", token, event)


@functools.cache
def token_of(tenant: str, role: str) -> str:
    """Good for hours: one for all events that need such a one."""
    return stack("token", "--tenant", tenant, "--role", role)


def configuration(names: list[str]) -> dict[str, str]:
    """The environment of these functions in the local stack."""
    return json.loads(stack("configuration", *names))


def stack(*words: str) -> str:
    """The last line of what the local stack's command says."""
    directory = os.environ.get("STACK_DIRECTORY", str(ROOT / "target" / "local"))
    command = [sys.executable, str(ROOT / "infra" / "local" / "stack.py"), "--directory", directory, *words]
    shown = subprocess.run(command, capture_output=True, text=True)
    if shown.returncode != 0:
        raise Failure(shown.stderr.strip().removeprefix("error: "))
    return shown.stdout.splitlines()[-1]


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
    one = commands.add_parser("invoke-all")
    one.add_argument("--built", type=Path, help="functions that were built before, instead of cargo lambda's build")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    try:
        if chosen.command == "build":
            build(chosen.architecture)
        elif chosen.command == "deploy":
            deploy(chosen.stage, chosen.architecture)
        elif chosen.command == "invoke-all":
            invoke_all(chosen.built)
        else:
            invoke(chosen.function, chosen.event)
    except Failure as failure:
        fail(str(failure))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
