"""A plan in a file, and whether what it was made from is still as it was."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from dsl.data.fingerprints import file_sha256
from dsl.data.records import why_invalid
from dsl.data.written_files import written_aside
from dsl.errors import ArgumentError, DataError, OutputError
from dsl.messages import dotted, one_line
from dsl.plan.diff import Diff
from dsl.yaml.document import Document
from xp.compare import changed_settings
from xp.plan.differences import document_of, words
from xp.render.words import counted

if TYPE_CHECKING:
    from xp.plan.published import PublishedPlan

MOST = 8
"""Things that moved since a plan was saved which are named."""


def save(plan: str, path: Path) -> None:
    """Write a plan's JSON, whole or not at all.

    Raises:
        ArgumentError: something else is in that file, as the spec.
        OutputError: it cannot be written.
    """
    if path.exists() and not holds_plan(path):
        raise ArgumentError(f"{path} holds no saved plan and is left as it is: name another file for --out")
    try:
        with written_aside(path) as aside:
            aside.write_text(plan + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def holds_plan(path: Path) -> bool:
    """Test whether a file holds a saved plan, of any version, and no spec, which may be JSON, too."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "plan_version" in found


def spec_of(saved: "PublishedPlan") -> Path:
    """Return the spec's file as a person in this folder names it: a study holds that name."""
    spec, here = Path(saved.spec), Path.cwd()
    return spec.relative_to(here) if spec.is_relative_to(here) else spec


def read(path: Path) -> "PublishedPlan":
    """Read a saved plan. Raises ArgumentError where there is none in the file."""
    from xp.plan.published import PublishedPlan  # which an apply of a spec does not need

    try:
        return PublishedPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise ArgumentError(
            f"{path} holds no plan of this version of xp: {why_invalid(error)}. `xp plan SPEC --out {path}`"
            " saves one"
        ) from error


def check_unmoved(saved: "PublishedPlan", path: Path, diff: Diff, store: Path) -> None:
    """Raise ArgumentError where spec, files, store or xp are not as they were when a plan was saved.

    Args:
        diff: The same spec planned now. What another apply finishes from here on is not made again.
    """
    if moved := list(_moved(saved, diff, store)):
        rest = [f"and {len(moved) - MOST} more"] if len(moved) > MOST else []
        raise ArgumentError(
            "\n  ".join(
                [
                    f"{path} was planned for something else: nothing was run. Since then moved:",
                    *moved[:MOST],
                    *rest,
                    f"Plan it again: xp plan {one_line(saved.spec)} --out {path}",
                ]
            )
        )


def _moved(saved: "PublishedPlan", diff: Diff, store: Path) -> Iterator[str]:
    if Path(saved.store).resolve() != store.resolve():
        yield f"the store: it was {one_line(saved.store)}, and is {one_line(str(store.absolute()))}"
    is_asked_alike = True
    now = document_of(diff.plan.study)
    for setting in changed_settings(Document(saved.spec, saved.settings, {}, {}), now):
        is_asked_alike = False
        old, new = words(setting.old, setting.path), words(setting.new, setting.path)
        yield f"the spec: {dotted(setting.path)}: {old} → {new}"
    for place, engine in ((one.place, one.engine) for one in diff.plan.engines):
        if is_asked_alike and (was := saved.engines.get(place, engine)) != engine:
            is_asked_alike = False
            yield f"the machine: {place}, left open by the spec, was asked with {was}, and is with {engine}"
    for file, digest in saved.files.items():
        try:
            is_same = diff.files.get(file) == digest or file_sha256(Path(file)) == digest
        except DataError:
            is_same = False
        if not is_same:
            is_asked_alike = False
            yield f"the file {one_line(file)}"
    steps = {step.step_id: step for step in saved.steps}
    if is_asked_alike and steps.keys() != diff.plan.steps.keys():
        yield "xp itself, an installed package or an environment variable: the spec makes other steps"
    if steps.keys() == diff.plan.steps.keys():
        then, now_todo = {*saved.todo}, {*diff.todo}
        if finished := then - now_todo:
            yield f"the store: {counted(len(finished), 'step')} finished since"
        if lost := now_todo - then:
            yield f"the store: {counted(len(lost), 'step')} lost their results since"
