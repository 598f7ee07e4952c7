"""Rows of one study as values: their order, the roles of judges, the steps behind a figure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from warehouse.charts.theme import Order, Row, Rows, place
from warehouse.report.wording import Wording, glosses
from warehouse.served_models import ServedModels
from warehouse.statistics.power import Spread


@dataclass(frozen=True)
class StudyRows:
    """The rows of a study."""

    experiment: Row
    cells: Rows
    """In the order of the plan, without those of methods that are asked again."""
    judges: Rows
    """In the order of the spec."""
    cell_judges: Rows
    """Those of answers as they were given, without texts planted in them."""
    cell_training: Rows
    contrasts: Rows
    views: dict[str, Rows]
    steps: Rows
    """`study_steps`, JSON columns unpacked."""
    runs: Rows
    completions: Rows
    """Answers to the items that were picked, each with its verdicts."""
    facets: dict[str, list[str]]
    """Property of answers, and `measure` -> the values to choose from."""
    n_completions: int
    """Number of answers in all."""
    spreads: tuple[Spread, ...]
    """Variation of the differences of each contrast."""
    served: ServedModels = field(default_factory=ServedModels)

    @cached_property
    def order(self) -> Order:
        """Methods of one kind stand together; else all is in the order of the spec."""
        kinds = list(dict.fromkeys(cell["method_kind"] for cell in self.cells))
        tuned: dict[tuple[str, ...], set[str]] = {}
        for cell in self.cells:
            where = (cell["method"], cell["model"], cell["dataset"], cell["language"])
            tuned.setdefault(where, set()).add(cell["train_languages"] or "")
        return Order(
            methods=tuple(
                dict.fromkeys(
                    cell["method"]
                    for cell in sorted(self.cells, key=lambda cell: place(kinds, cell["method_kind"]))
                )
            ),
            models=tuple(dict.fromkeys(cell["model"] for cell in self.cells)),
            languages=tuple(self.experiment["languages"]),
            retuned=frozenset(method for (method, *_), sets in tuned.items() if len(sets) > 1),
        )

    @cached_property
    def words(self) -> Wording:
        return Wording(self._judges, glosses(self.cells, self.steps), self.datasets)

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """In the order in which the study declares them."""
        return tuple(dict.fromkeys(cell["dataset"] for cell in self.cells))

    def datasets_of(self, rows: Rows) -> list[str]:
        """Return the data sets in these rows, in the order in which the study declares them."""
        found = {row["dataset"] for row in rows}
        return [name for name in self.datasets if name in found]

    @cached_property
    def _judges(self) -> dict[str, Row]:
        return {row["judge"]: row for row in self.judges}

    def role_of(self, row: Row) -> str:
        """The role of the judge that a row is of; people, who are no step, judge quality."""
        judge = self._judges.get(row["judge"])
        return "quality" if judge is None else str(judge["role"])

    def in_order(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of data sets, measures and contrasts in the order in which the study names them."""
        judges = {
            judge: place
            for place, judge in enumerate(dict.fromkeys(row["judge"] for row in self.cell_judges))
        }
        contrasts = {row["contrast"]: place for place, row in enumerate(self.contrasts)}
        return sorted(
            rows,
            key=lambda row: (
                place(self.datasets, row["dataset"]),
                judges.get(row["judge"], len(judges)),
                row["measure"],
                contrasts.get(row.get("contrast", ""), -1),
            ),
        )

    def of_interest(self, rows: Rows) -> list[Row]:
        """Rows of judges of quality; where a study has none, of its detectors."""
        merits = [row for row in self.in_order(rows) if self.role_of(row) != "measure"]
        return [row for row in merits if self.role_of(row) == "quality"] or merits

    def first_measure(self, rows: Rows) -> list[Row]:
        """Rows of the data set and measure that come first, of which something is scored."""
        shown = self.of_interest(rows)
        first = next((row for row in shown if row["mean_score"] is not None), None)
        if first is None:
            return []
        return [row for row in shown if all(row[key] == first[key] for key in ("dataset", "measure"))]

    def compared(self, rows: Rows) -> list[Row]:
        """Rows of contrasts: confirmatory ones, and those of judges of quality."""
        shown = {id(row) for row in self.of_interest(rows)}
        return [row for row in self.in_order(rows) if row.get("family") == "confirmatory" or id(row) in shown]

    def opinions(self) -> dict[str, str]:
        """A judge, people aside, that decides by opinion, not by rule -> whose opinion it is."""
        done = {step["step_id"] for step in self.steps if step["is_done"]}
        asked = {row["judge"] for row in self.cell_judges if row["judge_step_id"] in done}
        return {
            row["judge"]: row["opinion"]
            for row in self.judges
            if row["opinion"] is not None and not row["is_people"] and row["judge"] in asked
        }
