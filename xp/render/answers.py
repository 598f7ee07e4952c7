"""An answer with its prompt and verdicts as text. Model output is text from outside: it is shown escaped."""

import json
from collections.abc import Mapping
from typing import Any

from dsl.messages import escaped


def answer_as_text(row: dict[str, Any], faults: Mapping[str, str], *, with_prompt: bool) -> str:
    """One row of the view `completion_browser`, in a few lines.

    `faults` has what each detector looks for: of these, what was found is told, and by that name.
    """
    tuned = f" · tuned on {row['train_languages']}" if row["train_languages"] else ""
    seed = "" if row["seed"] is None else f" · seed {row['seed']}"
    turn = f" turn {row['turn']}" if row.get("turn") is not None else ""
    head = (
        f"━━ {_safe(row['item'])}{turn} · {row['language']} · {row['model']} · {row['method']}"
        f"{tuned}{seed}  ({row['cell_id']})"
    )
    parts = [head, f"asked: {_safe(row['instruction'])}"]
    if with_prompt and row["prompt"]:
        parts.append(f"prompt:\n{_indented(row['prompt'])}")
    if row["text"] is None:
        parts.append(f"no answer ({row['finish_reason']}): {_safe(row['error'])}")
    else:
        how = (
            f"{row['finish_reason']}{', ' + repr(row['stop_string']) if row['stop_string'] else ''},"
            f" {row['n_new_tokens']} tokens"
        )
        parts.append(f"answer ({how}):\n{_indented(row['text'])}")
    for verdict in row["scores"] or ():
        pieces: dict[str, float] = json.loads(verdict["parts"] or "null") or {}
        made_from = (
            f" ({', '.join(f'{_safe(name)}: {_number(score)}' for name, score in pieces.items())})"
            if pieces
            else ""
        )
        if verdict["score"] is None:
            parts.append(
                f"  {_safe(verdict['measure'])}: unscored{made_from}, {_safe(verdict['unscored_reason'])}"
            )
        elif (fault := faults.get(verdict["measure"])) is None or verdict["score"] < 0.5:
            score = f"{_number(verdict['score'])}{made_from}" if fault is None else _safe(fault)
            why = f"  {_safe(verdict['reason'])}" if verdict["reason"] else ""
            parts.append(f"  {_safe(verdict['measure'])}: {score}{why}")
    return "\n".join(parts)


def _number(score: float) -> str:
    """With three digits, or as many as a whole number has."""
    return f"{score:.0f}" if abs(score) >= 100 else f"{score:.3g}"


def _indented(text: str) -> str:
    return "\n".join("  " + _safe(line) for line in text.split("\n"))


def _safe(text: str | None) -> str:
    """On one line, without what could drive a terminal."""
    return escaped(text or "").replace("\n", "\\n")
