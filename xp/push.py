"""`xp push`: what a training step made, as a folder for the Hugging Face hub, with a model card.

A lone adapter is written as such. An adapter on another one, an adapter on weights that were trained as a
whole, and these weights themselves are written as one model with its tokenizer.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dsl.data.records import Outcome, read_record
from dsl.errors import ArgumentError, DataError, OutputError
from dsl.messages import listed, one_line, scrub, suggest
from dsl.steps.training_steps import TRAININGS, PreferenceStep, SelectStep, TuningStep
from dsl.values import StepId
from runners.store.digests import Damaged
from runners.store.store import Store, read_step
from warehouse.connect import connect
from warehouse.statements import fetch
from xp.model_card import Card
from xp.output_files import filled
from xp.render.card import base_name, card_as_markdown
from xp.studies import checks_of

_KINDS = (*TRAININGS, "select")
_ADAPTER, _MODEL, _POLICY = "adapter", "model", "policy"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Pushed:
    """A folder for the hub."""

    step_id: StepId
    folder: Path
    is_adapter: bool
    url: str | None = None
    """Its repository, where it was uploaded."""


def push(
    target: str, out: Path, store_root: Path, *, repository: str | None = None, merged: bool = False
) -> Pushed:
    """Write the model of a finished training step into an empty folder and, where a repository is named,
    upload that.

    Args:
        target: A step's id or its beginning, or an experiment in which one model was trained.
        repository: `owner/name`; a new one is private. Its token is found as huggingface_hub finds it.
        merged: An adapter is merged into its weights.

    Raises:
        ArgumentError: no finished step, or more than one, is meant; the folder holds something; the name is
            none of a repository.
        DataError: the step's files have changed since it was finished.
        OutputError: the folder cannot be written, or it was written and could not be uploaded.
    """
    if repository is not None and not _REPOSITORY.fullmatch(repository):
        raise ArgumentError(f"--repo {one_line(repository)}: a repository is named as owner/name")
    store = Store(store_root)
    step_id = _step_of(target, store)
    source = store.step_folder(step_id)
    try:
        checks_of(store_root).check(str(source), step_id)
    except Damaged as error:
        raise DataError(f"{step_id} is damaged: {error}. Apply again, and it is made again") from error
    chain = _chain(step_id, store)
    is_adapter = not merged and not any((source / name).is_dir() for name in (_MODEL, _POLICY))
    card = Card.read(step_id, chain, store, is_adapter=is_adapter)
    with filled(out, " folder"):
        if is_adapter:
            _write_adapter(chain[-1], source, out)
        else:
            _write_model(chain[-1], source, store, out)
        (out / "README.md").write_text(card_as_markdown(card), "utf-8", newline="\n")
    url = None if repository is None else _upload(out, repository, step_id)
    return Pushed(step_id, out, is_adapter, url)


def _step_of(target: str, store: Store) -> StepId:
    """Return the finished training step that is meant: an experiment may be called as steps begin (`sft`)."""
    trained = sorted(one for one in store.done() if one.partition("-")[0] in _KINDS)
    if target in trained:
        return target
    if (found := _models_of(target, store)) is None:
        found = [one for one in trained if one.startswith(target)]
    found = [one for one in found if one in trained]
    if len(found) == 1:
        return found[0]
    if found:
        raise ArgumentError(f"`{target}` has {len(found)} trained models. Name one: {listed(found, 20)}")
    known = "" if trained else "; the store has none"
    raise ArgumentError(
        f"`{target}` is no finished training step ({listed(_KINDS)}), and no experiment with one{known}."
        f" {suggest(target, trained)}"
    )


def _models_of(experiment: str, store: Store) -> list[StepId] | None:
    """Return the steps that make the models of an experiment; None where the warehouse has none of this
    name."""
    if not store.warehouse.exists():
        return None
    with connect(store.warehouse, read_only=True) as connection:
        if not fetch(connection, "from experiments where experiment = ?", [experiment]):
            return None
        sql = (
            "select distinct arg_max(step_id, position) as step_id from cell_training"
            " join cells using (cell_id) where experiment = ? group by cell_id order by all"
        )
        return [row["step_id"] for row in fetch(connection, sql, [experiment])]


def _chain(step_id: StepId, store: Store) -> tuple[TuningStep, ...]:
    """Return the trainings that a model went through, the first one first."""
    step = read_step(store.step_folder(step_id))
    if isinstance(step, SelectStep):
        facts = read_record(store.step_folder(step_id) / "outcome.json", Outcome).facts
        return _chain(str(facts["trial_id"]), store)
    if not isinstance(step, TuningStep):
        raise DataError(f"{store.step_folder(step_id)}: its settings cannot be read. Apply the study again")
    before = _chain(step.policy, store) if isinstance(step, PreferenceStep) and step.policy else ()
    return (*before, step)


def _write_adapter(step: TuningStep, source: Path, out: Path) -> None:
    """Copy an adapter, with the name of its base in the place of this machine's path to it."""
    for file in sorted((source / _ADAPTER).glob("*.safetensors")):
        shutil.copyfile(file, out / file.name)
    settings: dict[str, Any] = json.loads((source / _ADAPTER / "adapter_config.json").read_text("utf-8"))
    settings |= {"base_model_name_or_path": base_name(step.weights), "revision": step.weights.revision}
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (out / "adapter_config.json").write_text(text, "utf-8")


def _write_model(step: TuningStep, source: Path, store: Store, out: Path) -> None:
    from runners.models.loading import load

    loaded = load(step.weights, source, store.cache)
    model = cast("Any", loaded.model)
    head = model.get_output_embeddings()
    if head is not None and head.weight is not model.get_input_embeddings().weight:
        model.config.tie_word_embeddings = False  # else whoever loads it would tie what was trained apart
    for part in cast("tuple[Any, ...]", (model, loaded.tokenizer)):
        part.save_pretrained(out)


def _upload(folder: Path, repository: str, step_id: StepId) -> str:
    """Upload a folder, and return the repository's address."""
    import huggingface_hub
    from httpx2 import HTTPError, InvalidURL

    try:
        hub = huggingface_hub.HfApi()
        url = hub.create_repo(repository, private=True, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"{step_id}, by xp push")
    except (HTTPError, InvalidURL, OSError, ValueError) as error:
        why = scrub(one_line(str(error))).rstrip(".") or type(error).__name__
        raise OutputError(
            f"{folder} is written, and could not be uploaded to {repository}: {why}. With a network and a"
            f" token (`hf auth login`, or HF_TOKEN): hf upload {repository} {folder}"
        ) from error
    return str(url)
