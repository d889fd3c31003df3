"""Who may be trained on, and who never is: the list in excluded_identities.txt."""

import fnmatch
import pathlib

LIST = pathlib.Path(__file__).with_name("excluded_identities.txt")
SOURCE, REFUSED, BENCHMARK, HELD_OUT = REASONS = "source", "refused", "benchmark", "held-out"


def read_list(path=LIST):
    """[(identity or pattern, reason)]"""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    entries = [tuple(fields) for fields in lines if fields and not fields[0].startswith("#")]
    unknown = [entry for entry in entries if len(entry) != 2 or entry[1] not in REASONS]
    if unknown:
        raise ValueError(f"{path} has lines that say no reason: {unknown[:3]}")
    return entries


def listed(reason, path=LIST):
    """The identities or patterns of one reason."""
    return {identity for identity, why in read_list(path) if why == reason}


def refuse_test_sets(identities, path=LIST):
    """Raises ValueError at an identity of a public test set, or of no source that the list knows."""
    sources, refused = listed(SOURCE, path), listed(REFUSED, path)
    for identity in identities:
        if identity in refused or not any(fnmatch.fnmatchcase(identity, pattern) for pattern in sources):
            raise ValueError(f"{identity} is not among what may be trained on.")
