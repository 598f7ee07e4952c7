"""`make bench`, or `python -m benchmarks [NAME …]` for some of them: runs what lies in this folder and prints each ratio beside its mark.

All of them together write `results.json` and the table of README.md. A benchmark is a file with

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

from benchmarks import growth
from benchmarks.measured import Measured

HERE = Path(__file__).parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
VERSIONS = ("torch", "transformers", "duckdb", "pydantic")


def main(wanted: list[str]) -> None:
    """Run the benchmarks named, or all and write their results down."""
    names = [m.name for m in pkgutil.iter_modules([str(HERE)]) if not m.name.startswith("_") and m.name != "measured"]
    if unknown := [name for name in wanted if name not in names]:
        sys.exit(f"no benchmark {', '.join(unknown)}. There are: {', '.join(names)}")
    found: list[Measured] = []
    broken: list[str] = []
    for name in wanted or names:
        try:
            for one in importlib.import_module(f"benchmarks.{name}").run():
                print(_line(one), flush=True)
                found.append(one)
        except Exception:  # the others are measured all the same, and the run ends as a failure
            traceback.print_exc()
            broken.append(name)
    if not wanted:
        _write_down(found)
    if broken:
        sys.exit(f"did not run to their end: {', '.join(broken)}")


def _write_down(found: list[Measured]) -> None:
    (HERE / "results.json").write_text(json.dumps([one.row() for one in found], indent=2) + "\n", "utf-8")
    growth.draw([one for one in found if one.points], HERE / "growth.svg")
    readme = HERE / "README.md"
    before, rest = readme.read_text("utf-8").split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{_table(found)}\n{END}{rest.split(END)[1]}", "utf-8")


def _line(one: Measured) -> str:
    found = f"{one.name}: {one.ours:.3g} {one.unit}, {one.against} {one.peer:.3g}: ratio {one.ratio:.2f}"
    if one.mark is None:
        return found
    return f"{found}, {'at least' if one.is_least else 'at most'} {one.mark:g}: {'reached' if one.reached else 'NOT reached'}"


def _table(found: Iterable[Measured]) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {_processor()}; Python {platform.python_version()}, {packages}.",
        "",
        "| benchmark | ours | held against | ratio | mark | reached |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        mark = "" if one.mark is None else f"{'≥' if one.is_least else '≤'} {one.mark:g}"
        reached = {True: "yes", False: "no", None: ""}[one.reached]
        beside = f"{one.against}: {one.peer:.3g} {one.unit}"
        lines.append(f"| {one.name} | {one.ours:.3g} {one.unit} | {beside} | {one.ratio:.2f} | {mark} | {reached} |")
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
