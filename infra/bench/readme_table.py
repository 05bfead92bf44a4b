"""Writes the benchmarks' figures into README.md, between two markers.

    readme_table.py [--readme README.md] [--figures target/bench]

Times of a dev build say nothing of what is deployed: they are left out, and how many there were is told.
So are details, whose names have parts (sales.to_today.all_stores.x1.p50): the benchmark sums them up in
figures of its own.
"""

import argparse
import sys
from pathlib import Path

import figures
from figures import ROOT, Figure

sys.path.insert(0, str(ROOT / "infra" / "local"))

from progress import Failure, fail, note  # noqa: E402

BEGIN = "<!-- figures of make bench: begin -->"
END = "<!-- figures of make bench: end -->"


def table(kept: list[Figure]) -> str:
    """Markdown, one row a figure."""
    rows = ["| figure | value | target | |", "|---|--:|--:|---|"]
    for figure in kept:
        # Where nothing is asked there is nothing that holds.
        target, verdict = ("", "") if figure.target is None else (figure.target_text(), figure.verdict)
        rows.append(f"| {figure.name} | {value_text(figure.value)} {figure.unit} | {target} | {verdict} |")
    return "\n".join(rows)


def value_text(value: float) -> str:
    """To a thousandth, without zeros at the end."""
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def with_table(text: str, kept: list[Figure]) -> str:
    """`text` with the table in place of what stood between the markers."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise Failure(f"the file needs these two lines, once and in this order: {BEGIN} {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(kept)}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="readme_table.py")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--figures", type=Path, default=figures.FOLDER)
    chosen = parser.parse_args()
    measured = figures.read(chosen.figures)
    of_release = [figure for figure in measured if figure.build != "dev"]
    kept = [figure for figure in of_release if "." not in figure.name]
    try:
        if not kept:
            raise Failure(f"no figures of a release build in {chosen.figures}: run make bench")
        text = chosen.readme.read_text(encoding="utf-8")
        chosen.readme.write_text(with_table(text, kept), encoding="utf-8")
    except Failure as failure:
        fail(str(failure))
        return 1
    note(
        f"{len(kept)} figures into {chosen.readme.name}; {len(of_release) - len(kept)} details and "
        f"{len(measured) - len(of_release)} of dev builds left out"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
