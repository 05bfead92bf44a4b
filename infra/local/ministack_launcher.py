"""Starts MiniStack, the AWS emulator, with two of its waiting times taken out.

As it comes, the path from its HTTP API to a native function does some 150 requests a second; with
these two settings it does four times as many. Both reach into private parts of a pinned version, so
each is checked first: a renamed part is an error here and now, not a slow stack nobody can explain.
"""

import inspect
import os
import socketserver
import sys


def remove_nagle_delay() -> None:
    # Its Lambda runtime API writes a response's head and body separately; Nagle's algorithm then
    # holds the body back for 40 ms.
    handler = socketserver.StreamRequestHandler
    if not hasattr(handler, "disable_nagle_algorithm"):
        sys.exit("socketserver.StreamRequestHandler has no disable_nagle_algorithm: is this Python 3.11?")
    handler.disable_nagle_algorithm = True


def shorten_log_wait() -> None:
    # After each invocation it waits 50 ms for a first log line. Our functions write theirs before
    # they answer, so 1 ms finds it; a later line is picked up by the next invocation.
    from ministack.core import lambda_runtime

    drain = getattr(lambda_runtime.Worker, "_drain_stderr_bounded", None)
    parameters = inspect.signature(drain).parameters if drain else {}
    if not {"first_line_wait", "idle_confirm"} <= parameters.keys():
        sys.exit(
            "ministack.core.lambda_runtime.Worker._drain_stderr_bounded is not what version 1.5.33 "
            "has: adapt infra/local/ministack_launcher.py to the version in requirements.txt"
        )

    def drain_at_once(self, first_line_wait=0.001, idle_confirm=0.0, hard_cap=0.250):
        return drain(self, first_line_wait, idle_confirm, hard_cap)

    workers = [lambda_runtime.Worker] + lambda_runtime.Worker.__subclasses__()
    for worker in workers:
        if "_drain_stderr_bounded" in vars(worker):
            worker._drain_stderr_bounded = drain_at_once


def main() -> None:
    if os.environ.get("BIND_HOST") != "127.0.0.1":
        sys.exit("refused: BIND_HOST must be 127.0.0.1, the emulator has no access control")
    remove_nagle_delay()
    shorten_log_wait()
    from ministack.app import main as serve

    serve()


if __name__ == "__main__":
    main()
