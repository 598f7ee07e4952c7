"""Coordinates of a study's cells, in the spec's order."""

from collections.abc import Iterator

from dsl.methods.base import CellRequest, MethodBase
from dsl.spec.experiment import Experiment
from dsl.values import Language, Name


def requests(experiment: Experiment) -> Iterator[tuple[CellRequest, Name]]:
    """The coordinates of every cell, with the method's name, in the spec's order."""
    for dataset in experiment.evaluate:
        languages = languages_of(experiment, dataset)
        for model_name, model in experiment.models.items():
            for method_name, method in experiment.methods.items():
                if method.why_not_applicable(model, experiment.methods) is not None:
                    continue
                seeds: tuple[int | None, ...] = (
                    experiment.seeds if method.is_stochastic or _samples(experiment, method) else (None,)
                )
                for language in languages:
                    if not experiment.keeps(
                        dataset=dataset, language=language, model=model_name, method=method_name
                    ):
                        continue
                    for tuned_on in method.variants(experiment.languages, language):
                        for seed in seeds:
                            for turn in experiment.data[dataset].columns.in_turn:
                                cell = CellRequest(dataset, language, model_name, tuned_on, seed, turn)
                                yield cell, method_name
                                if method.noise:
                                    yield cell._replace(replicate=1), method_name


def languages_of(experiment: Experiment, dataset: Name) -> tuple[Language, ...]:
    """The study's languages that a data set has, in the study's order."""
    has = experiment.data[dataset].languages
    return tuple(language for language in experiment.languages if has is None or language in has)


def _samples(experiment: Experiment, method: MethodBase) -> bool:
    return experiment.decoding.is_sampled and method.method != "recorded"
