"""Background processes of the local stack: started here, remembered by a file, and only these are
ever stopped."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from progress import Failure

HOST = "127.0.0.1"


class Process:
    """One background process. Its file keeps the process id together with the time the process
    started, since an id alone may by now belong to somebody else's process."""

    def __init__(self, name: str, directory: Path):
        self.name = name
        self.file = directory / f"{name}.process.json"
        self.log = directory / f"{name}.log"

    def id(self) -> int | None:
        """The process id if it still runs."""
        try:
            kept = json.loads(self.file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return kept["id"] if started_at(kept["id"]) == kept["started_at"] else None

    def start(self, command: list, environment: dict, port: int, health: str, seconds_max: float = 90) -> None:
        if port_is_taken(port):
            raise Failure(
                f"port {port} on {HOST} is taken by another program, so {self.name} cannot use it.\n"
                f"  Stop that program, or choose other ports: make run PORT=5566 HQ_PORT=5567"
            )
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal ends the command, not the stack.
            process = subprocess.Popen(
                [str(part) for part in command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.file.write_text(json.dumps({"id": process.pid, "started_at": started_at(process.pid), "port": port}))
        deadline = time.monotonic() + seconds_max
        while not answers(f"http://{HOST}:{port}{health}"):
            if process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace").strip().splitlines()[-15:]
                self.stop()
                raise Failure(f"{self.name} did not start; the end of {self.log}:\n  " + "\n  ".join(said))
            time.sleep(0.05)

    def stop(self, seconds_max: float = 10) -> bool:
        """Ends it and what it started. Returns whether there was anything to end."""
        id = self.id()
        if id is None:
            self.file.unlink(missing_ok=True)
            return False
        children = descendants(id)
        send(id, signal.SIGTERM)
        deadline = time.monotonic() + seconds_max
        while self.id() is not None and time.monotonic() < deadline:
            reap(id)
            time.sleep(0.05)
        for left in [id, *children]:
            send(left, signal.SIGKILL)
        reap(id)
        self.file.unlink(missing_ok=True)
        return True


def started_at(id: int) -> str | None:
    """When a process started, in the kernel's clock ticks; None without such a process."""
    try:
        stat = Path(f"/proc/{id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return started_at_by_ps(id)
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def age(id: int) -> float:
    """For how many seconds a process has run; 0 where that cannot be told."""
    started = started_at(id)
    if started is None or not started.isdigit():
        return 0.0
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - int(started) / os.sysconf("SC_CLK_TCK")


def started_at_by_ps(id: int) -> str | None:
    """The same on systems without /proc."""
    if Path("/proc/self/stat").exists():
        return None
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(id)], capture_output=True, text=True)
    return shown.stdout.strip() or None


def descendants(id: int) -> list[int]:
    shown = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
    children: dict[int, list[int]] = {}
    for line in shown.stdout.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, left = [], [id]
    while left:
        for child in children.get(left.pop(), []):
            found.append(child)
            left.append(child)
    return found


def send(id: int, number: signal.Signals) -> None:
    try:
        os.kill(id, number)
    except ProcessLookupError:
        pass


def reap(id: int) -> None:
    """Collects the process if this program started it."""
    try:
        os.waitpid(id, os.WNOHANG)
    except ChildProcessError:
        pass


def port_is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status < 500
    except (urllib.error.URLError, OSError):
        return False
