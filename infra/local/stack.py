"""The whole system on this machine, without Docker and without an AWS account.

    stack.py run | replay FILE | start | reset | stop | logs | token

The Makefile is the way in; this file is what its targets do. It needs nothing but Python, Rust and
make: everything else it installs under target/local.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import prerequisites
import processes
import progress
from prerequisites import ROOT
from progress import Failure, note, step

# Requests to this machine never go through a proxy, here and in everything started from here.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(
    filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"])
)

PORT = 4580
HQ_PORT = 4581
SAMPLE_DAY = ROOT / "tests" / "data" / "online-retail" / "2010-12-01.csv"
HQ_SIGNING_SECRET = "local-stack-hq-signing-secret"


class LocalStack:
    """One stack: its directory, ports and processes."""

    def __init__(
        self, directory: Path, port: int | None = None, hq_port: int | None = None, built_with_tests: bool = False
    ):
        self.directory = directory
        self.built_with_tests = built_with_tests
        self.emulator = processes.Process("ministack", directory)
        self.hq = processes.Process("hq-stand-in", directory)
        # Without a choice, the ports it was started with.
        self.port = port or kept_port(self.emulator) or PORT
        self.hq_port = hq_port or kept_port(self.hq) or HQ_PORT
        # The key is not the stack's data: tokens stay good across `make reset`.
        self.key_file = directory / "keys" / "token-signing.pem"
        self.endpoint_file = directory / "endpoint"
        self.loaded_file = directory / "loaded.json"

    def cloud(self):
        from deployment import Cloud

        return Cloud(f"http://{processes.HOST}:{self.port}")

    def signing_key(self):
        from tokens import SigningKey

        return SigningKey(self.key_file)

    def token(self, tenant: str = "demo", role: str = "operator", stores: list[str] | None = None) -> str:
        return self.signing_key().token(tenant, role, stores or ["*"])

    def endpoint(self) -> str:
        if self.emulator.id() is None or not self.endpoint_file.exists():
            raise Failure("the local stack is not running; start it with: make run")
        return self.endpoint_file.read_text().strip()

    def is_running(self) -> bool:
        return self.emulator.id() is not None and self.hq.id() is not None

    def start(self, build: bool = True, parameters: dict[str, str] | None = None) -> None:
        """Up, deployed and what was built last. Data in a running stack is kept."""
        import expand
        import packaging

        template = expand.load(ROOT / "template.yaml")
        binaries = self.build() if build else packaging.built_directory(profile())
        if self.emulator.id() is None:
            with step(f"Emulator on {processes.HOST}:{self.port}"):
                self.start_emulator()
        if self.hq.id() is None:
            with step(f"HQ stand-in on {processes.HOST}:{self.hq_port}"):
                self.start_hq(binaries)
        with step("Deployment of template.yaml through CloudFormation") as details:
            cloud = self.cloud()
            cloud.deploy(template, {**self.parameters(), **(parameters or {})})
            outputs = cloud.outputs()
            self.publish_keys(cloud, outputs)
            details.say(f"{len(expand.code_directories(template))} functions, {len(expand.routes(template))} routes")
        self.endpoint_file.write_text(
            f"http://{processes.HOST}:{self.port}/_aws/execute-api/{outputs['HttpApiId']}\n"
        )

    def build(self) -> Path:
        """What is deployed; the directory of the binaries."""
        import expand
        import packaging

        with step(f"Functions (cargo build, profile {profile()}; minutes the first time)"):
            return packaging.build(expand.load(ROOT / "template.yaml"), profile(), self.built_with_tests)

    def parameters(self) -> dict[str, str]:
        from tokens import AUDIENCE, ISSUER

        return {
            "Stage": "local",
            "Architecture": "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
            "LogLevel": os.environ.get("LOG_LEVEL", "warn"),
            "TokenIssuer": ISSUER,
            "TokenAudience": AUDIENCE,
            "HqUrl": f"http://{processes.HOST}:{self.hq_port}",
            "HqSigningSecret": HQ_SIGNING_SECRET,
            # The emulator's stream sources take a report of failed records for success.
            "BatchFailures": "raise",
        }

    def start_emulator(self) -> None:
        temporary = self.directory / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        self.loaded_file.unlink(missing_ok=True)
        self.emulator.start(
            [sys.executable, Path(__file__).with_name("ministack_launcher.py")],
            {
                "BIND_HOST": processes.HOST,
                # Functions run with their roles' permissions here too: one that the template forgot is
                # refused on this machine, not first on AWS.
                "AUTH": "true",
                "MINISTACK_HOST": processes.HOST,
                "GATEWAY_PORT": str(self.port),
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "LOG_LEVEL": "WARNING",
                "TMPDIR": str(temporary),
                "AWS_ENDPOINT_URL": f"http://{processes.HOST}:{self.port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
            self.port,
            "/_ministack/health",
        )

    def start_hq(self, binaries: Path) -> None:
        self.hq.start(
            [binaries / "hq-stand-in"],
            {"HQ_STAND_IN_ADDRESS": f"{processes.HOST}:{self.hq_port}", "HQ_SIGNING_SECRET": HQ_SIGNING_SECRET},
            self.hq_port,
            "/health",
        )

    def publish_keys(self, cloud, outputs: dict[str, str]) -> None:
        cloud.client("dynamodb").put_item(
            TableName=outputs["IdentityTable"],
            Item={"pk": {"S": "jwks"}, "sk": {"S": "jwks"}, "document": {"S": self.signing_key().key_set()}},
        )

    def stop(self) -> None:
        stopped = [process.name for process in (self.emulator, self.hq) if process.stop()]
        self.endpoint_file.unlink(missing_ok=True)
        note(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")

    def reset(self, build: bool = True) -> None:
        """Up, deployed and empty. The emulator keeps everything in memory, so it starts anew."""
        with step("Stop"):
            self.stop()
        self.start(build)

    def configuration(self, functions: list[str]) -> dict[str, str]:
        """The environment functions run with, for running them outside the emulator. What two are told under one
        name is the same: the template's tables and queues."""
        self.endpoint()
        cloud = self.cloud()
        client, variables = cloud.client("lambda"), {}
        for function in functions:
            shown = client.get_function_configuration(FunctionName=f"{cloud.stack_name}-{function}")
            variables |= shown["Environment"]["Variables"]
        return {
            **variables,
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
        }

    def log_events(self, since_millis: int = 0) -> list[tuple[int, str, str]]:
        """(epoch milliseconds, log stream, message) of what the functions logged since, oldest first. The
        emulator answers the first 10,000 events and no token for more, so what follows is asked for by
        its time."""
        cloud = self.cloud()
        logs, group = cloud.client("logs"), cloud.outputs()["ApplicationLogs"]
        events: set[tuple[int, str, str]] = set()
        while True:
            page = logs.filter_log_events(logGroupName=group, startTime=since_millis)["events"]
            events.update((event["timestamp"], event["logStreamName"], event["message"]) for event in page)
            newest = max((event["timestamp"] for event in page), default=since_millis)
            if len(page) < 10_000 or newest == since_millis:
                return sorted(events)
            # The same moment again: it may have had more than were shown.
            since_millis = newest

    def logs(self, lines: int, follow: bool) -> None:
        """Shows what the functions logged, newest last."""
        shown: set[tuple[int, str, str]] = set()
        since = 0
        while True:
            events = [event for event in self.log_events(since) if event not in shown]
            for _, _, message in events[-lines:]:
                print(message.rstrip("\n"), flush=True)
            if not follow:
                return
            if events:
                # Read on from the newest moment, which may get more lines: what of it was shown is kept.
                since, lines = events[-1][0], sys.maxsize
                shown = {event for event in shown.union(events) if event[0] >= since}
            time.sleep(1)


