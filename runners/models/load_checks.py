"""Consistency checks of a model and its tokenizer when they are loaded.

Published checkpoints are not always consistent: tokens were added without resizing the embedding, a chat
template ends its turns with a token that no setting names as EOS, a generation configuration cannot be saved
again. Each fault is corrected here and the remedy recorded, or an error says which numbers disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from dsl.errors import DataError
from runners.prompting import tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")
"""Names of the number of positions in configurations."""

_MORE_THAN_MESSAGES = frozenset({"tool_use", "rag"})
"""Names of chat templates for conversations that hold tools or documents."""


@dataclass(frozen=True)
class Checked:
    """Result of `check`; the fields are those of `runners.models.loading.Loaded`."""

    eos_ids: frozenset[int]
    pad_id: int
    no_chat: str | None
    remedies: tuple[str, ...]


def check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Checked:
    """Check tokenizer, embedding and chat template, and correct both model and tokenizer where possible.

    Raises DataError where the tokenizer begins every text with a token that the embedding does not have.
    """
    remedies = [*_drop_unsaveable(model), *_choose_template(tokenizer)]
    if tokens.uses_bos(tokenizer) and (
        why := missing_embeddings(model, tokenizer, [cast("int", tokenizer.bos_token_id)])
    ):
        raise DataError(why)
    no_chat, turn_end = _chat(model, tokenizer)
    eos_ids = eos_ids_of(model, tokenizer)
    if turn_end is not None and turn_end not in eos_ids:
        eos_ids |= {turn_end}
        named = tokenizer.convert_ids_to_tokens(turn_end)
        remedies.append(
            f"the chat template ends a turn with `{named}`, which neither the tokenizer nor the generation"
            " settings name as an end: answers end there, too"
        )
    own_pad = _one(tokenizer.pad_token_id)
    pad_id = _choose_pad(tokenizer, eos_ids, n_embeddings(model))
    if own_pad is not None and own_pad >= n_embeddings(model):
        remedies.append(
            f"the padding token's id is {own_pad} and the embedding ends at {n_embeddings(model) - 1}:"
            f" {pad_id} pads instead"
        )
    return Checked(eos_ids, pad_id, no_chat, tuple(remedies))


def n_embeddings(model: PreTrainedModel) -> int:
    """Return the number of tokens in a model's embedding."""
    embedding: Any = model.get_input_embeddings()
    return embedding.weight.shape[0]


def text_config(model: PreTrainedModel) -> Any:
    """Return the configuration of a model's decoder, which may be a part of the model's own."""
    config: Any = model.config
    return config.get_text_config(decoder=True)


def n_positions(model: PreTrainedModel) -> int | None:
    """Return the most tokens of prompt and answer together; None where the configuration sets no limit."""
    config = text_config(model)
    return next((found for name in _POSITIONS if (found := getattr(config, name, None))), None)


def missing_embeddings(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, token_ids: Iterable[int]
) -> str | None:
    """Return a sentence naming the tokens for which a model has no embedding; None where it has all."""
    missing = sorted({token for token in token_ids if token >= n_embeddings(model)})
    if not missing:
        return None
    named = ", ".join(f"`{tokenizer.convert_ids_to_tokens(token)}` ({token})" for token in missing[:3])
    return (
        f"the model has no embedding for {named}: the tokenizer has {len(tokenizer)} tokens, the model's"
        f" embedding {n_embeddings(model)}. Resize the embedding and save the model again, or take the"
        " tokenizer that it was trained with"
    )


def eos_ids_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return every token that the generation settings or the tokenizer name as EOS."""
    # a model that does not generate may have none
    named: Any = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = cast("list[Any]", named) if isinstance(named, list) else [named]
    return frozenset(int(token) for token in [*ids, _one(tokenizer.eos_token_id)] if token is not None)


def _drop_unsaveable(model: PreTrainedModel) -> Iterator[str]:
    """Drop sampling settings beside greedy decoding, which transformers ignores and refuses to save with a
    trained model."""
    settings = getattr(model, "generation_config", None)
    if settings is None:
        return
    try:
        settings.validate(strict=True)
    except ValueError:
        from transformers import GenerationConfig

        kept = ("bos_token_id", "eos_token_id", "pad_token_id", "max_length", "repetition_penalty")
        named = {name: value for name in kept if (value := getattr(settings, name, None)) is not None}
        dropped = sorted(
            name
            for name, value in settings.to_diff_dict().items()
            if name not in {*kept, "transformers_version"} and value
        )
        model.generation_config = GenerationConfig(**named)
        yield f"the generation settings contradict each other, so these are dropped: {', '.join(dropped)}"


def _choose_template(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """Leave one chat template where the tokenizer has several by name.

    Raises DataError where none is called default and more than one is for messages alone.
    """
    templates = cast("str | dict[str, str] | None", cast("Any", tokenizer).chat_template)
    if not isinstance(templates, dict):
        return
    plain = (
        ["default"]
        if "default" in templates
        else [name for name in templates if name not in _MORE_THAN_MESSAGES]
    )
    if len(plain) != 1:
        raise DataError(
            f"the tokenizer has the chat templates {', '.join(templates)}, and none of them is called"
            " default: call one so"
        )
    tokenizer.chat_template = templates[plain[0]]
    if plain != ["default"]:
        yield (
            f"of the chat templates {', '.join(templates)}, none of which is called default, {plain[0]} is"
            " used"
        )


def _chat(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[str | None, int | None]:
    """Return why the model cannot be asked through its chat template (None: it can), and the added token that
    ends a turn there."""
    from jinja2 import TemplateError

    if not cast("Any", tokenizer).chat_template:
        return None, None
    turns = [("user", "?"), ("assistant", "!")]
    try:
        ids = tokens.chat_token_ids(tokenizer, turns, add_generation_prompt=False)
        ids += tokens.chat_token_ids(tokenizer, turns[:1], add_generation_prompt=True)
        turn_end = tokens.turn_end(tokenizer)
    except (TemplateError, TypeError, ValueError) as error:
        return f"its chat template fails on a question and an answer: {error}", None
    no_chat = missing_embeddings(model, tokenizer, ids)
    is_token = no_chat is None and turn_end in tokenizer.added_tokens_decoder
    return no_chat, turn_end if is_token else None


def _choose_pad(tokenizer: PreTrainedTokenizerBase, eos_ids: frozenset[int], n_tokens: int) -> int:
    """Return the tokenizer's own pad token where the embedding has it and it is no EOS, else another special
    token, one made for padding first.

    Padding is masked wherever it stands, so a tokenizer without such a token may pad with any id; it is then
    not named as the pad token, because special tokens are left out of decoded text.
    """
    special = [
        token
        for token in tokenizer.all_special_ids
        if token not in eos_ids and token != tokenizer.pad_token_id
    ]
    special.sort(
        key=lambda token: (
            "pad" not in str(tokenizer.convert_ids_to_tokens(token)).lower(),
            token == tokenizer.bos_token_id,
        )
    )
    for token in (_one(tokenizer.pad_token_id), *special):
        if token is not None and token < n_tokens and token not in eos_ids:
            tokenizer.pad_token_id = token
            return token
    return next(token for token in range(len(eos_ids) + 1) if token not in eos_ids)


def _one(token_id: Any) -> int | None:
    """A special token's id, for which transformers declares more types than it has."""
    return token_id
