"""Check that what a study asks is not among what its methods learn from or show (contamination).

Items are compared by id within one data set, and by their questions in every language everywhere; sets of
other languages whose ids agree are told. A question behind others is the same only with these; one that is
found by itself is told.
Worked examples that are drawn from a data set are left to the prompt: it never shows the asked item.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path as FilePath

from dsl.checks.context import Context
from dsl.checks.data.read import ReadRows
from dsl.checks.data.rows import first_ten
from dsl.checks.fault import Fault
from dsl.checks.prompts import prompt_file, prompt_text
from dsl.data.normalise import N_FIRST, asked_in, beginning, normalise, questions, written_questions
from dsl.data.questions_within import Wanted, between_labels
from dsl.data.records import Example
from dsl.data.source import RowNumber, Selector
from dsl.methods.base import MethodBase
from dsl.methods.tuning import TuningMethod
from dsl.values import Language, Name

NEARLY_ALL = 0.9
"""Share of items whose ids two sets have in common, from which on one may be a translation of the other."""


@dataclass(frozen=True)
class _Asked:
    """Questions of an item, in every language that is asked."""

    whole: set[str] = field(default_factory=set[str])
    """Each with those before it."""
    parts: set[str] = field(default_factory=set[str])
    """Those of conversations with more than one, by themselves."""


class _Learnt:
    """Questions of training rows, in no order.

    They are found by how they begin, and normalised where an asked one begins so: of all rows hardly any.
    An asked question by itself is found within a longer one, too: behind a label, or as lines of its own.
    """

    def __init__(self, rows: Iterable[Example], wanted: Wanted) -> None:
        self._rows: dict[str, list[Example]] = {}
        self._texts: dict[str, frozenset[str]] = {}
        self._within = set[str]()
        for row in rows:
            for text in written_questions(row):
                self._rows.setdefault(beginning(text), []).append(row)
                self._within.update(wanted.within(text))

    def __contains__(self, text: object) -> bool:
        """Test whether a row has this normalised question, or these, each on a line."""
        if text in self._within:
            return True
        begins = str(text).partition("\n")[0][:N_FIRST]
        if begins not in self._texts:
            self._texts[begins] = frozenset[str]().union(*map(questions, self._rows.get(begins, ())))
        return text in self._texts[begins]


class _LearntSets:
    """Questions of the rows of data sets, those of each read once."""

    def __init__(self, context: Context, wanted: Wanted) -> None:
        self._context, self._wanted = context, wanted
        self._known: dict[tuple[Name, Language], _Learnt] = {}

    def of(self, trained: Mapping[Name, Iterable[Language]]) -> list[_Learnt]:
        """Return the questions of data sets in these languages."""
        places = [(dataset, language) for dataset, languages in trained.items() for language in languages]
        for place in places:
            if place not in self._known:
                self._known[place] = _Learnt(_rows(self._context, *place), self._wanted)
        return [self._known[place] for place in places]


def overlap_faults(context: Context) -> Iterator[Fault]:
    """Refuse evaluated items among training rows, preference pairs and worked examples of prompt texts.

    With `allow_overlap: true` of the evaluated data set they are a note, which the report shows.
    """
    asked = {name: _asked(context, name) for name in context.needs.asked}
    wanted = Wanted({text for items in asked.values() for said in items.values() for text in said.whole})
    learnt = _LearntSets(context, wanted)
    queries = cache(_queries)  # most methods show the same texts
    for name in context.needs.prompts:
        method = context.experiment.methods[name]
        for dataset, languages in _trained_on(context, name, method).items():
            rows = {language: _rows(context, dataset, language) for language in languages}
            texts = learnt.of({dataset: languages})
            ids = {row.item for found in rows.values() for row in found}
            known = {one: ids for one in asked if _is_same(context, one, dataset)}
            is_chosen_on = getattr(method, "validation", None) == dataset
            where = (
                f"the rows of `{dataset}` that `{name}` is {'validated' if is_chosen_on else 'trained'} on"
            )
            yield from _faults(context, asked, name, where, texts, known)
            yield from _translations(context, name, dataset, rows, where)
        yield from _validation_faults(context, name, method, learnt)
        if shown := _shown(context, name, method, queries):
            yield from _faults(context, asked, name, f"the worked examples that `{name}` shows", [shown], {})


def _faults(
    context: Context,
    asked: Mapping[Name, Mapping[str, _Asked]],
    method: Name,
    where: str,
    texts: Sequence[Container[str]],
    ids: Mapping[Name, set[str]],
) -> Iterator[Fault]:
    for name, items in asked.items():
        known = ids.get(name, set())
        among = [item for item, said in items.items() if item in known or _has_any(texts, said.whole)]
        parts = [i for i, said in items.items() if _has_any(texts, said.parts) and i not in {*among}]
        allowed = context.experiment.data[name].allow_overlap
        if among:
            n = f"{len(among)} of {len(items)} items of `{name}` are among {where}: {first_ten(among)}"
            if allowed:
                yield Fault(("methods", method), n, "note", on="key")
            else:
                way = f"write `allow_overlap: true` under `data.{name}`, and the report says so"
                yield Fault(("methods", method), f"{n}. Take them out of one of the two, or {way}", on="key")
        if parts:
            has = "have a question of their conversation by itself among"
            n = f"{len(parts)} of {len(items)} items of `{name}` {has} {where}: {first_ten(parts)}"
            yield _on(method, n, allowed, "")


def _has_any(texts: Sequence[Container[str]], wanted: Iterable[str]) -> bool:
    return any(text in one for text in wanted for one in texts)


def _validation_faults(
    context: Context, name: Name, method: MethodBase, learnt: _LearntSets
) -> Iterator[Fault]:
    """Refuse validation rows that are trained on, too, by the method or by the policy that it starts from.

    Which rows are held out is not known here: those that the policy has seen are warned of.
    """
    if not isinstance(method, TuningMethod) or method.validation is None:
        return
    seen: dict[Name, Sequence[_Learnt]] = {}
    for policy in method.starts_from:
        below = context.experiment.methods.get(policy)
        if isinstance(below, TuningMethod):
            used = _trained_on(context, policy, below)
            seen[policy] = learnt.of({one: of for one, of in used.items() if one != below.validation})
    if not isinstance(method.validation, str):
        for policy, texts in seen.items():
            yield from _seen_by_policy(context, name, policy, texts)
        return
    trained = {one: of for one, of in _trained_on(context, name, method).items() if one != method.validation}
    if not trained:
        why = f"`{method.validation}` is what it is trained on. Hold rows of it out: `{{rows: 0.1}}`"
        yield Fault(("methods", name, "validation"), why)
    seen = {name: learnt.of(trained), **seen}
    for language in _trained_on(context, name, method).get(method.validation, ()):
        rows = _rows(context, method.validation, language)
        for who, texts in seen.items():
            if among := [row.item for row in rows if _has_any(texts, ["\n".join(asked_in(row))])]:
                yield Fault(
                    ("methods", name, "validation"),
                    f"{len(among)} of {len(rows)} items of `{method.validation}` in `{language}` are among"
                    f" the rows that `{who}` is trained on: {first_ten(among)}. Take them out of one of the"
                    " two",
                )


def _seen_by_policy(context: Context, name: Name, policy: Name, texts: Sequence[_Learnt]) -> Iterator[Fault]:
    """Warn of pairs, some of them held out, whose question the policy is trained on."""
    for dataset, languages in context.needs.used.get(name, {}).items():
        rows = [row for language in languages for row in _rows(context, dataset, language)]
        seen = (row.item for row in rows if _has_any(texts, ["\n".join(asked_in(row))]))
        among = list(dict.fromkeys(seen))
        if among:
            yield Fault(
                ("methods", name, "validation"),
                f"{len(among)} of {len({row.item for row in rows})} items of `{dataset}`, of which some are"
                f" held out, are among the rows that `{policy}` is trained on: {first_ten(among)}. Validated"
                " on them, it starts from a model that has seen them",
                "warning",
            )


def _is_same(context: Context, asked: Name, other: Name) -> bool:
    """Test whether an id means the same question in both: their rows and ids come from one place."""
    one, two = context.experiment.data[asked], context.experiment.data[other]
    return one.parallel and one.rows == two.rows and one.columns.item == two.columns.item


def _translations(
    context: Context, method: Name, dataset: Name, rows: Mapping[Language, Sequence[Example]], where: str
) -> Iterator[Fault]:
    """Warn of an asked set whose ids are those of a set that is learnt in other languages: translations.

    In a language that both have, their texts tell.
    """
    other = context.experiment.data[dataset]
    for name, languages in context.needs.asked.items():
        asked = context.experiment.data[name]
        has_ids = all(one.parallel and _names_ids(one.columns.item) for one in (asked, other))
        if not has_ids or _is_same(context, name, dataset):
            continue
        items = {row.item for language in languages for row in _rows(context, name, language)}
        ids = {row.item for language, found in rows.items() if language not in languages for row in found}
        ids -= {row.item for language in languages for row in rows.get(language, ())}
        same = sorted(items & ids)
        # numbers that count rows are those of many a set
        n_like = max(len(items), len(ids)) if all(map(str.isdecimal, same)) else len(items)
        if not same or len(same) < NEARLY_ALL * n_like:
            continue
        told = (
            f"{len(same)} of {len(items)} items of `{name}` have the ids of rows in other languages among"
            f" {where}: {first_ten(same)}"
        )
        way = (
            ". If these are translations, take them out of one of the two, or write `allow_overlap: true`"
            f" under `data.{name}`, and the report says so. If they are other questions, write `parallel:"
            f" false` under `data.{dataset}`: its ids then pair with no others"
        )
        yield _on(method, told, asked.allow_overlap, way)


def _on(method: Name, told: str, is_allowed: bool, way: str) -> Fault:
    """A note on a method where overlap is allowed, else a warning with what to do."""
    if is_allowed:
        return Fault(("methods", method), told, "note", on="key")
    return Fault(("methods", method), told + way, "warning", on="key")


def _names_ids(item: Selector | None) -> bool:
    return item is not None and not isinstance(item, RowNumber)


def _asked(context: Context, name: Name) -> dict[str, _Asked]:
    """Item -> its questions."""
    found: dict[str, _Asked] = defaultdict(_Asked)
    for language in context.needs.asked[name]:
        for row in _rows(context, name, language):
            *before, last = asked_in(row)
            if last:
                found[row.item].whole.add("\n".join([*before, last]))
            if last and not before and (inner := between_labels(row.instruction)):
                found[row.item].whole.add(normalise(inner))
            if before:
                found[row.item].parts.update(one for one in (*before, last) if one)
    return found


def _rows(context: Context, name: Name, language: Language) -> tuple[Example, ...]:
    read = context.data.get(name, {}).get(language)
    return tuple(chain(read.rows or (), *read.later)) if isinstance(read, ReadRows) else ()


def _trained_on(context: Context, name: Name, method: MethodBase) -> Mapping[Name, tuple[Language, ...]]:
    if not isinstance(method, TuningMethod):
        return {}
    used = context.needs.used.get(name, {})
    return {one: languages for one, languages in used.items() if one in context.experiment.data}


def _shown(
    context: Context, name: Name, method: MethodBase, queries: Callable[[FilePath | None], Sequence[str]]
) -> frozenset[str]:
    """Questions of the worked examples in a method's prompt texts, as far as these can be read."""
    prompt: object = getattr(method, "prompt", None)
    n_shown: int = getattr(method, "num_fewshot", 0)
    if getattr(method, "demonstrations", None) is not None:
        return frozenset()
    language: Language | None = getattr(method, "demonstrations_language", None)
    files = [
        prompt_file(prompt, one, context.folder)
        for one in ((language,) if language else context.needs.prompts[name])
    ]
    return frozenset(query for file in files for query in queries(file)[:n_shown])


def _queries(file: FilePath | None) -> list[str]:
    text = prompt_text(file)
    return [] if text is None else [normalise(one.query) for one in text.demonstrations]
