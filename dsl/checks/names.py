"""What a spec's types cannot say: names that must exist, languages that must have data, items that must pair.

Every function yields problems and stops at none, so that a person sees them all at once. Paths of a problem
are paths in the spec.
"""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Literal, cast, get_args

from dsl.checks.contrasts import contrast_faults
from dsl.checks.data import data_faults, recorded_faults
from dsl.checks.decoding import decoding_faults
from dsl.data.fingerprints import PROMPT_TEXTS, Fingerprints
from dsl.data.prompt_text import parse_prompt_text
from dsl.data.regular_files import read_regular
from dsl.engines.contract import EngineSettings
from dsl.errors import DataError, Problem
from dsl.judges.contract import JudgeSettings
from dsl.messages import Path, suggest
from dsl.methods import Dpo, Icl, Sft
from dsl.methods.base import CellRequest, MethodBase, Shipped
from dsl.methods.parts import PromptPath, Rows
from dsl.plan.comparisons import plants
from dsl.plan.compile import languages_of, requests
from dsl.spec.experiment import Experiment
from dsl.spec.resources import KINDS
from dsl.values import Language, Name
from dsl.yaml.document import Document


class Checker:
    """Collects what is wrong with one experiment."""

    def __init__(
        self, experiment: Experiment, document: Document, fingerprints: Fingerprints, folder: FilePath
    ) -> None:
        self.experiment = experiment
        self.problems: list[Problem] = []
        self._document = document
        self._fingerprints = fingerprints
        self._folder = folder

    def check(self) -> tuple[Problem, ...]:
        """Every problem, errors and warnings, in no order."""
        self._numbers(self._document.data, self.experiment.model_dump(by_alias=True), ())
        self._names()
        self._languages()
        self._models()
        self._methods()
        self._prompts()
        self._decoding()
        self._judges()
        self._data()
        self._recorded()
        self._execution()
        if not any(p.level == "error" for p in self.problems) and not self._requests():
            self._add(
                (), "no cell is left: `only` and `exclude` take everything away, or no method fits a model"
            )
        return tuple(self.problems)

    def _add(
        self,
        path: Path,
        message: str,
        level: Literal["error", "warning"] = "error",
        on: Literal["value", "key"] = "value",
    ) -> None:
        problem = self._document.problem(path, message, on=on, level=level)
        if problem not in self.problems:  # languages that share a file share its faults
            self.problems.append(problem)

    def _known(self, path: Path, name: str, allowed: tuple[str, ...], what: str) -> bool:
        if name in allowed:
            return True
        self._add(path, f"there is no {what} `{name}`. {suggest(name, allowed)}")
        return False

    def _numbers(self, written: object, read: object, path: Path) -> None:
        """True and false pass for 1 and 0 where pydantic expects a number."""
        if isinstance(written, dict) and isinstance(read, dict):
            known = cast("dict[str, object]", read)
            for key, value in cast("dict[str, object]", written).items():
                if key in known:
                    self._numbers(value, known[key], (*path, key))
        elif isinstance(written, list) and isinstance(read, tuple | list):
            for i, (one, other) in enumerate(
                zip(cast("list[object]", written), cast("tuple[object, ...]", read), strict=False)
            ):
                self._numbers(one, other, (*path, i))
        elif isinstance(written, bool) and isinstance(read, int | float) and not isinstance(read, bool):
            self._add(path, f"found `{str(written).lower()}`; must be a number")

    def _names(self) -> None:
        e = self.experiment
        for field, values in (("languages", e.languages), ("seeds", e.seeds), ("evaluate", e.evaluate)):
            for i, value in enumerate(values):
                if value in values[:i]:
                    self._add((field, i), f"`{value}` is listed twice")
        for i, dataset in enumerate(e.evaluate):
            self._known(("evaluate", i), dataset, tuple(e.data), "data set")
        for path, message, level in contrast_faults(
            e, {method for _, method in self._requests()}, self._aspects
        ):
            self._add(
                path, message, level, on="key" if len(path) == 2 and path[0] == "contrasts" else "value"
            )
        # While a name in `evaluate` is wrong, the others' filters are not.
        asked_of = e.evaluate if set(e.evaluate) <= set(e.data) else tuple(e.data)
        coordinates = {
            "dataset": asked_of,
            "language": e.languages,
            "model": tuple(e.models),
            "method": tuple(e.methods),
        }
        for which in ("only", "exclude"):
            for i, f in enumerate(getattr(e, which)):
                for coordinate, allowed in coordinates.items():
                    wanted = getattr(f, coordinate)
                    for name in (wanted,) if isinstance(wanted, str) else wanted or ():
                        self._known((which, i, coordinate), name, allowed, coordinate)

    def _requests(self) -> tuple[tuple[CellRequest, Name], ...]:
        """The study's cells; none while a data set or a policy is named that does not exist."""
        e = self.experiment
        policies = {"base", "instruct", *e.methods}
        if any(name not in e.data for name in e.evaluate) or any(
            isinstance(m, Dpo) and m.policy not in policies for m in e.methods.values()
        ):
            return ()
        return tuple(requests(e))

    def _languages(self) -> None:
        for name, data in self.experiment.data.items():
            rows = data.rows if isinstance(data.rows, dict) else {}
            for language in rows:
                if language not in self.experiment.languages:
                    self._known(
                        ("data", name, "rows", language),
                        language,
                        self.experiment.languages,
                        "language of the study",
                    )
            for one in rows.values() if rows else (data.rows,):
                if isinstance(one, Rows) and one.hub is not None and one.revision is None:
                    why = (
                        f"{one.hub} has no `revision`: the hub may serve other rows tomorrow, so this study"
                        " is not pinned"
                    )
                    self._add(("data", name, "rows"), why, level="warning")
            for i, language in enumerate(data.languages or ()):
                self._known(
                    ("data", name, "languages", i),
                    language,
                    self.experiment.languages,
                    "language of the study",
                )

    def _wanted(self, dataset: Name) -> tuple[Language, ...]:
        return languages_of(self.experiment, dataset)

    def _models(self) -> None:
        for name, model in self.experiment.models.items():
            loaded = False
            for which in ("base", "instruct"):
                settings: EngineSettings | None = getattr(model, which)
                if settings is None:
                    continue
                loaded = loaded or settings.engine in ("transformers", "echo")
                if (why := settings.unpinned()) is not None:
                    self._add(("models", name, which), why, level="warning")
                try:
                    settings.pinned(self._fingerprints, self._folder)
                except DataError as error:
                    self._add(("models", name, which), str(error))
            if not loaded and model.parameters is None:
                self._add(
                    ("models", name),
                    "this model is not loaded here, so its size is not known. State it: `parameters:"
                    " 494000000`",
                )

    def _judges(self) -> None:
        own = tuple(name for name, judge in self.experiment.judges.items() if not judge.judges())
        for name, judge in self.experiment.judges.items():
            if (why := judge.unpinned()) is not None:
                self._add(("judges", name), why, level="warning")
            for why in self._judge_lacks(judge):
                self._add(("judges", name), why)
            asked = [
                self.experiment.data[d].columns for d in self.experiment.evaluate if d in self.experiment.data
            ]
            for column in judge.NEEDS:
                if asked and all(getattr(columns, column) is None for columns in asked):
                    self._add(
                        ("judges", name),
                        f"no data set that is asked has the column `{column}`, so there is nothing to"
                        " judge by",
                    )
            wanted = judge.opponents()
            for opponent in () if wanted == "all" else wanted:
                self._known(("judges", name), opponent, tuple(self.experiment.methods), "method")
            known = [
                self._known(("judges", name), other, own, "judge with verdicts of its own")
                for other in judge.judges()
            ]
            if all(known):
                self._among(name, judge)
        for name, probe in self.experiment.judge_probes.items():
            for i, judge in enumerate(probe.judges):
                at = ("judge_probes", name, "judges", i)
                if self._known(at, judge, tuple(self.experiment.judges), "judge") and judge not in own:
                    self._add(
                        at,
                        f"`{judge}` reads other judges' verdicts and no answers: probe"
                        f" {', '.join(self.experiment.judges[judge].judges())}",
                    )
                elif judge in own and self.experiment.judges[judge].is_settled():
                    self._add(
                        at,
                        f"`{judge}` holds verdicts that were given before: what is planted in an answer"
                        " cannot move them",
                    )
            self._known(("judge_probes", name, "plant"), probe.plant, plants(), "text to plant")

    def _among(self, name: Name, judge: JudgeSettings) -> None:
        """Can the judges that this one reads be brought together?"""
        e = self.experiment
        try:
            pinned = {
                other: e.judges[other].pinned(e.languages, self._fingerprints, self._folder)
                for other in judge.judges()
            }
        except DataError:
            return  # told of the judge that it lacks something
        try:
            judge.among(pinned)
        except DataError as error:
            self._add(("judges", name), str(error))

    def _aspects(self, name: Name) -> tuple[str, ...] | None:
        """Aspects of a judge's verdicts; None where something that it needs lacks."""
        e = self.experiment
        judge = e.judges[name]
        try:
            known = {
                n: e.judges[n].pinned(e.languages, self._fingerprints, self._folder)
                for n in (name, *judge.judges())
                if n in e.judges
            }
            return known[name].among(known).verdict_aspects()
        except DataError:
            return None

    def _judge_lacks(self, judge: JudgeSettings) -> Iterator[str]:
        """Which files or packages a judge does not find, for the study and then for each cell, and which
        cells it would mix up."""
        e = self.experiment
        try:
            pinned = judge.pinned(e.languages, self._fingerprints, self._folder)
        except DataError as error:
            yield str(error)
            return
        found: dict[tuple[Name, Name, Language], str] = {}
        for model, method, language in dict.fromkeys(
            (r.model, method, r.language) for r, method in self._requests()
        ):
            if not judge.concerns(method):
                continue
            try:
                here = pinned.of_cell(
                    e.models[model].recorded or model, method, language, self._fingerprints, self._folder
                )
            except DataError as error:
                yield str(error)
            else:
                found[model, method, language] = here.model_dump_json()
        if confused := pinned.ambiguous_coordinates():
            yield from self._confused(found, confused)

    def _confused(
        self, settings: dict[tuple[Name, Name, Language], str], confused: frozenset[str]
    ) -> Iterator[str]:
        """Which cells have one judge's settings though it could not tell their answers apart."""
        seen: dict[tuple[Name, str], dict[str, str]] = {}
        for request, method in self._requests():
            if (here := settings.get((request.model, method, request.language))) is None:
                continue
            cell = {"method": method, "model": request.model, "language": request.language}
            cell |= {"tuned on": "+".join(request.train_languages), "seed": str(request.seed)}
            other = seen.setdefault((request.dataset, here), cell)
            differ = [name for name in cell if name in confused and cell[name] != other[name]]
            if "language" in differ and not self.experiment.data[request.dataset].parallel:
                differ.remove("language")  # their items have names of their own
            if differ:
                one, two = (
                    " ".join(
                        [
                            f"{c['method']} on {c['model']}",
                            *(f"{name} {c[name]}" for name in differ if name not in ("method", "model")),
                        ]
                    )
                    for c in (other, cell)
                )
                ways = [f"`{{{name}}}`" for name in ("method", "model", "language") if name in differ]
                put = f"Put {' and '.join(ways)} into the path, or name" if ways else "Name"
                yield (
                    f"the same verdicts would be taken for the answers of {one} and of {two}. {put} the"
                    " column `response`, the text that was judged"
                )

    def _methods(self) -> None:
        e = self.experiment
        for name, method in e.methods.items():
            path = ("methods", name)
            for setting, dataset, needed in method.required_columns():
                at = (*path, setting, "from") if setting == "demonstrations" else (*path, setting)
                if not self._known(at, dataset, tuple(e.data), "data set"):
                    continue
                for column in needed:
                    if getattr(e.data[dataset].columns, column) is None:
                        self._add(
                            ("data", dataset, "columns"),
                            f"`methods.{name}` needs the column `{column}`",
                            on="key",
                        )
                for language in self._trained_in(method):
                    if language in e.languages and language not in self._wanted(dataset):
                        self._add(at, f"`{dataset}` has no `{language}`, which this method is trained on")
            if isinstance(method, Sft | Dpo) and isinstance(method.train_languages, tuple):
                for i, language in enumerate(method.train_languages):
                    self._known((*path, "train_languages", i), language, e.languages, "language of the study")
            if isinstance(method, Dpo) and method.policy not in ("base", "instruct"):
                trained = tuple(n for n, m in e.methods.items() if isinstance(m, Sft))
                if self._known((*path, "policy"), method.policy, ("base", "instruct", *trained), "policy"):
                    below = e.methods[method.policy]
                    if isinstance(below, Sft) and below.train_languages == "each" != method.train_languages:
                        self._add(
                            (*path, "train_languages"),
                            f"`{method.policy}` tunes each language by itself, so there is no one model of it"
                            " to start from. Give both the same `train_languages`",
                        )
                    if isinstance(below, Sft) and _asked(below) != _asked(method):
                        self._add(
                            path,
                            f"its prompt differs from that of `{method.policy}`, which it starts from: a"
                            " policy is asked as it was trained",
                        )
            if isinstance(method, Icl) and method.demonstrations_language is not None:
                self._known(
                    (*path, "demonstrations_language"),
                    method.demonstrations_language,
                    e.languages,
                    "language of the study",
                )

    def _trained_in(self, method: MethodBase) -> tuple[Language, ...]:
        if isinstance(method, Sft | Dpo):
            return (
                method.train_languages
                if isinstance(method.train_languages, tuple)
                else self.experiment.languages
            )
        if isinstance(method, Icl) and method.demonstrations_language is not None:
            return (method.demonstrations_language,)
        return self.experiment.languages

    def _prompts(self) -> None:
        shipped = tuple(sorted(p.stem for p in PROMPT_TEXTS.glob("*.yaml")))
        asks_shipped = False
        for name, method in self.experiment.methods.items():
            prompt: object = getattr(method, "prompt", None)
            asks_shipped = asks_shipped or prompt in get_args(Shipped) or getattr(method, "system", False)
            if prompt not in (None, "chat") and getattr(method, "chat_template_kwargs", None):
                self._add(
                    ("methods", name, "chat_template_kwargs"),
                    "there is no chat template in a text prompt",
                    on="key",
                )
            if isinstance(prompt, PromptPath):
                for language in self.experiment.languages:
                    self._prompt_file(
                        ("methods", name), method, self._folder / prompt.file.replace("{language}", language)
                    )
        for i, language in enumerate(self.experiment.languages):
            if asks_shipped and language not in shipped:
                self._add(
                    ("languages", i),
                    f"no prompt text for `{language}` ships with xp; there are: {', '.join(shipped)}. "
                    f"Add runners/prompting/prompt_texts/{language}.yaml or use `prompt: {{file: …}}`",
                )

    def _prompt_file(self, path: Path, method: MethodBase, file: FilePath) -> None:
        try:
            text = parse_prompt_text(read_regular(file).decode(), file)
        except UnicodeDecodeError:
            self._add((*path, "prompt", "file"), f"{file}: not UTF-8")
        except DataError as error:
            self._add((*path, "prompt", "file"), str(error))
        else:
            asked: int = getattr(method, "num_fewshot", 0)
            if getattr(method, "demonstrations", None) is None and asked > len(text.demonstrations):
                self._add(
                    (*path, "num_fewshot"),
                    f"{file} has {len(text.demonstrations)} worked examples, not {asked}",
                )

    def _decoding(self) -> None:
        for path, message, level in decoding_faults(self.experiment, self._folder):
            self._add(path, message, level)

    def _data(self) -> None:
        for path, message in data_faults(self.experiment, self._fingerprints, self._folder):
            self._add(path, message, on="key" if path[-1] == "columns" else "value")

    def _recorded(self) -> None:
        for path, message in recorded_faults(
            self.experiment, self._requests(), self._fingerprints, self._folder
        ):
            self._add(path, message, on="key" if path[-1] == "columns" else "value")

    def _execution(self) -> None:
        for kind, asked in self.experiment.resources.items():
            if (
                self._known(("resources", kind), kind, KINDS, "kind of step")
                and asked.shard_rows is not None
                and kind != "generate"
            ):
                self._add(
                    ("resources", kind, "shard_rows"), "only `generate` steps are split into shards", on="key"
                )
            if asked.num_gpus is not None and asked.num_gpus > 1 and asked.num_gpus % 1:
                self._add(
                    ("resources", kind, "num_gpus"),
                    f"found `{asked.num_gpus:g}`; more than one GPU are whole ones",
                )


def _asked(method: Sft | Dpo) -> tuple[object, ...]:
    """How a method's questions are put."""
    return method.prompt, method.num_fewshot, method.chat_template_kwargs
