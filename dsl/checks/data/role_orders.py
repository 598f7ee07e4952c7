"""Check that conversations ask and answer in turn: a text prompt has no place for others."""

from collections.abc import Iterator, Sequence

from dsl.checks.context import Context
from dsl.checks.data.read import ReadRows
from dsl.checks.data.rows import first_ten
from dsl.checks.fault import Fault
from dsl.data.records import Example
from dsl.methods import Recorded
from dsl.values import Language, Name


def role_order_faults(context: Context) -> Iterator[Fault]:
    """Refuse rows of other orders where a text prompt is made of them; of chats, warn that templates may."""
    texts = dict.fromkeys(_in_text_prompts(context))
    for dataset, languages in context.data.items():
        for language, read in languages.items():
            rows = (read.rows or ()) if isinstance(read, ReadRows) else ()
            found = [row for row in rows if not _is_in_turn(row)]
            if not found:
                continue
            why = (
                f"in `{language}` {len(found)} of {len(rows)} rows of `{dataset}` do not ask and"
                f" answer in turn: {first_ten(row.item for row in found)}. {_order(found[0])}"
            )
            methods = [method for method, *place in texts if place == [dataset, language]]
            for method in methods:
                yield Fault(
                    ("methods", method),
                    f"{why}. A text prompt puts one answer below each question and has no place for these:"
                    " leave them out of the file; a chat prompt may take them",
                    on="key",
                )
            if not methods:
                yield Fault(
                    ("data", dataset, "columns"), f"{why}. Many chat templates refuse such", "warning", "key"
                )


def _in_text_prompts(context: Context) -> Iterator[tuple[Name, Name, Language]]:
    """Yield (method, data set, language) of what text prompts are made of."""
    e = context.experiment
    is_text = {
        name: getattr(method, "prompt", "chat") != "chat" and not isinstance(method, Recorded)
        for name, method in e.methods.items()
    }
    for request, method in context.requests:
        if is_text[method]:
            yield method, request.dataset, request.language
    for method, used in context.needs.used.items():
        if is_text.get(method):
            yield from ((method, dataset, one) for dataset, languages in used.items() for one in languages)


def _is_in_turn(row: Example) -> bool:
    if not row.turns:  # of most rows
        return True
    roles = _roles(row)
    return roles == ["user", "assistant"] * (len(roles) // 2)


def _roles(row: Example) -> Sequence[str]:
    return [one.role for one in row.turns if one.role != "system"]


def _order(row: Example) -> str:
    """Say what stands before a question."""
    return f"Before the last question of {row.item} the turns are {', '.join(_roles(row)[:6])}"
