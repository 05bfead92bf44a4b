"""A proxy between the functions and what they call (DynamoDB, Kinesis, SQS, HQ) that makes calls fail as
they do in a data centre. Which call fails and how is in faults.py; here requests are passed on.

    fault_proxy.py --port P --to EMULATOR_PORT --hq-port Q --hq-to HQ_PORT --seed N

`POST /_faults` with `{"on": true}` or `{"on": false}` switches faults on and off (at the start they are
off, and everything passes); `GET /_faults` answers what there was of each kind. It listens on 127.0.0.1
only, and so are the two it passes to. Standard library only.
"""

import argparse
import asyncio
import json
import random
import socket
import struct
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import faults
import processes
from faults import Answer, Call, Schedule

CONTROL_PATH = "/_faults"
HEAD_BYTES_MAX = 64 * 1024
DELAY_SECONDS = (0.05, 0.5)
# After the caller has sent the request again, and perhaps once more.
LATE_SECONDS = (0.2, 3.0)
# An attempt of the SDK ends after 4 s (shared/aws/src/clients.rs).
STALL_SECONDS = 4.5


class Broken(Exception):
    """The other side closed the connection, or what it says is not HTTP."""


@dataclass
class Message:
    """A request or an answer: its first line, its headers as they stand, its body."""

    start: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name), None)

    def without(self, *names: str) -> "Message":
        return Message(self.start, [pair for pair in self.headers if pair[0].lower() not in names], self.body)

    def with_body(self, body: bytes) -> "Message":
        return Message(self.start, self.without("content-length", "transfer-encoding").headers, body)

    def bytes(self) -> bytes:
        """As it goes over the wire, with the length of its body."""
        plain = self.without("content-length", "transfer-encoding")
        lines = [self.start, *(f"{name}: {value}" for name, value in plain.headers)]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None where the other side closed the connection between two."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise Broken("closed within a head") from error
    except (asyncio.LimitOverrunError, OSError) as error:
        raise Broken(str(error)) from error
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Broken(f"not a header: {line!r}")
        headers.append((name.strip(), value.strip()))
    message = Message(start, headers)
    try:
        if (message.header("transfer-encoding") or "").lower() == "chunked":
            message.body = await read_chunks(reader)
        else:
            message.body = await reader.readexactly(int(message.header("content-length") or 0))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError) as error:
        raise Broken("closed within a body") from error
    return message


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(chunks)


