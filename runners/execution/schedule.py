"""Schedule of a run: the next step, by what has ended. It knows neither processes nor files."""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from dsl.steps.steps import Step
from dsl.values import StepId


class Schedule:
    """Steps that are to run, and how far they are."""

    def __init__(self, todo: Mapping[StepId, Step], done: Collection[StepId]) -> None:
        """`todo` in an order in which each step comes after its inputs; `done` are those whose files are
        there."""
        self._steps = todo
        self._waits_for = {
            i: {x for x in step.inputs if x in todo or x not in done} for i, step in todo.items()
        }
        self._needed_by: dict[StepId, list[StepId]] = {}
        self._affinity = {step_id: step.affinity for step_id, step in todo.items()}
        self._models_before = _models_before(todo, self._affinity)
        self._n_waiting: Counter[tuple[str, str]] = Counter(
            (self._affinity[step_id], before)
            for step_id, models in self._models_before.items()
            for before in models
        )
        """(model, another model) -> steps of the one that are not ready and come after steps of the other."""
        self._left: dict[str, int] = {}
        for step_id, affinity in self._affinity.items():
            self._left[affinity] = self._left.get(affinity, 0) + 1
            for needed in self._waits_for[step_id]:
                self._needed_by.setdefault(needed, []).append(step_id)
        self._order = list(todo)
        self._place = {step_id: place for place, step_id in enumerate(self._order)}
        self._ready: dict[str, list[int]] = {}
        for step_id, waits in self._waits_for.items():
            if not waits:
                self._make_ready(step_id)
        self._over: set[StepId] = set()

    def without_input(self) -> dict[StepId, str]:
        """Take out every step that needs one which is neither done nor to be made: step -> reason."""
        missing = [needed for needed in self._needed_by if needed not in self._steps]
        return {
            step_id: f"{needed} is not done" for needed in missing for step_id in self._take_out_above(needed)
        }

    def take(self, loaded: Iterable[str], busy: Collection[str], full: Collection[str] = ()) -> StepId | None:
        """Take out the next step to run; None while every step left waits for another, or is of a model of
        which no more copies have room (`full`).

        Steps that load nothing go first, one at a time, so that answers are judged soon after they are made;
        then those whose model a waiting worker has loaded, then those whose model waits for no other, so that
        it is loaded once, then any; before those whose model a busy worker has, others of their like. Among
        equals the plan's order holds.
        """
        heavy = [affinity for affinity, ready in self._ready.items() if affinity and ready]
        heavy = [affinity for affinity in heavy if affinity not in full]
        return (
            self._first([""] if "" not in busy else [])
            or self._first([affinity for affinity in loaded if affinity])
            or self._first_free(heavy, busy)
            or self._first([affinity for affinity in heavy if affinity not in busy])
            or self._first(heavy)
            or self._first([""])
        )

    def done(self, step_id: StepId) -> None:
        """Note that a step that was taken is finished."""
        self._end(step_id)
        for waiting in self._needed_by.get(step_id, ()):
            self._waits_for[waiting].discard(step_id)
            if not self._waits_for[waiting]:
                self._make_ready(waiting)

    def failed(self, step_id: StepId, status: str = "failed") -> dict[StepId, str]:
        """Note that a step that was taken did not finish, and take out what depends on it: step -> reason."""
        self._end(step_id)
        why = f"{step_id} was stopped" if status == "stopped" else f"{step_id} failed"
        return dict.fromkeys(self._take_out_above(step_id), why)

    def has_left(self, affinity: str) -> bool:
        """Check if any step with this affinity is still to end."""
        return self._left.get(affinity, 0) > 0

    def is_over(self) -> bool:
        return len(self._over) == len(self._steps)

    def _first_free(self, heavy: Collection[str], busy: Collection[str]) -> StepId | None:
        """Take out the first step of a model of which none waits for another model that is still needed."""
        waiting = {one for (one, other), n in self._n_waiting.items() if n and self.has_left(other)}
        free = [affinity for affinity in heavy if affinity not in waiting]
        return self._first([affinity for affinity in free if affinity not in busy]) or self._first(free)

    def _make_ready(self, step_id: StepId) -> None:
        self._count_out(step_id)
        heapq.heappush(self._ready.setdefault(self._affinity[step_id], []), self._place[step_id])

    def _first(self, affinities: Iterable[str]) -> StepId | None:
        """Take out the ready step of these affinities that comes first in the plan."""
        queues = [queue for affinity in affinities if (queue := self._ready.get(affinity))]
        return self._order[heapq.heappop(min(queues))] if queues else None

    def _count_out(self, step_id: StepId) -> None:
        """Count a step no more among those that wait for another model."""
        for before in self._models_before.pop(step_id, ()):
            self._n_waiting[self._affinity[step_id], before] -= 1

    def _end(self, step_id: StepId) -> None:
        self._count_out(step_id)
        self._over.add(step_id)
        self._left[self._affinity[step_id]] -= 1

    def _take_out_above(self, step_id: StepId) -> list[StepId]:
        """Take out every step that depends on this one, direct or not.

        None of them can be ready: a step is, when all its inputs are done.
        """
        hanging: list[StepId] = []
        causes = [step_id]
        while causes:
            for waiting in self._needed_by.get(causes.pop(), ()):
                if waiting not in self._over:
                    self._end(waiting)
                    hanging.append(waiting)
                    causes.append(waiting)
        return sorted(hanging, key=self._place.__getitem__)


def _models_before(
    todo: Mapping[StepId, Step], affinity: Mapping[StepId, str]
) -> dict[StepId, frozenset[str]]:
    """Return the models of the steps that come before each step that loads another one, direct or not."""
    found: dict[StepId, frozenset[str]] = {}
    shared: dict[frozenset[str], frozenset[str]] = {}
    for step_id, step in todo.items():
        inputs = [needed for needed in step.inputs if needed in todo]
        above = frozenset({affinity[needed] for needed in inputs}.union(*(found[one] for one in inputs))) - {
            ""
        }
        found[step_id] = shared.setdefault(above, above)
    return {
        step_id: others
        for step_id, above in found.items()
        if affinity[step_id] and (others := above - {affinity[step_id]})
    }
