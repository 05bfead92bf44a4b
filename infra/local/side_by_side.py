"""Programs that run beside each other in one terminal: each line says whose it is, one that fails leaves the
others to their ends, and whatever ends this program ends them too.

Each is in a session of its own, so that Ctrl-C reaches them once and by way of here.
"""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# So long they may take to put away what they started.
STOP_SECONDS_MAX = 90
LOOK_SECONDS = 0.2
# What of its output is still to come when a program is over.
REST_SECONDS_MAX = 5


@dataclass
class Program:
    """What is run, and what came of it."""

    name: str
    command: list
    # All that it says.
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    seconds: float = 0.0

    def said(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []


def catch_signals() -> None:
    """SIGTERM interrupts as Ctrl-C does; and Ctrl-C does also where a shell that runs us beside itself has it
    ignored."""

    def interrupted(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupted)


def run(programs: list[Program]) -> None:
    """Runs all of them to their ends; their statuses are in them then."""
    running: dict[str, tuple[Program, subprocess.Popen, threading.Thread]] = {}
    lock, began = threading.Lock(), time.monotonic()
    try:
        for program in programs:
            running[program.name] = start(program, lock)
        while running:
            for program, process, reader in list(running.values()):
                if process.poll() is not None:
                    del running[program.name]
                    program.status, program.seconds = process.returncode, time.monotonic() - began
                    reader.join(REST_SECONDS_MAX)
            time.sleep(LOOK_SECONDS)
    finally:
        stop([process for _, process, _ in running.values()])
        for _, _, reader in running.values():
            reader.join(REST_SECONDS_MAX)


def start(program: Program, lock: threading.Lock) -> tuple[Program, subprocess.Popen, threading.Thread]:
    program.log.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [str(part) for part in program.command],
        env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    reader = threading.Thread(target=show, args=(program, process.stdout, lock), daemon=True)
    reader.start()
    return program, process, reader


def show(program: Program, output, lock: threading.Lock) -> None:
    """Passes on what a program says, line by line, and keeps it."""
    with output, program.log.open("w") as log:
        for line in output:
            text = line.rstrip("\n")
            print(text, file=log, flush=True)
            # Where nobody reads what we say any more, the program still has to be read.
            with suppress(OSError), lock:
                print(f"{program.name}| {text}".rstrip(), flush=True)


def stop(processes: list[subprocess.Popen]) -> None:
    """Interrupts each of them, and what it runs in the foreground, as Ctrl-C would; kills what does not end."""
    # Once is enough: it is seen through.
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for process in processes:
            send(process, signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                send(process, signal.SIGKILL)
                process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def send(process: subprocess.Popen, number: signal.Signals) -> None:
    """To it and what it runs in the foreground: its group, which is its own and is there until it is waited for."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
