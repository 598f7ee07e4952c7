"""Runs as studies: for each task a short spec, its questions, and each model's answers with their scores.

Data files are JSON lines that a person can read. What none of them holds is listed, in the spec too.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pydantic import TypeAdapter, ValidationError

from dsl.errors import ArgumentError
from dsl.messages import REDACTED, escaped, listed, one_line, scrub, secrets_in
from dsl.values import Language
from xp.imports.contract import Answer, Run, Scale, is_unicode

UNDETERMINED = "und"
"""BCP 47's code for a language that is not known: no form of results names one."""

_LANGUAGE: TypeAdapter[str] = TypeAdapter(Language)
_LONGEST_SETTING = 300
_YAML_WORDS = {"yes", "no", "on", "off", "true", "false", "null"}


@dataclass(frozen=True)
class ImportedStudy:
    """One task's study, as the files that it is made of."""

    name: str
    files: Mapping[str, str]
    """Path below the folder -> text; the spec first."""
    n_answers: int
    left_out: tuple[str, ...]
    """Things that could not be carried over, in sentences."""


@dataclass(frozen=True)
class _Cell:
    """A run with its place in the study."""

    run: Run
    language: str
    model: str
    method: str

    @property
    def file(self) -> str:
        return f"{self.method}/{self.language}/{self.model}.jsonl"


def studies_of(runs: Sequence[Run], tool: str, languages: Sequence[str]) -> Iterator[ImportedStudy]:
    """Bring the runs of each task together.

    Args:
        languages: A language for tasks whose file names none, or patterns of names of tasks with `{language}`
            in them: tasks of one pattern are one data set in several languages.

    Raises:
        ArgumentError: a language is none, or two runs of a task are about different questions.
    """
    if wrong := [one for one in languages if "{language}" not in one and not _is_language(one)]:
        raise ArgumentError(
            f"`{wrong[0]}` is no language code (as `en` or `pt-BR`), and no pattern of task names (as"
            " `mgsm_{language}`)"
        )
    for pattern in (one for one in languages if "{language}" in one):
        if not any(_in_pattern(pattern, run.task) for run in runs):
            tasks_found = listed(sorted({run.task for run in runs}), 6)
            raise ArgumentError(f"`{pattern}` is the name of no task here. There are: {tasks_found}")
    tasks: dict[str, list[tuple[Run, str]]] = defaultdict(list)
    for run in runs:
        task, language = _placed(run, languages)
        tasks[task].append((_of_whole_characters(run), language))
    names = _names(tasks)
    for task, found in tasks.items():
        yield _study(names[task], tool, _cells(found))


def _placed(run: Run, languages: Sequence[str]) -> tuple[str, str]:
    """Return the data set of a run, and its language: by a pattern, by its file, or as said of all."""
    task = run.task
    for pattern in languages:
        if (code := _in_pattern(pattern, task)) is not None:
            return pattern.replace("{language}", "", 1).strip("_-. ") or task, code
    if _is_language(named := run.language.replace("_", "-")):
        return task, named
    return task, next((one for one in languages if "{language}" not in one), UNDETERMINED)


def _in_pattern(pattern: str, task: str) -> str | None:
    """Return the language that a task's name has in the place of `{language}`."""
    before, placeholder, after = pattern.partition("{language}")
    found = re.fullmatch(rf"{re.escape(before)}([A-Za-z]{{2,3}}(?:[_-]\w+)*){re.escape(after)}", task)
    code = found[1].replace("_", "-") if placeholder and found else ""
    return code if _is_language(code) else None


def _is_language(code: str) -> bool:
    try:
        return bool(_LANGUAGE.validate_python(code))
    except ValidationError:
        return False


def _of_whole_characters(run: Run) -> Run:
    """Leave out questions and accepted answers with half a character, which no file of text holds."""
    left_out = Counter(run.left_out)
    answers: list[Answer] = []
    for answer in run.answers:
        accepted = tuple(filter(is_unicode, answer.answers))
        left_out["accepted answers with half a character"] += len(answer.answers) - len(accepted)
        if is_unicode(answer.instruction):
            answers.append(answer if accepted == answer.answers else replace(answer, answers=accepted))
        else:
            left_out["questions with half a character"] += 1
    if not answers:
        raise ArgumentError(
            f"{one_line(run.source)}: no question of it is whole text: there is nothing to import"
        )
    return replace(run, answers=tuple(answers), left_out=left_out)


def _cells(found: Sequence[tuple[Run, str]]) -> list[_Cell]:
    """Give each run a method of its own where a model has several in a language."""
    models = _names(run.model for run, _ in found)
    keys = [(language, run.model, run.variant or "recorded") for run, language in found]
    n_of, seen, labels = Counter(keys), Counter[tuple[str, str, str]](), list[str]()
    for key in keys:
        seen[key] += 1
        labels.append(key[2] if n_of[key] == 1 else f"{key[2]}\n{seen[key]}")
    methods = _names(labels)
    return [
        _Cell(run, language, models[run.model], methods[label])
        for (run, language), label in zip(found, labels, strict=True)
    ]


