"""How long each function takes from the start of its process until it asks for its first event, and how
large it is to be loaded.

    cold_start.py [--binaries target/release] [--rounds 50]

The functions are started one after the other, round by round and in another order each, so that what
else the machine does meets all of them alike; two Python functions with the same AWS clients are started in the same rounds. One
process answers for both the Lambda runtime's interface and the database, on 127.0.0.1 and without TLS:
AWS's time to load the code and to set up its virtual machine, and the handshake with the database, are
in no figure.
"""

import argparse
import io
import os
import random
import re
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import figures
from figures import ROOT, Figure

sys.path.insert(0, str(ROOT / "infra" / "local"))

import prerequisites  # noqa: E402
from progress import Failure, fail, note, step  # noqa: E402

HERE = Path(__file__).parent
PYTHON = ROOT / "target" / "tools" / "bench"
BENCHMARK = "cold_start"
COLD_START_MS_MAX = 8
ZIPPED_MB_MAX = 6
START_SECONDS_MAX = 20
NEXT = b"GET /2018-06-01/runtime/invocation/next "
# The keys of the identity table, as the functions that verify tokens read them first.
KEYS = b'{"Item":{"pk":{"S":"jwks"},"sk":{"S":"jwks"},"document":{"S":"{\\"keys\\":[]}"}}}'
CLIENTS = {"python_dynamodb": ["dynamodb"], "python_dynamodb_kinesis_sqs": ["dynamodb", "kinesis", "sqs"]}


class Aws(ThreadingTCPServer):
    """The runtime's interface and the database, for one function at a time."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked = threading.Event()
        self.asked_at = 0.0
        self.reads = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Answer(BaseRequestHandler):
    """One connection, with no more than must be read of each request: what reads more of it is slower than
    what is measured."""

    server: Aws

    def handle(self):
        connection, received = self.request, b""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while more := connection.recv(65_536):
            received += more
            if received.startswith(NEXT):
                self.server.asked_at = time.perf_counter()
                self.server.asked.set()
                # There is no event: the function waits until it is ended.
                connection.recv(1)
                return
            head, ends, body = received.partition(b"\r\n\r\n")
            if not ends or len(body) < length(head):
                continue
            # A start may read the database and nothing more.
            if not re.search(rb"(?i)\r\nx-amz-target: \w+\.GetItem\r\n", head + ends):
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return
            self.server.reads += 1
            received = b""
            told = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(KEYS)}"
            connection.sendall(told.encode() + b"\r\n\r\n" + KEYS)


def length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return int(found[1]) if found else 0


def environment(aws: Aws) -> dict[str, str]:
    """What Lambda and the template tell a function. Each reads what it declares; none is told less."""
    tables = ["ORDERS", "STOCK", "LEDGER", "CATALOG", "ANALYTICS", "DISPATCH", "IDENTITY"]
    return {
        **{f"{table}_TABLE": table.lower() for table in tables},
        "STAGE": "local",
        "EVENT_STREAM": "sales",
        "HQ_QUEUE_URL": f"http://{aws.address}/000000000000/hq.fifo",
        "HQ_URL": "https://hq.example/orders",
        "HQ_SIGNING_SECRET": "whsec_bWVhc3VyZWQgYW5kIG5ldmVyIHNlbnQgdG8gYW55Ym9keQ==",
        "TOKEN_ISSUER": "https://identity.tillstream.local",
        "TOKEN_AUDIENCE": "tillstream",
        "AWS_LAMBDA_RUNTIME_API": aws.address,
        "AWS_LAMBDA_FUNCTION_NAME": "measured",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "measured",
        "AWS_LAMBDA_LOG_STREAM_NAME": "measured",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_ENDPOINT_URL": f"http://{aws.address}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": "/nonexistent",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }


def start(name: str, command: list[str], aws: Aws, told: dict[str, str]) -> float:
    """Milliseconds from the start of the process until it asked for an event; ends the process."""
    aws.asked.clear()
    aws.reads = 0
    with tempfile.TemporaryFile() as log:
        outputs = [(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)]
        begin = time.perf_counter()
        process = os.posix_spawn(command[0], command, told, file_actions=outputs)
        try:
            asked = aws.asked.wait(START_SECONDS_MAX)
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        log.seek(0)
        # Whatever it says before its first event is a complaint.
        said = log.read().decode(errors="replace").strip()
        if not asked or said:
            raise Failure(f"{name} did not start as it should: {said or 'it never asked for an event'}")
        if aws.reads != 1:
            raise Failure(f"{name} read the database {aws.reads} times before its first event, not once")
    return (aws.asked_at - begin) * 1e3


def zipped_megabytes(binary: Path) -> float:
    """Of what is uploaded, in 10^6 bytes: the binary as `bootstrap`, deflated."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as uploaded:
        uploaded.write(binary, "bootstrap")
    return archive.tell() / 1e6


def measure(binaries: Path, rounds: int) -> list[Figure]:
    names = sorted(path.parent.name for path in (ROOT / "functions").glob("*/Cargo.toml"))
    missing = [name for name in names if not (binaries / name).is_file()]
    if missing:
        raise Failure(f"not built in {binaries}: {', '.join(missing)}; build them with: cargo build --release")
    python = str(prerequisites.environment(PYTHON, HERE / "requirements.txt"))
    commands = {name: [str(binaries / name)] for name in names}
    commands |= {name: [python, str(HERE / "python_function.py"), *clients] for name, clients in CLIENTS.items()}
    times: dict[str, list[float]] = {name: [] for name in commands}
    aws = Aws()
    told = environment(aws)
    with step(f"Cold starts: {rounds} of each of {len(commands)}") as details:
        load = os.getloadavg()[0]
        for turn in range(rounds + 1):
            order = list(commands.items())
            # Else each would always run after the same other one.
            random.Random(turn).shuffle(order)
            for name, command in order:
                took = start(name, command, aws, told)
                # The first round reads the files from the disk.
                if turn:
                    times[name].append(took)
            if turn and turn % 10 == 0:
                note(f"{turn} of {rounds} rounds")
        details.say(f"the machine's load before was {load:.1f}")
    aws.shutdown()
    build = "dev" if binaries.name == "debug" else "release"
    measured = []
    for name, taken in times.items():
        target = {"at_most": COLD_START_MS_MAX} if name in names else None
        label = f"cold_start_{name.replace('-', '_')}"
        measured.append(Figure(BENCHMARK, label, round(statistics.median(taken), 2), "ms", target, build))
    for name in names:
        size = round(zipped_megabytes(binaries / name), 2)
        label = f"zipped_{name.replace('-', '_')}"
        measured.append(Figure(BENCHMARK, label, size, "MB", {"at_most": ZIPPED_MB_MAX}, build))
    return measured


def main() -> int:
    parser = argparse.ArgumentParser(prog="cold_start.py")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target" / "release")
    parser.add_argument("--rounds", type=int, default=50)
    chosen = parser.parse_args()
    try:
        measured = measure(chosen.binaries.resolve(), chosen.rounds)
    except Failure as failure:
        fail(str(failure))
        return 1
    for figure in measured:
        print(figure.line())
    figures.write(BENCHMARK, measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
