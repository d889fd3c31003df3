"""1,024 pairs of people kept out of training, to measure a finished network on.

`python3 -m training.benchmark_pairs --packed DIR --out FILE.npz` writes, the same at every call,

  first, second  uint8 [1024, 72, 72, 3]  packed crops, RGB
  same           bool  [1024]             half of each kind, mixed

`python3 -m training.benchmark_pairs --pairs FILE.npz --network FILE.bnet` prints how a network does
on them in the clear.
"""

import argparse
import json
import pathlib

import numpy as np

from . import bnet, lfw, people, train
from .calibration import embed
from .data import NOBODY, Faces

PAIRS = 1024
GENUINE_EACH = 4


def rows_of_people(faces, identities):
    listed = np.isin(np.array(faces.identities), list(identities))
    return np.flatnonzero((faces.labels != NOBODY) & listed[faces.labels])


def choose(labels):
    """(first, second, same) of 512 pairs of each kind."""
    first, second, same = train.balanced_pairs(labels, GENUINE_EACH)
    chosen = np.sort(np.concatenate([np.flatnonzero(same == kind)[:PAIRS // 2] for kind in (True, False)]))
    if len(chosen) < PAIRS:
        raise ValueError(f"The people kept apart give {len(chosen)} pairs only.")
    return first[chosen], second[chosen], same[chosen]


def measure(network, pairs):
    first, second = (e / np.linalg.norm(e, axis=1, keepdims=True)
                     for e in (embed(network, pairs[side]) for side in ("first", "second")))
    scores, same = np.sum(first * second, axis=1), pairs["same"]
    return {
        "accuracy_at_threshold_verify": float(np.mean((scores >= network.threshold_verify) == same)),
        "eer": float(lfw.equal_error_rate(scores, same)),
        "tar_at_far_1e-2": float(lfw.true_accept_rate(scores, same, 1e-2)),
        "tar_at_far_1e-3": float(lfw.true_accept_rate(scores, same, 1e-3)),
    }


def main():
    parser = argparse.ArgumentParser(description="Pairs of people kept out of training.")
    parser.add_argument("--packed")
    parser.add_argument("--out")
    parser.add_argument("--pairs")
    parser.add_argument("--network")
    own = parser.parse_args()
    if own.packed and own.out:
        faces = Faces(own.packed)
        rows = rows_of_people(faces, people.listed(people.BENCHMARK))
        first, second, same = choose(faces.labels[rows])
        np.savez(own.out, first=faces.crops[rows[first]], second=faces.crops[rows[second]], same=same)
    elif own.pairs and own.network:
        network = bnet.decode(pathlib.Path(own.network).read_bytes())
        print(json.dumps(measure(network, np.load(own.pairs)), indent=2))
    else:
        parser.error("either --packed and --out, or --pairs and --network")


if __name__ == "__main__":
    main()
