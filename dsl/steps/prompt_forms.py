"""Prompt forms: plain text to continue in URIAL's form, or messages for a chat template."""

from typing import Annotated, Literal

from pydantic import Field

from dsl.values import Language, Sha256, StepId, TemplateArguments, Value


class PromptText(Value):
    """A language's prompt text: one that ships with xp (`name`) or someone's own file."""

    language: Language
    path: str | None = None
    """Someone's own file; None is the text that ships with xp."""
    sha256: Sha256
    """Digest of what someone's own file holds (`dsl.data.yaml_values.value_sha256`), or of the bytes of one
    that ships."""


class Demonstrations(Value):
    """Worked examples taken from a data set instead of the prompt text."""

    pool: StepId
    """A data step in the demonstrations' language, whose rows have a response."""
    select: Literal["fixed", "random", "bm25"] = "fixed"
    keep_out: tuple[StepId, ...] = ()
    """The evaluated examples in every language: a pool row with an instruction of the asked item, in any
    language, is never shown."""


class TextPrompt(Value):
    """Plain text to continue, in URIAL's form."""

    form: Literal["text"] = "text"
    text: PromptText
    """Preamble, tags and stop strings, in the language that is asked."""
    num_fewshot: int = Field(default=3, ge=0)
    preamble: bool = True
    demonstrations_text: PromptText | None = None
    """The text whose worked examples are shown, where it is another language's."""
    demonstrations: Demonstrations | None = None
    ends_at_fence: bool = True
    """The fence that closes an answer stops it, besides the text's stop strings."""


class ChatPrompt(Value):
    """Messages for the tokenizer's chat template, or for the project's own where the tokenizer has none."""

    form: Literal["chat"] = "chat"
    system: PromptText | None = None
    """A prompt text whose system message goes first."""
    template: Sha256
    """Digest of the project's own template."""
    chat_template_kwargs: TemplateArguments = ()
    """Arguments of the model's template, as `enable_thinking`."""


PromptForm = Annotated[TextPrompt | ChatPrompt, Field(discriminator="form")]
