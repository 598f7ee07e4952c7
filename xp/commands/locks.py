"""Commands on the things that a study rests on."""

import typer

from xp.commands.arguments import DEFAULT_STORE, Overrides, SpecFile, StoreFolder
from xp.commands.output import exit_on_error, say


def lock(spec: SpecFile, overrides: Overrides = None, store: StoreFolder = DEFAULT_STORE) -> None:
    """Write SPEC.lock: digests of files, versions of packages, commits on the hub; apply refuses what
    moves."""
    from xp.lock import lock as write_lock

    with exit_on_error():
        path, notes = write_lock(spec, overrides or (), store)
        for note in notes:
            say(note, err=True)
        say(str(path))


def drift(spec: SpecFile, overrides: Overrides = None, store: StoreFolder = DEFAULT_STORE) -> None:
    """Report what a study rests on that has moved: exit code 0 where nothing has, 3 where something has."""
    from xp.drift import drift as look

    with exit_on_error():
        found = look(spec, overrides or (), store)
        for line in found.unknown:
            say(f"not known: {line}", err=True)
        for line in found.moved:
            say(f"moved: {line}")
        among = ", ".join(found.looked_at) or "nothing"
        say(f"{'something' if found.moved else 'nothing'} moved among {among}")
        if found.moved:
            raise typer.Exit(3)
