"""Two studies beside each other as text."""

import json
from collections.abc import Iterator

from dsl.messages import dotted, one_line, shown, written
from dsl.yaml.document import Plain
from warehouse.compare import Answers, Mean, Means
from xp.compare import Compared, Setting
from xp.render.words import counted


def compared_as_text(compared: Compared) -> str:
    """Changes of the spec, of answers and of means, from the old study to the new one."""
    lines = [f"{compared.old} → {compared.new}", *_settings(compared), *_answers(compared)]
    return "\n".join([*lines, *_means(compared)])


def _settings(compared: Compared) -> Iterator[str]:
    if not compared.settings:
        yield "Spec: the same settings."
    else:
        yield f"Spec: {counted(len(compared.settings), 'setting')} changed."
    for setting in compared.settings:
        old, new = _value(setting, setting.old), _value(setting, setting.new)
        yield f"  {_place(setting)}: {dotted(setting.path)}: {old} → {new}"
    yield (
        f"Steps: {compared.n_steps} the same, {compared.n_only_old} only in {compared.old},"
        f" {compared.n_only_new} only in {compared.new}."
    )
    for name, n in compared.unfinished:
        yield f"  {counted(n, 'step')} of {name} without a result: what it would have given is missing below."


def _place(setting: Setting) -> str:
    mark = setting.place
    return one_line(mark.file) + (f":{mark.line}:{mark.column}" if mark.line else "")


def _value(setting: Setting, value: Plain) -> str:
    if value is None:
        return "not set"
    if isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(v, list | dict) for v in value)
    ):
        return one_line(shown(value, setting.path))  # in outline, as there may be secrets below
    return one_line(written(json.dumps(value, ensure_ascii=False), setting.path))


def _answers(compared: Compared) -> Iterator[str]:
    rows = compared.answers
    n_unlike, n_prompts = sum(row.n_unlike for row in rows), sum(row.n_other_prompts for row in rows)
    to_others = f" ({n_prompts} of them to other prompts)" if n_unlike else ""
    yield (
        f"Answers: {sum(row.n_alike for row in rows)} the same, {n_unlike} differ{to_others},"
        f" {sum(row.n_only_old for row in rows)} only in {compared.old},"
        f" {sum(row.n_only_new for row in rows)} only in {compared.new}."
    )
    for row in rows:
        parts = [f"{row.n_unlike} of {row.n_alike + row.n_unlike} differ"] if row.n_unlike else []
        parts += [f"{n} only in {side}" for n, side in _alone(row, compared) if n]
        if parts:
            items = f": {', '.join(map(one_line, row.items))}" if row.items else ""
            more = ", …" if row.n_unlike > len(row.items) else ""
            yield f"  {_where(row)}: {', '.join(parts)}{items}{more if row.items else ''}"


def _alone(row: Answers, compared: Compared) -> tuple[tuple[int, str], tuple[int, str]]:
    return (row.n_only_old, compared.old), (row.n_only_new, compared.new)


def _means(compared: Compared) -> Iterator[str]:
    both = [row for row in compared.means if row.old.n and row.new.n]
    yield f"Means: {counted(len(both), 'mean')} of both differ" + (
        ". Differences are over the items that both scored, each with its own 95% interval, uncorrected."
        if both
        else "."
    )
    for row in both:
        difference = f"; difference {_mean(row.difference, '+.3g')}" if row.difference.n else ""
        yield f"  {_where(row)}, {one_line(row.measure)}: {_mean(row.old)} → {_mean(row.new)}{difference}"


def _mean(mean: Mean, form: str = ".3g") -> str:
    if mean.value is None:
        return f"no score (n {mean.n})"
    if mean.low is None or mean.high is None:
        return f"{mean.value:{form}} (n {mean.n}, no interval)"
    return f"{mean.value:{form}} [{mean.low:{form}}, {mean.high:{form}}] (n {mean.n})"


def _where(row: Answers | Means) -> str:
    tuned = f" on {row.train_languages}" if row.train_languages else ""
    return f"{row.method}{tuned}, {row.model}, {row.dataset} {row.language}"
