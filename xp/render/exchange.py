"""Text of `xp import` and `xp export`: what was written, and what was not."""

from collections.abc import Sequence
from pathlib import Path

from xp.exports.exporting import Exported
from xp.imports.studies import UNDETERMINED, ImportedStudy
from xp.render.words import counted


def imported_as_text(studies: Sequence[ImportedStudy], out: Path) -> str:
    """List each study with what could not be carried over."""
    lines: list[str] = []
    for study in studies:
        lines.append(f"{out / study.name}.yaml: {counted(study.n_answers, 'answer')}")
        lines += [f"  not carried over: {what}" for what in study.left_out]
        if any(path.endswith(f"questions_{UNDETERMINED}.jsonl") for path in study.files):
            lines.append("  the files do not name the language of the questions: --language en")
    return "\n".join([*lines, f"next: xp apply {out / studies[0].name}.yaml"])


def exported_as_text(exported: Exported) -> str:
    """List each file with what it holds, and what there was nothing of."""
    lines = [f"{path}: {what}" for path, what in exported.files]
    if exported.n_without:
        lacking = counted(exported.n_without, "cell without answers", "cells without answers")
        lines.append(f"not written: {lacking}; `xp apply` makes them")
    return "\n".join(lines)
