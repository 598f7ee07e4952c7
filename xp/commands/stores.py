"""Commands on a store: its state, its rows, its files."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dsl.data.warehouse_address import warehouse_in
from dsl.errors import ArgumentError, WarehouseError
from xp.commands.arguments import DEFAULT_STORE, MOST, AsJson, Format, StoreFolder, share_of
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
    """Query the warehouse in SQL, read-only.

    CSV and JSON hold values as they are, for programs: a spreadsheet takes a text that begins with `=` for a
    formula. `xp sample` writes CSV for spreadsheets.
    """
    from warehouse.errors import WarehouseUnwritten
    from warehouse.query import run
    from xp.studies import warehouse_of

    with exit_on_error():
        warehouse = warehouse_of(store)
        try:
            with written_out():
                run(warehouse, sql, format.value, sys.stdout.buffer, terminal_width())
                sys.stdout.buffer.flush()
        except WarehouseUnwritten:
            raise
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
    adapters: Annotated[
        bool, typer.Option(help="With the weights of trainings; no number hangs on them.")
    ] = True,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Write a study's spec, ids, rows and tables into one file, from which its numbers derive."""
    from xp.bundle import write_bundle
    from xp.studies import experiment_of, warehouse_of

    with exit_on_error():
        n_rows = write_bundle(warehouse_of(store), experiment_of(study), out, with_adapters=adapters)
        say(f"{out}: {n_rows:,} rows. `xp rebuild --bundle {out} --store FOLDER` reads it")


def pull(
    other: Annotated[str, typer.Argument(metavar="PATH", help="The other store; it is only read.")],
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Merge the finished steps and the studies of another store into this one."""
    from xp.pull import pull as pull_steps
    from xp.render.results import pulled_as_text

    with exit_on_error():
        if "://" in other:  # as text: a path would have one slash
            raise ArgumentError(
                f"{other} is no folder, and `xp pull` merges a store that is one. Finished steps of a bucket"
                f" are fetched as they are needed: `xp apply SPEC --share {other}`"
            )
        found = pull_steps(store, Path(other))
        say(pulled_as_text(found))
        if found.left:
            raise typer.Exit(1)


def rebuild(
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Read the warehouse of a bundle into a new store."),
    ] = None,
    warehouse: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Keep it there from now on: in a DuckLake, as `ducklake:postgres:dbname=xp host=db`, or in a"
            " file of the store, `duckdb`.",
        ),
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
        notes = rebuild_warehouse(store, warehouse)
        say("\n".join([f"{warehouse_in(store)} is rebuilt", *notes]))


def doctor(
    specs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[SPEC]...", help="Specs whose lock, models and servers are to be looked at."),
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Examine packages, disk, store, warehouse and servers, and say what to do."""
    from xp.doctor import examine

    with exit_on_error():
        has_fault = False
        for one in examine(store, specs or ()):
            has_fault |= one.level == "fault"
            say(f"{one.level:<5} {one.subject}: {one.says}")
        if has_fault:
            raise typer.Exit(1)


def gc(
    specs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER|SPEC]...",
            help="Specs whose results stay, or folders of them (default: this folder).",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it; else it is only shown.")] = False,
    with_cache: Annotated[
        bool, typer.Option("--cache", help="The cache too, which is made again where it is needed.")
    ] = False,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Show what no spec of a folder needs in a store, with its size, or remove it."""
    from xp.gc import find_garbage, remove_garbage
    from xp.render.gc import garbage_as_text

    with exit_on_error():
        named = specs or [Path()]
        found = remove_garbage(store, named, with_cache=with_cache) if yes else find_garbage(store, named)
        say(garbage_as_text(found, is_removed=yes, with_cache=with_cache))


def verify(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="A bundle to verify in the place of the store."),
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            "--remake", metavar="SHARE", help="Make a random share of the store's rows again, as 5%."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of that draw.")] = 0,
    allow_env: Annotated[
        bool,
        typer.Option(
            "--allow-env",
            help="Ask servers, send them variables, and run models' own code for it, as the steps say.",
        ),
    ] = False,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Verify a store (files, verdicts by rule, warehouse) or a bundle (tables, figures, adapters)."""
    from xp.render.results import bundle_verified_as_text, remade_as_text, verified_as_text

    with exit_on_error():
        part, faults, steps, stopped = share_of(share), 0, None, ""
        if bundle is not None:
            from xp.verify_bundle import verify_bundle

            packed = verify_bundle(bundle)
            say(bundle_verified_as_text(packed))
            faults, steps = len(packed.faults), packed.steps
        else:
            from xp.verify import verify as verify_store

            found = verify_store(store)
            say(verified_as_text(found))
            faults = len(found.faults)
        if part is not None:
            from xp.remake import remake

            made = remake(store, part, seed, allow_env=allow_env, only=steps)
            say(remade_as_text(made, seed))
            faults, stopped = faults + len(made.faults), made.stopped
        if faults or stopped:
            raise typer.Exit(1 if faults else 3)
