"""Texts of error messages: values shown short, on one line and without secrets; near misses named.

Whoever puts a value from a spec into a message shows it with `shown`: messages end up in logs, reports and
bug reports.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias, cast

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the top of a document down to a value."""

REDACTED = "«redacted»"
_LONGEST = 60
_MOST_LISTED = 24

_SECRET_KEY = re.compile(
    r"(?:^|_)(?:api_?key|access_?key|private_?key|token|password|passwd|passphrase|secret|credentials?"
    r"|authorization|bearer)(?:_|$)"
)
_SECRET_PREFIX = r"(?:sk-|hf_|gh[opsu]_|github_pat_|glpat-|xox[abp]-|gsk_|xai-|AKIA|AIza|eyJ)"
# `sk-SK` and `sk-Latn` are Slovak. `${` would be filled from the environment elsewhere; `://name:password@`
# is a URL with a login.
_SECRET_VALUE = re.compile(
    rf"^\s*(?!sk-(?:[A-Z]{{2}}|[A-Z][a-z]{{3}})$)(?:{_SECRET_PREFIX}|[Bb]earer\s|-----BEGIN\s)"
    rf"|\$\{{|://[^/\s]*:[^/\s]*@"
)
# In a name or a sentence only a long run counts, so that a model may be called `hf_tiny` and a key
# `hf_token`.
_SECRET_RUN = re.compile(rf"(?<![A-Za-z0-9_\-]){_SECRET_PREFIX}[A-Za-z0-9_\-.]{{14,}}")
_SYNONYMS = {
    # data
    "answers": "answer gold target targets label labels accepted solution",
    "category": "topic task domain subject",
    "chosen": "preferred winner positive better",
    "extra": "metadata meta",
    "input": "context passage",
    "instruction": "prompt question query problem user text request",
    "item": "id idx key uid guid question_id example_id",
    "reference": "gold reference_answer ground_truth",
    "rejected": "dispreferred loser negative worse",
    "response": "completion output answer assistant target",
    "limit": "max_samples num_samples n_samples num_rows first head",
    "path": "file files filename data_file data_files",
    "hub": "repo repo_id model_id model_name model_name_or_path pretrained dataset_name",
    "name": "config subset configuration",
    # the study
    "experiment": "name title study id",
    "languages": "language lang langs",
    "seeds": "seed random_state",
    "models": "model",
    "data": "dataset datasets",
    "evaluate": "eval tasks test evaluation",
    "methods": "method approaches",
    "judges": "judge metric metrics scorer scorers evaluators",
    # training
    "num_train_epochs": "epochs epoch num_epochs n_epochs",
    "learning_rate": "lr step_size",
    "per_device_train_batch_size": "batch_size bs train_batch_size micro_batch_size batch",
    "gradient_accumulation_steps": "grad_accum accumulate accumulation_steps",
    "max_steps": "steps num_steps max_iters iterations",
    "lr_scheduler_type": "scheduler lr_scheduler schedule",
    "warmup_steps": "warmup warmup_ratio",
    "max_grad_norm": "clip clip_grad gradient_clipping",
    "max_length": "max_seq_length max_seq_len seq_len cutoff_len block_size",
    "r": "rank lora_r lora_rank",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "adapter": "lora peft",
    "loss_type": "loss",
    "beta": "kl kl_coef",
    "simpo_gamma": "gamma gamma_beta_ratio",
    "train": "train_data train_dataset dataset data",
    "pairs": "preferences train_dataset dataset data",
    # methods and judges
    "icl": "few_shot fewshot zero_shot prompting urial in_context",
    "sft": "finetune finetuning fine_tuning supervised",
    "instruct": "chat",
    "exact": "exact_match em accuracy",
    "numeric": "math number gsm8k",
    "pairwise": "arena alpaca_eval comparison",
    "length": "verbosity",
    # prompts and decoding
    "num_fewshot": "shots shot n_shots num_shots few_shot fewshot n_fewshot k",
    "system": "system_prompt system_message",
    "chat_template_kwargs": "template_kwargs",
    "max_new_tokens": "max_tokens max_gen_toks max_completion_tokens n_predict max_length",
    "temperature": "temp t",
    "top_p": "nucleus",
    "repetition_penalty": "rep_penalty repeat_penalty",
    "dtype": "torch_dtype precision",
    "attn_implementation": "attention",
    "method": "type",
    "judge": "type metric",
    "engine": "backend provider type",
    "rubric": "criteria llm llm_judge geval",
    "min_confidence": "threshold",
}
"""Setting -> words under which people look for it, from other tools of the field."""
_ENVIRONMENT_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


