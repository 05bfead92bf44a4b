"""How long trouble lasts: without a stack, and without sales."""

import contextlib
import io
import unittest
from pathlib import Path
from unittest import mock

import replay

DAY = Path(__file__).resolve().parents[2] / "tests" / "data" / "online-retail" / "2010-12-01.csv"


class TroubleTest(unittest.TestCase):
    def replayed(self, **more) -> list[str]:
        """What came after what in a replay with trouble."""
        said = []

        @contextlib.contextmanager
        def trouble():
            said.append("trouble")
            try:
                yield
            finally:
                said.append("over")

        def drive(*_) -> replay.Driven:
            said.append("sales")
            return replay.Driven()

        def wait(*_) -> str:
            said.append("wait")
            return ""

        stack = mock.MagicMock()
        compared = mock.MagicMock(**{"compare.return_value": ([], 0), "dashboard_text.return_value": ""})
        behind = mock.MagicMock(side_effect=lambda *_: said.append("read") or ["lane"])
        fakes = {
            "Loaded": mock.MagicMock(),
            "Api": mock.MagicMock(),
            "load": mock.MagicMock(return_value=""),
            "drive": drive,
            "lanes_behind": behind,
            "wait_for_watermarks": wait,
            "compare": compared,
        }
        with mock.patch.multiple(replay, **fakes), contextlib.redirect_stdout(io.StringIO()):
            replay.replay(stack, DAY, trouble=trouble, **more)
        return said

    def test_trouble_is_over_with_the_last_sale(self):
        self.assertEqual(["trouble", "sales", "over", "wait"], self.replayed())

    def test_trouble_goes_on_while_the_figures_are_drained(self):
        read = []
        said = self.replayed(draining=lambda behind: read.extend(behind()))
        self.assertEqual(["trouble", "sales", "read", "over", "wait"], said)
        self.assertEqual(["lane"], read)


if __name__ == "__main__":
    unittest.main()
