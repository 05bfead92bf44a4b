"""What programs beside each other say is told line by line, each ends by itself, and none outlives an interruption."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import processes
import side_by_side
from side_by_side import Program

# Runs another, says that it was interrupted, and then ends.
PATIENT = """
import subprocess, time
print(subprocess.Popen(["sleep", "60"]).pid)
print("up")
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("put away")
"""
DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up'); time.sleep(60)"


class SideBySideTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, name, code):
        return Program(name, [sys.executable, "-c", code], self.folder / name / "said.log")

    def run_all(self, *programs):
        told = io.StringIO()
        with redirect_stdout(told):
            side_by_side.run(list(programs))
        return told.getvalue().splitlines()

    def test_each_line_says_whose_it_is_and_is_kept(self):
        one = self.program("a", "import sys; print('one'); print('two', file=sys.stderr); print('three', end='')")
        other = self.program("b", "print('other')")
        told = self.run_all(one, other)
        self.assertEqual(["a| one", "a| three", "a| two", "b| other"], sorted(told))
        self.assertEqual(["one", "three", "two"], sorted(one.said()))
        self.assertEqual((0, 0), (one.status, other.status))

    def test_one_that_fails_leaves_the_other_to_its_end(self):
        wrong = self.program("a", "raise SystemExit(3)")
        right = self.program("b", "import time; time.sleep(1); print('done')")
        self.assertEqual(["b| done"], self.run_all(wrong, right))
        self.assertEqual((3, 0), (wrong.status, right.status))
        self.assertLess(wrong.seconds, right.seconds)

    def test_one_that_is_killed_leaves_the_other_to_its_end(self):
        killed = self.program("a", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        right = self.program("b", "print('done')")
        self.assertEqual(["b| done"], self.run_all(killed, right))
        self.assertEqual((-signal.SIGKILL, 0), (killed.status, right.status))

    def interrupted(self, number, *programs):
        """Interrupts a run once all of them are up."""
        for each in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, each, signal.getsignal(each))
        side_by_side.catch_signals()
        started, popen = [], subprocess.Popen

        def begin(*arguments, **more):
            started.append(popen(*arguments, **more))
            return started[-1]

        def interrupt():
            while not all("up" in program.said() for program in programs):
                time.sleep(0.05)
            os.kill(os.getpid(), number)

        beside = threading.Thread(target=interrupt, daemon=True)
        with mock.patch.object(subprocess, "Popen", begin):
            beside.start()
            with self.assertRaises(KeyboardInterrupt):
                self.run_all(*programs)
        return [process.poll() for process in started]

    def test_an_interruption_is_passed_on_and_waited_for(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            programs = [self.program(f"{name}{number:d}", PATIENT) for name in ("a", "b")]
            self.assertEqual([0, 0], self.interrupted(number, *programs))
            for program in programs:
                another, *said = program.said()
                self.assertIn("put away", said)
                # What it ran was interrupted too.
                self.gone(int(another))

    def gone(self, process):
        deadline = time.monotonic() + 10
        while processes.started_at(process) is not None:
            self.assertLess(time.monotonic(), deadline, f"{process} still runs")
            time.sleep(0.05)

    def test_one_that_does_not_listen_is_killed(self):
        with mock.patch.object(side_by_side, "STOP_SECONDS_MAX", 0.5):
            self.assertEqual([-signal.SIGKILL], self.interrupted(signal.SIGINT, self.program("a", DEAF)))


if __name__ == "__main__":
    unittest.main()
