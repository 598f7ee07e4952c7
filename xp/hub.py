"""Commits that names on the Hugging Face hub stand for now."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dsl.data.source import HubSource
from dsl.engines.transformers import Weights
from dsl.steps.steps import Step
from xp.reach import models, sources

_COMMIT = re.compile("[0-9a-f]{40}")
_SECONDS = 10.0
"""Patience with the hub, for each name."""


class OnHub(NamedTuple):
    """A repository on the hub, as a spec names it."""

    kind: str
    """`model` or `dataset`."""
    name: str
    revision: str | None

    def __str__(self) -> str:
        return f"{self.kind}s/{self.name}" + (f"@{self.revision}" if self.revision else "")


def on_hub(steps: Iterable[Step]) -> tuple[OnHub, ...]:
    """Return the repositories that steps load from the hub, each once."""
    return tuple(dict.fromkeys(_on_hub(tuple(steps))))


def _on_hub(steps: tuple[Step, ...]) -> Iterator[OnHub]:
    for model in models(steps):
        if isinstance(model, Weights) and model.hub is not None:
            yield OnHub("model", model.hub, model.revision)
    for source in sources(steps):
        if isinstance(source, HubSource) and source.sha256 is None:
            yield OnHub("dataset", source.hub, source.revision)


def commit_of(repository: OnHub) -> str | None:
    """Return the commit that a run would load now: the hub's answer or, where it cannot be asked, that of the
    copy on this machine; None where there is neither."""
    if _COMMIT.fullmatch(repository.revision or ""):
        return repository.revision
    import huggingface_hub
    from httpx2 import HTTPError, InvalidURL

    try:
        found = huggingface_hub.HfApi().repo_info(
            repository.name, revision=repository.revision, repo_type=repository.kind, timeout=_SECONDS
        )
    except (HTTPError, InvalidURL, OSError, ValueError):  # no network, no such name, or a name that is none
        return _copied(repository)
    return found.sha


def _copied(repository: OnHub) -> str | None:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repository.name, repo_type=repository.kind)
    try:
        ref = Path(constants.HF_HUB_CACHE) / folder / "refs" / (repository.revision or "main")
        commit = ref.read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None
