"""`make bench`, or `python -m benchmarks [NAME …]` for some of them: runs what lies in this folder and prints
each ratio beside its target.

What is found takes the place of what the same benchmark found before, in `results.json` and in the tables of
this folder's README.md, and three of them stand in the project's. A benchmark is a file with

    def run() -> Iterator[Measured]
"""

import importlib
import json
import pkgutil
import platform
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import growth
from benchmarks.measured import Measured

HERE = Path(__file__).parent
RESULTS, README, PROJECT = HERE / "results.json", HERE / "README.md", HERE.parent / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
HEADLINES = (
    "in-context generation, 240 requests",
    "xp apply of an SFT step",
    "most memory of a process with 10.2 million completions, 60.2 million verdicts",
)
"""The figures that the project's README.md shows."""
VERSIONS = ("torch", "transformers", "duckdb", "pydantic")


def main(wanted: list[str]) -> None:
    """Run the benchmarks named, or all and write their results down."""
    names = [
        m.name
        for m in pkgutil.iter_modules([str(HERE)])
        if not m.name.startswith("_") and m.name != "measured"
    ]
    if unknown := [name for name in wanted if name not in names]:
        sys.exit(f"no benchmark {', '.join(unknown)}. There are: {', '.join(names)}")
    broken: list[str] = []
    for name in wanted or names:
        found: list[Measured] = []
        try:
            for one in importlib.import_module(f"benchmarks.{name}").run():
                print(result_line(one), flush=True)
                found.append(one)
        except Exception:  # the others are measured all the same, and the run ends as a failure
            traceback.print_exc()
            broken.append(name)
        else:
            _write_down(name, names, found)
    if broken:
        sys.exit(f"did not run to their end: {', '.join(broken)}")


def _write_down(name: str, names: list[str], found: list[Measured]) -> None:
    """Put what a benchmark found in the place of what it found before."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    kept = [
        row
        for row in json.loads(RESULTS.read_text("utf-8"))
        if row["benchmark"] != name and row["benchmark"] in names
    ]
    rows = [*kept, *({"benchmark": name, "date": today, **one.row()} for one in found)]
    rows.sort(key=lambda row: names.index(row["benchmark"]))
    RESULTS.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if any(one.points for one in found):
        growth.draw(found, HERE / "growth.svg")
    _put(README, table(rows))
    _put(PROJECT, headlines(rows))


def _put(file: Path, lines: str) -> None:
    """The lines in the place of those there."""
    before, rest = file.read_text("utf-8").split(BEGIN)
    file.write_text(f"{before}{BEGIN}\n{lines}\n{END}{rest.split(END)[1]}", "utf-8")


def result_line(one: Measured) -> str:
    ours = f"{one.name}: {one.ours:.3g} {one.unit}, {one.against}"
    if one.baseline is None:
        return f"{ours}: not measured"
    found = f"{ours} {one.baseline:.3g}: ratio {one.ratio:.2f}"
    if one.target is None:
        return found
    return (
        f"{found}, {'at least' if one.is_least else 'at most'} {one.target:g}:"
        f" {'met' if one.met else 'NOT met'}"
    )


def headlines(rows: Iterable[dict[str, Any]]) -> str:
    """Return the figures of the project's README.md, a line each, as Markdown."""
    lines: list[str] = []
    for row in rows:
        if row["name"] in HEADLINES:
            beside = "not measured" if row["baseline"] is None else f"{row['baseline']:.3g} {row['unit']}"
            missed = "; the target is missed" if row["met"] is False else ""
            lines.append(f"- {row['name']}: {row['ours']:.3g} against {beside} ({row['against']}{missed})")
    return "\n".join(lines)


def table(rows: Iterable[dict[str, Any]]) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    lines = [
        f"{platform.machine()}, {_processor()}; Python {platform.python_version()}, {packages}.",
        "",
        "| benchmark | ours | baseline | ratio | target | met | measured |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        target = "" if row["target"] is None else f"{'≥' if row['is_least'] else '≤'} {row['target']:g}"
        met = {True: "yes", False: "no", None: ""}[row["met"]]
        is_measured = row["baseline"] is not None
        beside = f"{row['baseline']:.3g} {row['unit']}" if is_measured else "not measured"
        ratio = f"{row['ratio']:.2f}" if is_measured else ""
        lines.append(
            f"| {row['name']} | {row['ours']:.3g} {row['unit']} | {row['against']}: {beside} | {ratio} |"
            f" {target} | {met} | {row['date']} |"
        )
    return "\n".join(lines)


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return f"{len(models)} × {models[0]}" if models else platform.processor()


if __name__ == "__main__":
    main(sys.argv[1:])