class Upstream:
    """A connection to the real thing, kept for as long as it is."""

    def __init__(self, port: int):
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def exchange(self, request: Message) -> Message:
        """Passes a request on; its answer."""
        if self.writer is not None and (self.reader.at_eof() or self.writer.is_closing()):
            self.close()
        if self.writer is None:
            try:
                opened = asyncio.open_connection(processes.HOST, self.port, limit=HEAD_BYTES_MAX)
                self.reader, self.writer = await opened
            except OSError as error:
                raise Broken(str(error)) from error
            without_delay(self.writer)
        try:
            self.writer.write(request.bytes())
            await self.writer.drain()
            answer = await read_message(self.reader)
        except OSError as error:
            raise Broken(str(error)) from error
        if answer is None:
            raise Broken("closed without an answer")
        if (answer.header("connection") or "").lower() == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def without_delay(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by RST, as a machine that went away does, not by an orderly FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """Passes requests on, and lets some of them fail."""

    def __init__(self, seed: int, aws_port: int, hq_port: int):
        self.schedule = Schedule(seed)
        self.choice = random.Random(seed)
        self.aws_port, self.hq_port = aws_port, hq_port
        self.on = False
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, Counter[str]] = defaultdict(Counter)
        self.late: set[asyncio.Task] = set()
        # asyncio itself keeps a task only as long as its caller is there; what a caller sent that has died
        # since takes its course all the same.
        self.connections: set[asyncio.Task] = set()

    async def serve_aws(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def call(request: Message) -> Call | None:
            return faults.call_to_aws(request.header("x-amz-target") or "", request.body)

        await self.serve(reader, writer, self.aws_port, call)

    async def serve_hq(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def call(request: Message) -> Call | None:
            method, path, _ = request.start.split(" ", 2)
            return Call("hq", f"{method} {path}")

        await self.serve(reader, writer, self.hq_port, call)

    async def serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
        call_of: Callable[[Message], Call | None],
    ) -> None:
        """Serves one connection until either side ends it."""
        upstream = Upstream(port)
        without_delay(writer)
        task = asyncio.current_task()
        self.connections.add(task)
        try:
            while request := await read_message(reader):
                if request.start.split(" ", 2)[1] == CONTROL_PATH:
                    answer = await self.control(request)
                else:
                    answer = await self.answer(request, call_of(request), upstream, writer)
                if answer is None:
                    return
                writer.write(answer.bytes())
                await writer.drain()
                if "close" in ((m.header("connection") or "").lower() for m in (request, answer)):
                    return
        except (Broken, OSError):
            # What the caller would see without a proxy in between.
            reset(writer)
        finally:
            upstream.close()
            writer.close()
            self.connections.discard(task)

    async def control(self, request: Message) -> Message:
        if request.start.startswith("POST "):
            self.on = json.loads(request.body)["on"]
            if not self.on and self.late:
                # What is still on its way arrives before faults count as over.
                await asyncio.wait(self.late)
        said = {
            "on": self.on,
            "calls": self.calls,
            "faults": {service: dict(kinds) for service, kinds in self.faults.items()},
        }
        return message(Answer(200, said))

    async def answer(
        self, request: Message, call: Call | None, upstream: Upstream, writer: asyncio.StreamWriter
    ) -> Message | None:
        """The answer to a request; None where its connection was ended instead."""
        if call is None:
            return await upstream.exchange(request)
        self.calls[f"{call.service} {call.operation}"] += 1
        kind = self.schedule.next(call) if self.on else None
        if kind is None:
            return await upstream.exchange(request)
        self.faults[call.service][kind] += 1
        match kind:
            case faults.RESET:
                reset(writer)
                return None
            case faults.THROTTLED:
                return message(faults.throttled(call, self.choice))
            case faults.UNAVAILABLE:
                return message(faults.unavailable(call, self.choice))
            case faults.CONFLICT:
                return message(faults.conflict(call, self.choice))
            case faults.PARTIAL:
                return await self.pass_part_on(request, call, upstream)
            case faults.REPLY_LOST:
                await upstream.exchange(request)
                reset(writer)
                return None
            case faults.REPLY_CUT:
                wire = (await upstream.exchange(request)).bytes()
                # Within the body where there is one: a head with a length, and then too little.
                writer.write(wire[: len(wire) - self.choice.randint(1, 20)])
                # An orderly end, so that what was written arrives.
                return None
            case faults.IN_PROGRESS:
                await upstream.exchange(request)
                return message(faults.in_progress())
            case faults.DELAYED:
                await asyncio.sleep(self.choice.uniform(*DELAY_SECONDS))
                return await upstream.exchange(request)
            case faults.LATE:
                self.pass_on_late(request, upstream.port)
                reset(writer)
                return None
            case faults.STALLED:
                await asyncio.sleep(STALL_SECONDS)
                return await upstream.exchange(request)
        raise AssertionError(f"no such fault: {kind}")

    def pass_on_late(self, request: Message, port: int) -> None:
        async def pass_on() -> None:
            await asyncio.sleep(self.choice.uniform(*LATE_SECONDS))
            upstream = Upstream(port)
            try:
                await upstream.exchange(request)
            except Broken as error:
                print(f"late request failed: {error}", file=sys.stderr, flush=True)
            finally:
                upstream.close()

        task = asyncio.create_task(pass_on())
        self.late.add(task)
        task.add_done_callback(self.late.discard)

    async def pass_part_on(self, request: Message, call: Call, upstream: Upstream) -> Message:
        part = faults.part_of_batch(call, self.choice)
        if part.sent is None:
            return message(Answer(200, part.complete({})))
        answer = await upstream.exchange(signed_anew(request.with_body(json.dumps(part.sent).encode())))
        if " 200 " not in f"{answer.start} ":
            return answer
        whole = part.complete(json.loads(answer.body))
        # The checksum was the other body's.
        return answer.without("x-amz-crc32").with_body(json.dumps(whole).encode())


def signed_anew(request: Message) -> Message:
    """As the emulator's own administrator, whose signature it does not check: the caller's was of
    another body."""
    signed = request.header("authorization") or ""
    scope = signed.partition("Credential=")[2].partition(",")[0].partition("/")[2]
    anew = request.without("authorization", "x-amz-security-token", "x-amz-content-sha256")
    credential = f"AWS4-HMAC-SHA256 Credential=test/{scope}, SignedHeaders=host, Signature=0"
    anew.headers.append(("Authorization", credential))
    return anew


def message(answer: Answer) -> Message:
    headers = {"Content-Type": "application/x-amz-json-1.0", **answer.headers}
    start = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"
    return Message(start, list(headers.items()), json.dumps(answer.body).encode())


class FaultProxy:
    """The proxy as a process of its own, beside a stack."""

    def __init__(self, directory: Path, port: int, hq_port: int, seed: int):
        self.process = processes.Process("fault-proxy", directory)
        self.port, self.hq_port, self.seed = port, hq_port, seed

    def start(self, aws_port: int, hq_port: int) -> None:
        # One that an interrupted run left.
        self.process.stop()
        command = [sys.executable, Path(__file__), "--port", self.port, "--to", aws_port]
        command += ["--hq-port", self.hq_port, "--hq-to", hq_port, "--seed", self.seed]
        self.process.start(command, {}, self.port, CONTROL_PATH)

    def stop(self) -> None:
        self.process.stop()

    def switch(self, on: bool) -> dict:
        """Switches faults on or off; what there was of them until now."""
        return self.request("POST", {"on": on})

    def counts(self) -> dict:
        return self.request("GET")

    def request(self, method: str, body: dict | None = None) -> dict:
        url = f"http://{processes.HOST}:{self.port}{CONTROL_PATH}"
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=30) as reply:
            return json.loads(reply.read())


async def serve(port: int, aws_port: int, hq_port: int, hq_upstream_port: int, seed: int) -> None:
    proxy = Proxy(seed, aws_port, hq_upstream_port)
    servers = [
        await asyncio.start_server(proxy.serve_aws, processes.HOST, port, limit=HEAD_BYTES_MAX, backlog=512),
        await asyncio.start_server(proxy.serve_hq, processes.HOST, hq_port, limit=HEAD_BYTES_MAX, backlog=512),
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    parser = argparse.ArgumentParser(prog="fault_proxy.py")
    for name in ("--port", "--to", "--hq-port", "--hq-to", "--seed"):
        parser.add_argument(name, type=int, required=True)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.to, chosen.hq_port, chosen.hq_to, chosen.seed))


if __name__ == "__main__":
    main()