def _study(name: str, tool: str, cells: Sequence[_Cell]) -> ImportedStudy:
    scores = _names((score for cell in cells for a in cell.run.answers for score in a.scores), dots=False)
    left_out = Counter[str]()
    for cell in cells:
        left_out.update(cell.run.left_out)
    files: dict[str, str] = {}
    for language in dict.fromkeys(cell.language for cell in cells):
        of_language = [cell for cell in cells if cell.language == language]
        questions = _questions(name, of_language)
        files[f"{name}/questions_{language}.jsonl"] = _lines(map(_question_row, questions.values()))
        for cell in of_language:
            rows = [_answer_row(answer, questions[answer.item], scores) for answer in cell.run.answers]
            left_out["prompts that differ from the question shown: each stands beside its answer"] += sum(
                "prompt" in row for row in rows
            )
            files[f"{name}/{cell.file}"] = _lines(rows)
    told = tuple(f"{n} × {what}" for what, n in left_out.items() if n)
    spec = _spec(name, tool, cells, scores, told)
    return ImportedStudy(
        name, {f"{name}.yaml": spec, **files}, sum(len(cell.run.answers) for cell in cells), told
    )


def _questions(name: str, cells: Sequence[_Cell]) -> dict[str, Answer]:
    """Item -> the first answer to it, which holds the question.

    Raises:
        ArgumentError: another run has another question under the same item.
    """
    found: dict[str, tuple[Answer, Run]] = {}
    for cell in cells:
        for answer in cell.run.answers:
            first, run = found.setdefault(answer.item, (answer, cell.run))
            if (first.answers, first.of_question.get("doc")) != (
                answer.answers,
                answer.of_question.get("doc"),
            ):
                raise ArgumentError(
                    f"item `{one_line(answer.item)}` of `{name}` is another question in {cell.run.source}"
                    f" than in {run.source}: these are two versions of the task. Import them apart, each"
                    " with an `--out` of its own"
                )
    return {item: answer for item, (answer, _) in found.items()}


def _question_row(answer: Answer) -> dict[str, object]:
    return {
        "item": answer.item,
        "instruction": answer.instruction,
        "answers": answer.answers,
        **answer.of_question,
    }


def _answer_row(answer: Answer, question: Answer, names: Mapping[str, str]) -> dict[str, object]:
    own = {} if answer.instruction == question.instruction else {"prompt": answer.instruction}
    return {
        "item": answer.item,
        **own,
        "response": answer.response,
        "scores": {name: answer.scores.get(score) for score, name in names.items()},
        **answer.of_answer,
    }


def _lines(rows: Iterable[Mapping[str, object]]) -> str:
    return "".join(_json(row) + "\n" for row in rows)


def _json(value: object) -> str:
    """JSON as a person reads it; half of a surrogate pair, which UTF-8 lacks, keeps its escape."""
    text = json.dumps(value, ensure_ascii=False)
    return text if is_unicode(text) else json.dumps(value)


# ---------------------------------------------------------------- the spec


def _spec(
    name: str, tool: str, cells: Sequence[_Cell], scores: Mapping[str, str], left_out: Sequence[str]
) -> str:
    languages = list(dict.fromkeys(cell.language for cell in cells))
    models = {cell.model: cell.run for cell in cells}
    methods = list(dict.fromkeys(cell.method for cell in cells))
    scales = {score: scale for score in scores if (scale := _scale(score, cells)) is not None}
    lines = [
        f"# Answers and scores of {tool}, imported by `xp import`. An `instruction` is the prompt as it was",
        f"# sent; further fields of questions and answers stand beside them in {name}/.",
        f"experiment: {_key(name)}",
        "caveats:",
        *(f"  - {_json(one)}" for one in _caveats(tool, cells, scores, left_out)),
        f"languages: {_json(languages)}",
        "",
        "models:",
    ]
    for model, run in models.items():
        size = "{}" if run.parameters is None else f"{{parameters: {run.parameters}}}"
        lines.append(f"  {_key(model)}: {size}  # {_comment(run.model)}")
    lines += [
        "",
        "data:",
        f"  {_key(name)}:",
        f"    rows: {{path: {_json(f'{name}/questions_{{language}}.jsonl')}}}",
        "    columns: {item: item, instruction: instruction, answers: answers}",
        f"evaluate: [{_key(name)}]",
        "",
        "methods:",
    ]
    for method in methods:
        path = f"{name}/{method}/{{language}}/{{model}}.jsonl"
        lines += _settings_of([cell for cell in cells if cell.method == method])
        lines += [
            f"  {_key(method)}:",
            "    method: recorded",
            f"    answers: {{path: {_json(path)}}}",
            "    columns: {item: item, response: response}",
        ]
    lines += _excluded(cells, languages, list(models), methods)
    lines += ["", "judges:"] if scores else []
    for score, judge in scores.items():
        lines += [
            f"  {_key(judge)}:",
            "    judge: recorded",
            f"    verdicts: {{path: {_json(f'{name}/{{method}}/{{language}}/{{model}}.jsonl')}}}",
            f"    columns: {{item: item, score: {_key(f'scores.{judge}')}}}",
        ]
        if score in scales:
            low, high = scales[score]
            lines.append(f"    score_range: [{low:g}, {high:g}]")
        if all(score in cell.run.by_rule for cell in cells if _has(cell, score)):
            lines.append("    rule: true")
    return "\n".join(lines) + "\n"


