"""Thresholds from identities that training never saw."""

import numpy as np

from . import augment, bnet

VERIFY_FALSE_MATCH_RATE = 1e-3
IDENTIFY_FALSE_MATCH_RATE = 1e-5


def embed(network, packed_crops, noise=0.0, batch=128):
    """Embeddings of packed crops by a bnet.Network."""
    return np.concatenate([
        bnet.evaluate(network, augment.centre(packed_crops[start:start + batch]),
                      noise=noise).numpy()
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
