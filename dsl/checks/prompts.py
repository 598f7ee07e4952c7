"""Checks of the prompt texts that methods ask with."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import get_args

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.data.prompt_text import PromptTemplate, parse_prompt_text
from dsl.data.regular_files import read_regular
from dsl.data.yaml_values import read_value
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
        if getattr(method, "system", False):
            prompt = context.experiment.prompt or "fenced"
        if prompt in get_args(Shipped):
            asks_shipped.update(languages)
        if getattr(method, "prompt", "chat") != "chat" and getattr(method, "chat_template_kwargs", None):
            yield Fault(
                ("methods", name, "chat_template_kwargs"),
                "there is no chat template in a text prompt",
                on="key",
            )
        shown_in: Language | None = getattr(method, "demonstrations_language", None)
        if isinstance(prompt, PromptPath):
            for language in dict.fromkeys((*languages, *((shown_in,) if shown_in else ()))):
                yield from _file(context, ("methods", name), method, prompt, language)
        elif shown_in is not None and shown_in not in (*context.experiment.languages, *shipped):
            yield _lacking(("methods", name, "demonstrations_language"), shown_in, shipped)
    for i, language in enumerate(context.experiment.languages):
        if language in asks_shipped and language not in shipped:
            yield _lacking(("languages", i), language, shipped)


def prompt_file(prompt: object, language: Language, folder: FilePath) -> FilePath | None:
    """The file of a method's prompt text in one language; None where it asks through a chat template.

    Args:
        prompt: The method's setting.
        folder: Relative paths start here.
    """
    if isinstance(prompt, PromptPath):
        return prompt.of(language, folder)
    return PROMPT_TEXTS / f"{language}.yaml" if prompt in get_args(Shipped) else None


def prompt_text(file: FilePath | None) -> PromptTemplate | None:
    """A prompt text; None where it cannot be read, which its own check tells."""
    try:
        return None if file is None else parse_prompt_text(read_regular(file).decode(), file)
    except (UnicodeDecodeError, DataError):
        return None


def _lacking(path: Path, language: Language, shipped: tuple[Language, ...]) -> Fault:
    return Fault(
        path,
        f"no prompt text for `{language}` ships with xp; there are: {', '.join(shipped)}."
        f" `xp init --languages {language}` writes a file to fill in; name it by `prompt: {{file: …}}`",
    )


def _file(
    context: Context, path: Path, method: MethodBase, prompt: PromptPath, language: Language
) -> Iterator[Fault]:
    at = ("prompt", "file") if prompt == context.experiment.prompt else (*path, "prompt", "file")
    file = prompt.of(language, context.folder)
    try:
        text = read_value(file, PromptTemplate, "a prompt text")
    except DataError as error:
        yield Fault(at, str(error))
    else:
        if text.language != language and "{language}" in prompt.file:
            yield Fault(at, f"{file}: its `language` is `{text.language}`, not `{language}`")
        if getattr(method, "system", False) and text.system is None:
            yield Fault((*path, "system"), f"{file} has no `system` message")
        asked: int = getattr(method, "num_fewshot", 0)
        if getattr(method, "demonstrations", None) is None and asked > len(text.demonstrations):
            yield Fault(
                (*path, "num_fewshot"),
                f"{file} has {len(text.demonstrations)} worked examples, not {asked}",
            )
