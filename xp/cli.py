"""The command line: `xp` and its commands."""

from pathlib import Path
from typing import Annotated

import typer

from xp.commands import locks, models, results, stores, studies
from xp.commands.arguments import DEFAULT_STORE, named_in_unicode
from xp.commands.output import say

app = typer.Typer(
    help=(
        "Prompt it, tune it, or align it? One YAML study compares in-context learning, SFT and DPO by"
        " language and model size."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"xp {version('xp-lab')}")
        raise typer.Exit


@app.callback()
def global_options(
    context: typer.Context,
    store: Annotated[
        Path,
        typer.Option(
            "--store",
            envvar="XP_STORE",
            help="Store folder of the command, where it names none itself.",
            callback=named_in_unicode,
        ),
    ] = DEFAULT_STORE,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the installed version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Options that stand before a command."""
    context.default_map = {context.invoked_subcommand or "": {"store": store}}


app.command()(studies.init)
app.command()(studies.validate)
app.command()(studies.schema)
app.command()(studies.plan)
app.command()(studies.apply)
app.command()(locks.lock)
app.command()(locks.drift)
app.command()(studies.adopt)
app.command()(stores.pull)
app.command()(stores.status)
app.command()(stores.query)
app.command()(stores.tables)
app.command()(stores.show)
app.command()(studies.diff)
app.command()(results.report)
app.command()(stores.view)
app.command()(results.sample)
app.command()(results.import_labels)
app.command("import")(results.import_results)
app.command("export")(results.export_results)
app.command()(models.push)
app.command()(stores.bundle)
app.command()(stores.rebuild)
app.command()(stores.verify)
app.command()(stores.gc)
app.command()(stores.doctor)
