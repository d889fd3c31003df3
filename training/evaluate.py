"""Accuracy and thresholds of a .bnet network.

`python3 -m training.evaluate --network FILE.bnet --packed DIR --lfw FILE.npz` prints, as JSON:
LFW's five folds; the same with slot noise; thresholds calibrated on identities that training never
saw; the largest share of a layer's bound that their faces use.
"""

import argparse
import json
import pathlib

import numpy as np
import torch

from . import augment, bnet, lfw, models
from .data import Faces, shrink
from .train import split_by_identity

VERIFY_FALSE_MATCH_RATE = 1e-3
IDENTIFY_FALSE_MATCH_RATE = 1e-5


def embed(network, packed_crops, noise=0.0, squares=None, batch=128):
    return np.concatenate([
        bnet.evaluate(network, augment.centre(packed_crops[start:start + batch]), squares,
                      noise).numpy()
        for start in range(0, len(packed_crops), batch)])


def impostor_threshold(scores, false_match_rate):
    """The least score above which that share of impostor scores lies."""
    return float(np.quantile(scores, 1 - false_match_rate))


def calibrate(embeddings, labels):
    """Thresholds at fixed false match rates over all pairs, and the true match rate at the first."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    scores = (unit @ unit.T)[first, second]
    same = labels[first] == labels[second]
    verify = impostor_threshold(scores[~same], VERIFY_FALSE_MATCH_RATE)
    return {
        "pairs": int(len(same)),
        "mated_pairs": int(same.sum()),
        "threshold_verify": verify,
        "threshold_identify": impostor_threshold(scores[~same], IDENTIFY_FALSE_MATCH_RATE),
        "true_match_rate": float(np.mean(scores[same] >= verify)),
    }


def used_bounds(network, squares):
    """For each square, the largest |x + shift| as a share of the layer's bound."""
    layers = [layer for layer in network.layers if isinstance(layer, bnet.Square)]
    return [max(float(s.abs().max()) for s in squares[index::len(layers)]) / layer.bound
            for index, layer in enumerate(layers)]


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
    excluded = pathlib.Path(arguments.packed) / "excluded.txt"
    rows = split_by_identity(
        faces, excluded.read_text().split() if excluded.exists() else ()).held_out
    squares = []
    held_out = embed(network, faces.crops[rows], squares=squares)
    print(json.dumps({
        "lfw": pairs.report(clear),
        "lfw_with_slot_noise": {**pairs.report(noisy), "cosine_min": float(cosines.min())},
        "held_out": calibrate(held_out, faces.labels[rows]),
        "length": [float(x) for x in np.quantile(np.linalg.norm(held_out, axis=1), [0, 0.5, 1])],
        "used_bounds": [round(x, 3) for x in used_bounds(network, squares)],
    }, indent=2))


if __name__ == "__main__":
    main()
