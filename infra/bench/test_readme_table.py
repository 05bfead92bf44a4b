"""The table in README.md: what it holds, what it leaves out, and what it does not touch."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import figures
import readme_table
from figures import Figure
from readme_table import BEGIN, END, Failure, main, with_table

UNITS = Figure("capacity", "cart_write_units", 2.0, "units", {"at_most": 2.0}, "any", 0)
RATE = Figure("journeys", "journeys_of_3_lines", 1234, "journeys/s", {"at_least": 2000}, "release", 1)
PYTHON = Figure("cold_start", "cold_start_python", 207.96, "ms", None, "release", 0)
DETAIL = Figure("analytics_year", "sales.to_today.x1.p50", 12.5, "ms", None, "release", 0)
SLOW = Figure("journeys", "journeys_p50", 349.1, "ms", None, "dev", 0)


class ReadmeTableTest(unittest.TestCase):
    def test_rows_tell_value_target_and_verdict(self):
        self.assertEqual(
            f"before\n{BEGIN}\n"
            "| figure | value | target | |\n|---|--:|--:|---|\n"
            "| cart_write_units | 2 units | ≤2 | holds |\n"
            "| journeys_of_3_lines | 1,234 journeys/s | ≥2000 | short |\n"
            "| cold_start_python | 207.96 ms |  |  |\n"
            f"{END}\nafter\n",
            with_table(f"before\n{BEGIN}\nold\n{END}\nafter\n", [UNITS, RATE, PYTHON]),
        )

    def test_what_is_written_once_stays_as_it_is(self):
        once = with_table(f"{BEGIN}{END}", [UNITS])
        self.assertEqual(once, with_table(once, [UNITS]))

    def test_a_file_without_its_markers_is_refused(self):
        for text in ("", BEGIN, END + BEGIN, BEGIN + END + END):
            with self.assertRaises(Failure):
                with_table(text, [UNITS])

    def test_figures_are_kept_and_read_in_order_and_old_ones_go(self):
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            figures.write("journeys", [SLOW, RATE], folder)
            figures.write("capacity", [UNITS], folder)
            self.assertEqual([UNITS, SLOW, RATE], figures.read(folder))
            figures.write("journeys", [SLOW], folder)
            self.assertEqual([UNITS, SLOW], figures.read(folder))

    def test_dev_builds_and_figures_of_an_unknown_build_are_left_out(self):
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            readme = folder / "README.md"
            readme.write_text(f"{BEGIN}\n{END}\n")
            figures.write("capacity", [UNITS], folder)
            figures.write("journeys", [SLOW], folder)
            figures.write("analytics_year", [DETAIL], folder)
            kept = {key: value for key, value in vars(RATE).items() if key != "build"}
            (folder / "old.json").write_text(json.dumps({**kept, "verdict": "short"}))
            self.assertEqual(0, run(folder, readme))
            self.assertIn("cart_write_units", readme.read_text())
            self.assertNotIn("journeys", readme.read_text())
            self.assertNotIn("to_today", readme.read_text())

    def test_no_figures_leave_the_file_as_it_is(self):
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            readme = folder / "README.md"
            readme.write_text(f"{BEGIN}\nold\n{END}\n")
            figures.write("journeys", [SLOW], folder)
            self.assertEqual(1, run(folder, readme))
            self.assertEqual(f"{BEGIN}\nold\n{END}\n", readme.read_text())


def run(folder: Path, readme: Path) -> int:
    words = [readme_table.__file__, "--figures", str(folder), "--readme", str(readme)]
    quiet = io.StringIO()
    with mock.patch("sys.argv", words), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        return main()


if __name__ == "__main__":
    unittest.main()
