"""Who is never trained on: the list in excluded_identities.txt."""

import fnmatch
import pathlib

LIST = pathlib.Path(__file__).with_name("excluded_identities.txt")
REFUSED, BENCHMARK, HELD_OUT = "refused", "benchmark", "held-out"


def read_list(path=LIST):
    """[(identity or pattern, reason)]"""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    entries = [tuple(fields) for fields in lines if fields and not fields[0].startswith("#")]
    unknown = [entry for entry in entries if len(entry) != 2 or entry[1] not in (REFUSED, BENCHMARK, HELD_OUT)]
    if unknown:
        raise ValueError(f"{path} has lines that say no reason: {unknown[:3]}")
    return entries


def listed(reason, path=LIST):
    """The identities or patterns of one reason."""
    return {identity for identity, why in read_list(path) if why == reason}


def refuse_test_sets(identities, path=LIST):
    """Raises ValueError at an identity of a public test set."""
    patterns = listed(REFUSED, path)
    for identity in identities:
        if any(fnmatch.fnmatchcase(identity, pattern) for pattern in patterns):
            raise ValueError(f"{identity} belongs to a public test set and is not trained on.")