def profile() -> str:
    """Of cargo."""
    return os.environ.get("PROFILE", "dev")


def kept_port(process: processes.Process) -> int | None:
    if process.id() is None:
        return None
    return json.loads(process.file.read_text())["port"]


def where_next(stack: LocalStack) -> None:
    endpoint = stack.endpoint()
    token = stack.signing_key().token("demo", "operator", ["*"], None)
    print(
        f"""
The stack runs in the background. API base:

    {endpoint}

For the shell, with a token of an operator for 12 hours (others with: make token ROLE=store_manager):

    API={endpoint}
    TOKEN={token}

    curl -H "Authorization: Bearer $TOKEN" $API/v1/locations
    curl -H "Authorization: Bearer $TOKEN" "$API/v1/analytics/dashboard?store_id=s-united-kingdom&date=2010-12-01"
    curl -H "Authorization: Bearer $TOKEN" "$API/v1/orders?store_id=s-united-kingdom&limit=3"

make replay FILE=tests/data/online-retail/2011-12-05.csv   another day
make logs   make reset   make stop
"""
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stack.py", description="The local stack.")
    parser.add_argument("--directory", type=Path, default=ROOT / "target" / "local", help="its state")
    parser.add_argument("--port", type=int, help=f"the emulator's port (default {PORT})")
    parser.add_argument("--hq-port", type=int, help=f"the HQ stand-in's port (default {HQ_PORT})")
    parser.add_argument("--no-build", action="store_true", help="deploy what was built before")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "start", "reset", "stop"):
        commands.add_parser(name)
    replay = commands.add_parser("replay")
    replay.add_argument("file", type=Path)
    replay.add_argument("--speed", default="max", help="max, or a multiple of the day's own pace, such as 600")
    logs = commands.add_parser("logs")
    logs.add_argument("--lines", type=int, default=200)
    logs.add_argument("--follow", action="store_true")
    commands.add_parser("configuration").add_argument("functions", nargs="+")
    token = commands.add_parser("token")
    token.add_argument("--tenant", default="demo")
    token.add_argument("--role", default="store_manager")
    token.add_argument("--stores", default="*")
    token.add_argument("--register")
    return parser.parse_args()


def perform(chosen: argparse.Namespace) -> int:
    stack = LocalStack(chosen.directory.absolute(), chosen.port, chosen.hq_port)
    build = not chosen.no_build
    if chosen.command == "token":
        stores = [store.strip() for store in chosen.stores.split(",") if store.strip()]
        print(stack.signing_key().token(chosen.tenant, chosen.role, stores, chosen.register))
        return 0
    if chosen.command == "stop":
        stack.stop()
        return 0
    if chosen.command == "configuration":
        print(json.dumps(stack.configuration(chosen.functions)))
        return 0
    if chosen.command == "logs":
        stack.endpoint()
        stack.logs(chosen.lines, chosen.follow)
        return 0
    if chosen.command == "start":
        stack.start(build)
        return 0
    if chosen.command == "reset":
        stack.reset(build)
        return 0
    import replay

    if chosen.command == "run":
        prerequisites.check()
        # From nothing: what was tried by hand on this stack before would be a difference from the file.
        stack.reset(build)
        outcome = replay.replay(stack, SAMPLE_DAY, "max")
        where_next(stack)
    else:
        outcome = replay.replay(stack, chosen.file, chosen.speed)
    return 0 if outcome.equal else 1


def main() -> int:
    try:
        prerequisites.enter_environment()
        return perform(arguments())
    except Failure as failure:
        progress.fail(str(failure))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
