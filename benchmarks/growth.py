"""Growth of time with items, methods, languages and models: four sizes of each, the last eight times the
first, all else held.

`plan` is from the spec's text to the difference with a store that holds nothing, `load` from the files of
finished steps to a warehouse with all that is computed of them, `report` what the report reads of it. Each in
this process, the best of three; a first one of each, which loads what they need, does not count. What grows
linearly takes at most eight times as long.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from benchmarks._scale.fill import write_files
from benchmarks._scale.study import LANGUAGES, Shape, study_of
from benchmarks.measured import Measured
from benchmarks.plan_10000_cells import spec, write_study
from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.plan.compile import compile
from dsl.plan.diff import diff
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import load_store
from warehouse.report.reading import read_study

TIMES_MORE = (1, 2, 4, 8)
MARK = 8 * 1.3
"""Limit on the growth of time with eight times as much: linear, and what measurements of tenths of a second
vary by."""

ITEMS = 300

PROMPT = Path(__file__).resolve().parents[1] / "runners" / "prompting" / "prompt_texts" / "en.yaml"

Point = tuple[int, float]
"""Factor of more, and seconds."""


def run() -> Iterator[Measured]:
    """A line for each of what is done and what there is more of."""
    with TemporaryDirectory() as folder:
        _plan(Path(folder), "items", 1)
        for what in ("items", "methods", "languages", "models"):
            yield _measured("plan", what, [(n, _plan(Path(folder), what, n)) for n in TIMES_MORE])
    shapes: dict[str, Callable[[int], Shape]] = {
        "items": lambda n: Shape(models=1, languages=2, methods=3, seeds=1, items={"quiz": n * ITEMS}),
        "methods": lambda n: Shape(models=1, languages=2, methods=n, seeds=1, items={"quiz": ITEMS}),
        "languages": lambda n: Shape(models=1, languages=n, methods=3, seeds=1, items={"quiz": ITEMS}),
        "models": lambda n: Shape(models=n, languages=2, methods=3, seeds=1, items={"quiz": ITEMS}),
    }
    _load_and_read(shapes["items"](1))
    for what, shape in shapes.items():
        found = [(n, *_load_and_read(shape(n))) for n in TIMES_MORE]
        yield _measured("load", what, [(n, loading) for n, loading, _ in found])
        yield _measured("report", what, [(n, reading) for n, _, reading in found])


def draw(found: Sequence[Measured], out: Path) -> None:
    """A picture of all lines, both axes in powers, so that what grows linearly is as steep as the dashed
    line."""
    import altair as alt

    rows: list[dict[str, str | float]] = []
    for one in found:
        done, _, what = one.name.partition(": 8 times the ")
        rows += [
            {"does": done, "of": what, "times": times, "seconds": seconds} for times, seconds in one.points
        ]
    panels = list(dict.fromkeys(str(row["does"]) for row in rows))
    linear = [
        {
            "does": done,
            "times": times,
            "seconds": times * min(float(row["seconds"]) for row in rows if row["does"] == done),
        }
        for done in panels
        for times in TIMES_MORE
    ]
    x = alt.X(
        "times:Q",
        scale=alt.Scale(type="log", base=2),
        axis=alt.Axis(values=list(TIMES_MORE)),
        title="times as much",
    )
    y = alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds")
    lines = alt.Chart().mark_line(point=True).encode(x=x, y=y, color=alt.Color("of:N", title=None))
    ruler = alt.Chart().mark_line(strokeDash=[4, 4], color="gray").encode(x=x, y=y)

    def panel(done: str) -> Any:
        of_it, beside = ([row for row in some if row["does"] == done] for some in (rows, linear))
        layers = lines.properties(data=alt.Data(values=of_it)), ruler.properties(data=alt.Data(values=beside))
        return alt.layer(*layers).properties(width=200, height=200, title=done)

    alt.hconcat(*map(panel, panels)).save(str(out))


def _measured(does: str, what: str, points: list[Point]) -> Measured:
    first, last = points[0][1], points[-1][1]
    return Measured(
        f"{does}: 8 times the {what}", last, first, f"one time the {what}", "s", MARK, points=tuple(points)
    )


def _best(do: Callable[[], object]) -> float:
    seconds: list[float] = []
    for _ in range(3):
        begin = time.perf_counter()
        do()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def _plan(folder: Path, what: str, n: int) -> float:
    def times(name: str) -> int:
        return n if name == what else 1

    study = spec(5 * times("models"), 5 * times("methods"), LANGUAGES[: times("languages")])
    for language in LANGUAGES:  # prompts of one's own, since xp has those of three languages only
        own = PROMPT.read_text("utf-8").replace("language: en", f"language: {language}", 1)
        (folder / f"{language}.yaml").write_text(own, "utf-8")
    for method in cast("dict[str, dict[str, object]]", study["methods"]).values():
        if method["method"] == "icl":
            method["prompt"] = {"file": "{language}.yaml"}
    path = write_study(folder, study, 64 * times("items"))

    def plan() -> None:
        loaded = load(path)
        diff(compile(loaded.experiment, Fingerprints(), loaded.origin), ())

    return _best(plan)


def _load_and_read(shape: Shape) -> tuple[float, float]:
    """Seconds that loading a study and reading it took."""
    study = study_of(shape)
    with TemporaryDirectory() as folder:
        store = Path(folder)
        write_files(store, study, shape, shape.names)

        def load_all() -> None:
            (store / WAREHOUSE).unlink(missing_ok=True)
            connect(store / WAREHOUSE).close()
            load_store(store, study.step_ids, study)

        return _best(load_all), _best(lambda: read_study(store / WAREHOUSE, study.experiment))
