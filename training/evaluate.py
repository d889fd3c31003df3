"""Accuracy and thresholds of a .bnet network.

`python3 -m training.evaluate --network FILE.bnet --packed DIR --lfw FILE.npz` prints, as JSON:
LFW's five folds; the same with slot noise, and with an image's embedding averaged with that of its
mirror image; thresholds and match rates on identities that training never saw, and the equal error
rate on balanced pairs of them; the largest share of a layer's bound that their faces use.
"""

import argparse
import json
import pathlib

import numpy as np

from . import bnet, lfw, models
from .calibration import calibrate, embed
from .data import Faces, shrink
from .export import largest_values
from .train import pair_measures, split_of


def used_bounds(network, crops):
    """For each square, the largest |x + shift| on packed crops as a share of the layer's bound."""
    bounds = np.array([layer.bound for layer in network.layers if isinstance(layer, bnet.Square)])
    return largest_values(network, crops).max(axis=1) / bounds


def with_mirror(network, crops, embeddings):
    """The mean of unit embeddings of crops and of their mirror images."""
    mirrored = embed(network, crops[:, :, ::-1])
    return sum(e / np.linalg.norm(e, axis=1, keepdims=True) for e in (embeddings, mirrored))


def main():
    parser = argparse.ArgumentParser(description="Measure a .bnet network.")
    parser.add_argument("--network", required=True)
    parser.add_argument("--packed", required=True)
    parser.add_argument("--lfw", required=True)
    arguments = parser.parse_args()
    network = bnet.decode(pathlib.Path(arguments.network).read_bytes())
    pairs = lfw.AlignedPairs(arguments.lfw)
    crops = np.stack([shrink(crop) for crop in pairs.crops])
    clear, noisy = embed(network, crops), embed(network, crops, models.SLOT_NOISE)
    cosines = np.sum(clear * noisy, 1) / np.linalg.norm(clear, axis=1) / np.linalg.norm(noisy, axis=1)

    faces = Faces(arguments.packed)
    rows = split_of(arguments.packed, faces).held_out
    held_out = embed(network, faces.crops[rows])
    print(json.dumps({
        "lfw": pairs.report(clear),
        "lfw_with_slot_noise": {**pairs.report(noisy), "cosine_min": float(cosines.min())},
        "lfw_with_mirror": pairs.report(with_mirror(network, crops, clear)),
        "held_out": calibrate(held_out, faces.labels[rows]),
        "held_out_balanced": pair_measures(held_out, faces.labels[rows]),
        "held_out_balanced_with_mirror": pair_measures(
            with_mirror(network, faces.crops[rows], held_out), faces.labels[rows]),
        "length": [float(x) for x in np.quantile(np.linalg.norm(held_out, axis=1), [0, 0.5, 1])],
        "used_bounds": [round(float(x), 3) for x in used_bounds(network, faces.crops[rows])],
    }, indent=2))


if __name__ == "__main__":
    main()
