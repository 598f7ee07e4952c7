"""Checks of the prompt texts that methods ask with."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import get_args

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.data.prompt_text import parse_prompt_text
from dsl.data.regular_files import read_regular
from dsl.errors import DataError
from dsl.messages import Path
from dsl.methods.base import MethodBase, Shipped
from dsl.methods.parts import PromptPath
from dsl.values import Language


def prompt_faults(context: Context) -> Iterator[Fault]:
    """Check that every language has its prompt text, with as many worked examples as are shown."""
    shipped = tuple(sorted(p.stem for p in PROMPT_TEXTS.glob("*.yaml")))
    asks_shipped: set[Language] = set()
    for name, method in context.experiment.methods.items():
        languages = context.needs.prompts.get(name, ())
        prompt: object = getattr(method, "prompt", None)
        if prompt in get_args(Shipped) or getattr(method, "system", False):
            asks_shipped.update(languages)
        if prompt not in (None, "chat") and getattr(method, "chat_template_kwargs", None):
            yield Fault(
                ("methods", name, "chat_template_kwargs"),
                "there is no chat template in a text prompt",
                on="key",
            )
        if isinstance(prompt, PromptPath):
            for language in languages:
                file = context.folder / prompt.file.replace("{language}", language)
                yield from _file(("methods", name), method, file)
    for i, language in enumerate(context.experiment.languages):
        if language in asks_shipped and language not in shipped:
            yield Fault(
                ("languages", i),
                f"no prompt text for `{language}` ships with xp; there are: {', '.join(shipped)}. "
                f"Add runners/prompting/prompt_texts/{language}.yaml or use `prompt: {{file: …}}`",
            )


def _file(path: Path, method: MethodBase, file: FilePath) -> Iterator[Fault]:
    try:
        text = parse_prompt_text(read_regular(file).decode(), file)
    except UnicodeDecodeError:
        yield Fault((*path, "prompt", "file"), f"{file}: not UTF-8")
    except DataError as error:
        yield Fault((*path, "prompt", "file"), str(error))
    else:
        asked: int = getattr(method, "num_fewshot", 0)
        if getattr(method, "demonstrations", None) is None and asked > len(text.demonstrations):
            yield Fault(
                (*path, "num_fewshot"),
                f"{file} has {len(text.demonstrations)} worked examples, not {asked}",
            )
