"""Figures of benchmarks as `target/bench/*.json` holds them; `tests/src/bench_report.rs` writes the same
form. Standard library only."""

import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target" / "bench"


@dataclass
class Figure:
    """One figure; `target` is {"at_most": x}, {"at_least": x} or None. `build` is that of the code it tells
    of: release, dev, or any where it is the same in all."""

    benchmark: str
    name: str
    value: float
    unit: str
    target: dict | None
    build: str
    place: int = 0

    @property
    def verdict(self) -> str:
        target = self.target or {}
        holds = target.get("at_least", self.value) <= self.value <= target.get("at_most", self.value)
        return "holds" if holds else "short"

    def target_text(self) -> str:
        if self.target is None:
            return "-"
        [(kind, bound)] = self.target.items()
        return f"{ {'at_most': '≤', 'at_least': '≥'}[kind] }{bound:g}"

    def line(self) -> str:
        return f"{self.name} {self.value:g} {self.unit} {self.target_text()} {self.verdict}"


def read(folder: Path = FOLDER) -> list[Figure]:
    """All figures that are kept, by benchmark and place. One that does not tell its build, as older ones do
    not, counts as a dev build's: it may be one."""
    figures = []
    for path in folder.glob("*.json"):
        kept = json.loads(path.read_text(encoding="utf-8"))
        kept.pop("verdict")
        figures.append(Figure(**{"build": "dev", **kept}))
    return sorted(figures, key=lambda figure: (figure.benchmark, figure.place))


def write(benchmark: str, figures: list[Figure], folder: Path = FOLDER) -> None:
    """Each figure into a file of its own, in place of all that the benchmark had."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in read(folder):
        if old.benchmark == benchmark:
            (folder / f"{old.name}.json").unlink()
    for place, figure in enumerate(figures):
        figure.place = place
        kept = {**vars(figure), "verdict": figure.verdict}
        (folder / f"{figure.name}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