def shown(value: object, path: Path = ()) -> str:
    """Show a value in a message: of lists and mappings the outline, of text at most 60 characters.

    `path` says where the value stands: under a key such as `api_key`, nothing of it is shown.
    """
    if is_secret(value, path):
        return REDACTED
    match value:
        case None:
            return "nothing"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f"the text {shorten(json.dumps(value, ensure_ascii=False))}"
        case list() | tuple():
            n = len(cast("list[object]", value))
            return f"a list of {n} value{'s' if n > 1 else ''}" if n else "an empty list"
        case dict():
            keys = [str(key) for key in cast("dict[object, object]", value)]
            return f"a mapping with {listed(keys, most=6)}" if keys else "an empty mapping"
        case _:
            return f"`{shorten(str(value))}`"


def suggest(word: str, allowed: Iterable[str]) -> str:
    """Finish an error about an unknown name.

    ``Did you mean `beta`?`` when one or more are meant by it, else what is allowed; empty if nothing is.
    """
    names = list(dict.fromkeys(allowed))
    if meant := _meant(word, names):
        return f"Did you mean {' or '.join(map(ticked, meant))}?"
    return f"Allowed: {listed(names)}." if names else ""


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that `word` is probably a synonym or a misspelling of; case, `-` and `_` do not
    matter."""
    return next(iter(_meant(word, list(allowed))), None)


def known_as(word: str, names: Iterable[str]) -> list[str]:
    """Return the names that mean what `word` means, in this field's other tools or in another spelling."""
    spelling = _spelling(word)
    return [n for n in names if spelling == _spelling(n) or spelling in _SYNONYMS.get(n, "").split()]


def _meant(word: str, names: list[str]) -> list[str]:
    by_spelling = {_spelling(name): name for name in names}
    close = difflib.get_close_matches(_spelling(word), by_spelling, n=1, cutoff=0.6)
    return known_as(word, names) or [by_spelling[one] for one in close]


def listed(names: Iterable[str], most: int = _MOST_LISTED) -> str:
    """Names in backticks with commas between, at most `most` of them."""
    every = list(names)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(ticked(name) for name in every[:most]) + rest


def ticked(name: str) -> str:
    """A name in backticks."""
    return f"`{shorten(one_line(scrub(name)))}`"


def written(text: str, path: Path) -> str:
    """A value as it was written, in backticks, unless it is a secret."""
    return REDACTED if is_secret(text, path) else ticked(text)


def unquoted_braces(text: str) -> str:
    """Explain that YAML takes a placeholder for a mapping; `text` is what was to be quoted."""
    names_a_path = re.search(r"\{(?:language|model|method|dataset|seed)\}", text)
    return f'an unquoted `{{` starts a mapping. Quote the {"path" if names_a_path else "text"}: "{text}".'


def dotted(path: Path) -> str:
    """A path as people write it: `methods.dpo_base.beta`, `languages[2]`; keys with odd characters in
    quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.search(r"[\s\[\]]|^$", part) or not part.isprintable():
            text += f"[{shorten(json.dumps(part, ensure_ascii=False))}]"
        else:
            text += f".{shorten(part)}"
    return text.removeprefix(".")


def is_secret(value: object, path: Path = ()) -> bool:
    """Test whether this may not be shown.

    Because of a key it stands under, or because it looks like a credential or like `${VAR}`.
    """
    if isinstance(value, str) and _SECRET_VALUE.search(value):
        return True
    return any(
        _is_secret_key(key) and not _names_a_variable(key, value) for key in path if isinstance(key, str)
    )


def secrets_in(value: object, path: Path = ()) -> Iterator[str]:
    """Every text in a document that `is_secret`."""
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            yield from secrets_in(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from secrets_in(inner, (*path, index))
    elif value is not None and not isinstance(value, bool) and is_secret(value, path):
        yield str(value)


def scrub(text: str) -> str:
    """Take out of a sentence whatever looks like a credential."""
    return _SECRET_RUN.sub(REDACTED, text)


def one_line(text: str) -> str:
    """Text that prints as one line: line ends become spaces, unprintable characters their escapes."""
    text = re.sub(r"\s*[\r\n]+\s*", " ", text).strip()
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def escaped(text: str) -> str:
    """Text that drives no terminal: lines and tabs stay, other unprintable characters become their
    escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str) -> str:
    """At most 60 characters, the cut marked."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _spelling(name: str) -> str:
    # difflib compares every pair of characters: a key of a megabyte must not reach it whole.
    return name[:_LONGEST].lower().replace("-", "_")


def _is_secret_key(key: str) -> bool:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key[: 2 * _LONGEST]).lower().replace("-", "_")
    return _SECRET_KEY.search(snake) is not None


def _names_a_variable(key: str, value: object) -> bool:
    """`api_key_env: JUDGE_KEY` names the variable that holds the key; anything else there may be the key
    itself."""
    return key.endswith("_env") and isinstance(value, str) and _ENVIRONMENT_NAME.fullmatch(value) is not None
