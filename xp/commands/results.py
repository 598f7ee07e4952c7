"""Commands on results: the report, labels of people, results of other tools."""

from pathlib import Path
from typing import Annotated

import typer

from xp.commands.arguments import DEFAULT_STORE, MOST, ExportFormat, ImportFormat, ReportFormat, StoreFolder
from xp.commands.output import exit_on_error, say


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
            say(f"warning: {unlike}", err=True)
        for path in open(store).report(experiment, out, format.value, unlike):
            say(str(path))


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
        say(f"{path}: {len(drawn.answers)} answers to {drawn.n_items} items, counted in each language")


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
        say(
            f"{judge}: {len(found.labels)} labels of {found.n_answers} answers; {found.n_blank} answers have"
            " none"
        )
        for aspect, n in found.n_left_out.items():
            which = judge if aspect == "human" else f"{judge}.{aspect}"
            say(
                f"{which}: {n} drawn {'answer is' if n == 1 else 'answers are'} blank: these labels count for"
                " agreement only",
                err=True,
            )


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
        say(imported_as_text(write_studies(format.value, files, out, languages or ()), out))


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
        say(exported_as_text(write_results(format.value, warehouse_of(store), experiment, folder)))
