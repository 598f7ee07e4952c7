"""Needs of a study's cells: rows by data set and language, and prompt texts by method and language.

A cell that is filtered out needs nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dsl.methods import Icl, Sft
from dsl.methods.base import CellRequest, MethodBase
from dsl.methods.tuning import TuningMethod
from dsl.spec.experiment import Experiment
from dsl.values import Language, Name


@dataclass(frozen=True)
class Needs:
    """Languages in the study's order."""

    models: frozenset[Name]
    asked: Mapping[Name, tuple[Language, ...]]
    """Evaluated data set -> languages that it is asked in."""
    used: Mapping[Name, Mapping[Name, tuple[Language, ...]]]
    """Method -> data set that it learns from or shows -> languages."""
    prompts: Mapping[Name, tuple[Language, ...]]
    """Method -> languages of its prompts, those of training rows and worked examples included."""

    @property
    def rows(self) -> dict[Name, tuple[Language, ...]]:
        """Data set -> languages that are read."""
        found: dict[Name, dict[Language, None]] = defaultdict(dict)
        for sets in (self.asked, *self.used.values()):
            for dataset, languages in sets.items():
                found[dataset] |= dict.fromkeys(languages)
        return {dataset: tuple(languages) for dataset, languages in found.items()}


def needs(experiment: Experiment, requests: Sequence[tuple[CellRequest, Name]]) -> Needs:
    """Collect what these cells need, each with its method."""
    models: set[Name] = set()
    asked: dict[Name, set[Language]] = {}
    used: dict[Name, dict[Name, set[Language]]] = defaultdict(lambda: defaultdict(set))
    prompts: dict[Name, set[Language]] = {}

    def learn(name: Name, method: MethodBase, languages: Iterable[Language]) -> None:
        prompts.setdefault(name, set()).update(languages)
        for _, dataset, _ in method.required_columns():
            used[name][dataset].update(languages)

    for language, train_languages, name in dict.fromkeys(
        (request.language, request.train_languages, method) for request, method in requests
    ):
        method = experiment.methods[name]
        prompts.setdefault(name, set()).add(language)
        if isinstance(method, TuningMethod):
            learn(name, method, train_languages)
            for start in method.starts_from:
                policy = experiment.methods.get(start)
                if isinstance(policy, Sft):
                    each = policy.train_languages == "each"
                    (below,) = (train_languages,) if each else policy.variants(experiment.languages, language)
                    learn(start, policy, below)
                    prompts[start].add(language)
        elif isinstance(method, Icl):
            learn(name, method, [method.demonstrations_language or language])
    for request, _ in requests:
        asked.setdefault(request.dataset, set()).add(request.language)
        models.add(request.model)

    def ordered(languages: set[Language]) -> tuple[Language, ...]:
        named = tuple(language for language in experiment.languages if language in languages)
        return (*named, *sorted(languages.difference(named)))

    return Needs(
        frozenset(models),
        {dataset: ordered(languages) for dataset, languages in asked.items()},
        {name: {dataset: ordered(found) for dataset, found in sets.items()} for name, sets in used.items()},
        {name: ordered(languages) for name, languages in prompts.items()},
    )
