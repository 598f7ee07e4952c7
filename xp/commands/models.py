"""Commands on trained models."""

from pathlib import Path
from typing import Annotated

import typer

from xp.commands.arguments import DEFAULT_STORE, StoreFolder, named_in_unicode
from xp.commands.output import exit_on_error, say


def push(
    target: Annotated[
        str,
        typer.Argument(
            metavar="STEP|SPEC|EXPERIMENT",
            help="A finished training or select step, or a study that trains one model.",
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder to write.", callback=named_in_unicode)
    ],
    repository: Annotated[
        str | None,
        typer.Option("--repo", metavar="OWNER/NAME", help="Upload it to this repository of the hub."),
    ] = None,
    merged: Annotated[bool, typer.Option("--merged", help="Merge an adapter into its weights.")] = False,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Write a trained adapter or model with a model card, and upload it to the Hugging Face hub."""
    from xp.push import push as push_model
    from xp.studies import experiment_of

    with exit_on_error():
        pushed = push_model(experiment_of(target), out, store, repository=repository, merged=merged)
        what = "the adapter" if pushed.is_adapter else "the model"
        say(f"wrote {what} of {pushed.step_id} and its card to {pushed.folder}")
        if pushed.url is None:
            say(f"to upload it: hf upload OWNER/NAME {pushed.folder}")
        else:
            say(f"uploaded it to {pushed.url}")
