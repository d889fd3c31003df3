"""Faces that training never saw, for `bauta eval ranges --crops`.

`python3 -m training.held_out --packed DIR --lfw FILE.npz --out FILE.npy` writes a row for each: the
packed crops of the held-out identities, those of LFW, and the mirror image of every one.
"""

import argparse

import numpy as np

from . import lfw
from .data import Faces, shrink
from .train import split_of


def rows_of(crops):
    """uint8 [n, side, side, 3] with their mirror images, as float32 [2 n, side * side * 3]."""
    return np.concatenate((crops, crops[:, :, ::-1])).reshape(2 * len(crops), -1).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description="Write faces that training never saw.")
    parser.add_argument("--packed", required=True)
    parser.add_argument("--lfw", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    faces = Faces(arguments.packed)
    held_out = faces.crops[split_of(arguments.packed, faces).held_out]
    pairs = lfw.AlignedPairs(arguments.lfw)
    rows = rows_of(np.concatenate((held_out, np.stack([shrink(crop) for crop in pairs.crops]))))
    np.save(arguments.out, rows)
    print(f"{arguments.out}: {len(rows)} faces, {len(held_out)} of held-out identities and "
          f"{len(pairs.crops)} of LFW, each with its mirror image")


if __name__ == "__main__":
    main()
