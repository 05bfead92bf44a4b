"""Finds the mutants that could not be built, by what the compiler says of all of them at once."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

MARK = re.compile(rb"/\*M(<|>)([\d,]+)\*/")
# A match that is longer than this is cut in two when it is met again.
LINES_OF_A_MATCH = 40
BRANCH = re.compile(rb"on\((\d+)\) \{|\} else \{ ")


class Marks:
    """The marks of one rewritten file: where each begins and ends, and whose it is."""

    def __init__(self, text: bytes):
        self.text = text
        self.spans: list[tuple[int, int, list[int]]] = []
        open_marks = []
        for mark in MARK.finditer(text):
            if mark[1] == b"<":
                open_marks.append(mark.end())
            else:
                numbers = [int(number) for number in mark[2].split(b",")]
                self.spans.append((open_marks.pop(), mark.start(), numbers))

    def of(self, begin: int, end: int) -> list[int]:
        """Mutants of the smallest mark around a place, or else touched by it."""
        around = [span for span in self.spans if span[0] <= begin and end <= span[1]]
        around = around or [span for span in self.spans if span[0] <= end and begin <= span[1]]
        if not around:
            return []
        first, _, numbers = min(around, key=lambda span: span[1] - span[0])
        branches = list(BRANCH.finditer(self.text[first : begin + 1]))
        # Of several at one operator it is the one whose branch the place is in; in none, all.
        if len(numbers) > 1 and branches and branches[-1][1] and int(branches[-1][1]) in numbers:
            return [int(branches[-1][1])]
        return numbers

    def of_lines(self, begin: int, end: int) -> list[int]:
        """Mutants with a mark on the lines of a place."""
        begin, end = self.text.rfind(b"\n", 0, begin), self.text.find(b"\n", end)
        return [number for span in self.spans if span[0] <= end and begin <= span[1] for number in span[2]]

    def of_arms(self, begin: int) -> list[int]:
        """Arms that may be switched off soon after a place: those of the match that begins there, and perhaps
        of another."""
        end = begin
        for _ in range(LINES_OF_A_MATCH):
            end = max(end, self.text.find(b"\n", end + 1))
        arms = [span for span in self.spans if begin <= span[0] < end and self.text[span[0] :].startswith(b" if !")]
        return [number for span in arms for number in span[2]]

    def of_function(self, begin: int) -> list[int]:
        """The replaced values of the function that a place is in."""
        values = [s for s in self.spans if s[0] <= begin and b"{ return" in self.text[s[0] : s[1]]]
        if not values:
            return []
        head = self.text.rfind(b"fn ", 0, max(values)[0])
        return [number for span in values if span[0] > head for number in span[2]]


def errors(source: Path, check: list[str], environment: dict) -> list[dict]:
    """What the compiler refuses, with its places."""
    built = subprocess.run(check, cwd=source, capture_output=True, text=True, env=environment)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    found = [m["message"] for m in messages if m.get("reason") == "compiler-message"]
    return [message for message in found if message["level"] == "error" and message["spans"]]


def blamed(source: Path, message: dict, marks: dict[str, Marks], known: set[int]) -> set[int]:
    """The mutants that an error comes from: by its place, else by the other places it names, else by what
    is near: the arms of a match that is not complete, the lines, the function's value."""

    def places(spans):
        for span in spans:
            while span.get("expansion") and not (source / span["file_name"]).exists():
                span = span["expansion"]["span"]
            name = span["file_name"]
            if (source / name).exists():
                if name not in marks:
                    marks[name] = Marks((source / name).read_bytes())
                yield marks[name], span["byte_start"], span["byte_end"]

    for spans in ([s for s in message["spans"] if s["is_primary"]], message["spans"]):
        found = {number for of, begin, end in places(spans) for number in of.of(begin, end)} - known
        if found:
            return found
    near = list(places(message["spans"]))
    if "non-exhaustive" in message["message"]:
        found = {number for of, begin, _ in near for number in of.of_arms(begin)}
    else:
        found = {number for of, begin, end in near for number in of.of_lines(begin, end)}
        found = found - known or {number for of, begin, _ in near for number in of.of_function(begin)}
    return found - known


def prune(source: Path, check: list[str], environment: dict, rewrite: Callable[[set[int]], None]) -> set[int]:
    """Rewrites without what cannot be built, until the rest can."""
    unviable: set[int] = set()
    while True:
        rewrite(unviable)
        refused = errors(source, check, environment)
        if not refused:
            return unviable
        marks: dict[str, Marks] = {}
        found = set().union(*(blamed(source, message, marks, unviable) for message in refused))
        if not found:
            told = "\n".join(message["rendered"] for message in refused)
            raise RuntimeError(f"no mutant is to blame for this; the rewriting is wrong:\n{told}")
        unviable |= found
        print(f"    {len(unviable)} cannot be built", flush=True)
