"""Commands on the things that a study rests on."""


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
