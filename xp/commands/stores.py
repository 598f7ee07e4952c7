"""Commands on a store: its state, its rows, its files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dsl.errors import WarehouseError
from xp.commands.arguments import DEFAULT_STORE, MOST, AsJson, Format, StoreFolder
from xp.commands.output import exit_on_error, say, terminal_width, written_out


def status(store: StoreFolder = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Show the store's studies: steps done, last failures, and a running apply."""
    from xp.render.status import status_as_json, status_as_text
    from xp.studies import status_of

    with exit_on_error():
        found = status_of(store)
        say(status_as_json(found) if as_json else status_as_text(found))


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help='A query, as "select * from score_by_cell".')],
    format: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Query the warehouse in SQL, read-only."""
    from warehouse.query import run
    from xp.studies import warehouse_of

    with exit_on_error():
        try:
            with written_out():
                run(warehouse_of(store), sql, format.value, sys.stdout.buffer, terminal_width())
                sys.stdout.buffer.flush()
        except WarehouseError as error:
            say(f"xp: {error}", err=True)
            raise typer.Exit(2) from None


def tables() -> None:
    """List the warehouse's tables and views, each with what a row of it is."""
    from xp.render.tables import tables_as_text

    with exit_on_error():
        say(tables_as_text(terminal_width()))


def show(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="A cell id, or words that name cells, as urial/fr.")
    ],
    item: Annotated[
        str | None, typer.Option("--item", help="Show one item with every method's answer.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST, help="Maximum answers.")] = 10,
    tokens: Annotated[
        bool,
        typer.Option(
            "--tokens", help="Show a prompt, and a training row with what is learnt of it, as tokens."
        ),
    ] = False,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Show prompts, answers and verdicts of a cell."""
    from xp.show import show as render
    from xp.studies import warehouse_of

    with exit_on_error():
        if tokens:
            from xp.tokens import tokens_of

            say(tokens_of(store, cell, item))
            return
        say(render(warehouse_of(store), cell, item, limit))


def view(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="SPEC|EXPERIMENT", help="The study to begin with (default: the store's first)."
        ),
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Serve answers, progress and SQL of a store to a browser on this machine, until Ctrl-C."""
    from xp.studies import experiment_of
    from xp.view.server import serve

    with exit_on_error():
        serve(store, None if study is None else experiment_of(study), say)


def bundle(
    study: Annotated[
        str, typer.Argument(metavar="SPEC|EXPERIMENT", help="The study's file or its experiment's name.")
    ],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Output file, as study.zip.")],
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Write a study's spec, ids, rows and tables into one file, from which its numbers derive."""
    from xp.bundle import write_bundle
    from xp.studies import experiment_of, warehouse_of

    with exit_on_error():
        n_rows = write_bundle(warehouse_of(store), experiment_of(study), out)
        say(f"{out}: {n_rows:,} rows. `xp rebuild --bundle {out} --store FOLDER` reads it")


def rebuild(
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Read the warehouse of a bundle into a new store."),
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Rebuild the warehouse from the store's files, or from a bundle."""
    from xp.studies import rebuild as rebuild_warehouse

    with exit_on_error():
        if bundle is not None:
            from xp.bundle import read_bundle

            say(f"{store / 'warehouse.duckdb'} holds {read_bundle(bundle, store)}")
            return
        notes = rebuild_warehouse(store)
        say("\n".join([f"{store / 'warehouse.duckdb'} is rebuilt", *notes]))


def verify(store: StoreFolder = DEFAULT_STORE) -> None:
    """Verify a store: digests of all files, verdicts of rule judges, and the warehouse."""
    from xp.render.results import verified_as_text
    from xp.verify import verify as verify_store

    with exit_on_error():
        found = verify_store(store)
        say(verified_as_text(found))
        if found.faults:
            raise typer.Exit(1)