def _has(cell: _Cell, score: str) -> bool:
    return any(score in answer.scores for answer in cell.run.answers)


def _caveats(
    tool: str, cells: Sequence[_Cell], scores: Mapping[str, str], left_out: Sequence[str]
) -> Iterator[str]:
    versions = sorted({cell.run.version for cell in cells if cell.run.version})
    with_version = f"{tool} {', '.join(versions)}" if versions else tool
    yield f"Answers and scores were recorded by {with_version} and not made here."
    if any(cell.language == UNDETERMINED for cell in cells):
        yield "The language of the questions is not known."
    lower = {score for cell in cells for score in cell.run.lower_is_better}
    for score, judge in scores.items():
        if score.split(" ")[0] in lower or score in lower:
            yield f"Of `{judge}`, a lower score is better; tables read every score as better when higher."
    settings = [_by_path(cell.run.settings) for cell in cells]
    for key in dict.fromkeys(key for given in settings for key in given):
        values = {_setting(key.rpartition(".")[2], given.get(key)) for given in settings}
        if len(values) > 1 and key not in _OF_EACH_RUN:
            yield f"Runs differ in `{key}`: {', '.join(sorted(values))}."
    if left_out:
        yield f"Not carried over: {'; '.join(left_out)}."


_OF_EACH_RUN = ("created", "evaluation_id", "model_args", "test_split", "language", "task_args.language")
"""Settings that runs of one comparison differ in anyway."""


def _by_path(settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings with those inside of a mapping each under its own path."""
    found: dict[str, object] = {}
    for key, value in settings.items():
        if key != "model_args" and isinstance(value, Mapping):
            inner = cast("Mapping[str, object]", value)
            found |= {f"{key}.{name}": one for name, one in inner.items()}
        else:
            found[key] = value
    return found


def _settings_of(cells: Sequence[_Cell]) -> Iterator[str]:
    for cell in cells:
        given = [f"{key}: {_setting(key, value)}" for key, value in cell.run.settings.items()]
        yield f"  # {_comment(cell.run.model)}, {cell.language}, from {_comment(cell.run.source)}"
        yield from (f"  #   {_comment(line)}" for line in given)


def _setting(key: str, value: object) -> str:
    """A setting in a line, without what may be a secret."""
    if next(secrets_in({key: value}), None) is not None:
        return REDACTED
    text = scrub(value if isinstance(value, str) else _json(value))
    return text if len(text) <= _LONGEST_SETTING else text[: _LONGEST_SETTING - 1] + "…"


def _comment(text: str) -> str:
    return escaped(one_line(text))


def _excluded(
    cells: Sequence[_Cell], languages: Sequence[str], models: Sequence[str], methods: Sequence[str]
) -> list[str]:
    """Leave out the cells that no run is of."""
    there = {(cell.language, cell.model, cell.method) for cell in cells}
    lines = [
        f"  - {{language: {_json(language)}, model: {_key(model)}, method: {_key(method)}}}"
        for language in languages
        for model in models
        for method in methods
        if (language, model, method) not in there
    ]
    return ["exclude:  # no file has these", *lines] if lines else []


def _scale(score: str, cells: Sequence[_Cell]) -> Scale | None:
    """Return the lowest and the highest score there is: as files say, or 0 and 1 where no other was given."""
    said = {cell.run.scales[score] for cell in cells if score in cell.run.scales}
    given = {a.scores[score] for cell in cells for a in cell.run.answers if a.scores.get(score) is not None}
    if len(said) == 1:
        return said.pop()
    return (0.0, 1.0) if given and given <= {0.0, 1.0} else None


def _key(name: str) -> str:
    """A name as a key of YAML, in quotes where it could be read as something else."""
    is_plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_.\-]+", name) and name.lower() not in _YAML_WORDS
    return name if is_plain else _json(name)


def _names(given: Iterable[str], *, dots: bool = True) -> dict[str, str]:
    """Names that a spec may use, each another: `org/model` becomes `org__model`."""
    found: dict[str, str] = {}
    for text in dict.fromkeys(given):
        kept = re.sub(rf"[^A-Za-z0-9_{'.' if dots else ''}\-]+", "_", text.replace("/", "__"))
        name = base = kept.lstrip("_.-")[:70].rstrip("_.-") or "unnamed"
        number = 1
        while name in found.values():
            number += 1
            name = f"{base}_{number}"
        found[text] = name
    return found
