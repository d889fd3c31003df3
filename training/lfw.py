"""Labeled Faces in the Wild, for evaluation only: pairs, aligned crops, and the measures.

`python3 -m training.lfw --faces DIR --out FILE.npz [--packed DIR]` aligns the images that the pairs
name. With the training set's packed arrays it also writes DIR/excluded.txt, the training identities
that look like somebody in these images to the teacher, so that training can leave them out.
"""

import argparse
import pathlib

import cv2
import numpy as np

from .alignment import FaceNotFound, YuNetAligner
from .data import CROP_SIDE, LOOK_ALIKE_COSINE, NOBODY, Faces, Teacher

PAIRS_PER_FOLD = 600


def read_pairs(faces_directory):
    """[(image name, image name, same person)] in the order of the file, fold by fold."""
    lines = (pathlib.Path(faces_directory) / "lfw" / "pairs.txt").read_text().splitlines()[1:]
    pairs = []
    for fields in (line.split() for line in lines):
        same = len(fields) == 3
        other = fields[0] if same else fields[2]
        pairs.append((f"{fields[0]}_{int(fields[1]):04d}", f"{other}_{int(fields[-1]):04d}", same))
    return pairs


def align_images(faces_directory, names):
    """Crops [n, 112, 112, 3] and whether the detector found a face; without one, the crop is the
    image's centre, so that a pair is never left out."""
    aligner = YuNetAligner(faces_directory)
    crops = np.zeros((len(names), CROP_SIDE, CROP_SIDE, 3), np.uint8)
    found = np.ones(len(names), bool)
    for index, name in enumerate(names):
        path = pathlib.Path(faces_directory) / "lfw" / "images" / name[:-5] / f"{name}.jpg"
        image = cv2.imread(str(path))
        try:
            crops[index] = aligner.align(image)
        except FaceNotFound:
            found[index] = False
            crops[index] = image[69:181, 69:181, ::-1]
    return crops, found


def fold_accuracies(scores, same):
    """Accuracy on each fold at the threshold that is best on the other folds."""
    fold = np.arange(len(scores)) // PAIRS_PER_FOLD
    accuracies = []
    for left_out in range(fold[-1] + 1):
        rest = fold != left_out
        threshold = best_threshold(scores[rest], same[rest])
        accuracies.append(np.mean((scores[~rest] >= threshold) == same[~rest]))
    return np.array(accuracies)


def best_threshold(scores, same):
    order = np.argsort(-scores, kind="stable")
    gained = np.cumsum(np.where(same[order], 1, -1))
    return scores[order[gained.argmax()]]


def equal_error_rate(scores, same):
    genuine, impostor = np.sort(scores[same]), np.sort(scores[~same])
    thresholds = np.sort(scores)
    rejected = np.searchsorted(genuine, thresholds) / len(genuine)
    accepted = 1 - np.searchsorted(impostor, thresholds) / len(impostor)
    crossing = np.argmin(np.abs(rejected - accepted))
    return (rejected[crossing] + accepted[crossing]) / 2


def true_accept_rate(scores, same, false_accept_rate):
    """Share of genuine scores above the least threshold with at most that share of impostors."""
    impostor = np.sort(scores[~same])[::-1]
    threshold = impostor[int(false_accept_rate * len(impostor))]
    return np.mean(scores[same] > threshold)


def report(scores, same):
    accuracies = fold_accuracies(scores, same)
    return {
        "accuracy": accuracies.mean(),
        "accuracy_deviation": accuracies.std(ddof=1),
        "eer": equal_error_rate(scores, same),
        "tar_at_far_1e-2": true_accept_rate(scores, same, 1e-2),
        "tar_at_far_1e-3": true_accept_rate(scores, same, 1e-3),
    }


class AlignedPairs:
    """What `python3 -m training.lfw` wrote."""

    def __init__(self, path):
        stored = np.load(path)
        self.crops, self.teacher = stored["crops"], stored["teacher"]
        self._first, self._second, self.same = stored["first"], stored["second"], stored["same"]

    def scores(self, embeddings):
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        return np.sum(unit[self._first] * unit[self._second], axis=1)

    def report(self, embeddings):
        return report(self.scores(embeddings), self.same)


def look_alikes(faces, embeddings, limit=LOOK_ALIKE_COSINE):
    """Training identities whose mean embedding lies within cosine `limit` of one of embeddings."""
    centres = np.zeros((len(faces.identities), embeddings.shape[1]), np.float32)
    known = faces.labels != NOBODY
    np.add.at(centres, faces.labels[known], faces.teacher[known].astype(np.float32))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    nearest = (centres @ embeddings.T).max(axis=1)
    return [name for name, cosine in zip(faces.identities, nearest) if cosine > limit]


def prepare(faces_directory, out, packed=None):
    """Aligns and embeds the images of the pairs; with packed arrays, writes down their look-alikes."""
    pairs = read_pairs(faces_directory)
    names = sorted({name for pair in pairs for name in pair[:2]})
    number = {name: index for index, name in enumerate(names)}
    crops, found = align_images(faces_directory, names)
    teacher = Teacher(faces_directory)
    np.savez(out, crops=crops, found=found, names=names,
             teacher=np.stack([teacher.embed(crop) for crop in crops]),
             first=[number[first] for first, _, _ in pairs],
             second=[number[second] for _, second, _ in pairs],
             same=[same for _, _, same in pairs])
    aligned = AlignedPairs(out)
    print(f"{found.sum()} of {len(names)} faces found; teacher: {aligned.report(aligned.teacher)}")
    if packed:
        names = look_alikes(Faces(packed), aligned.teacher)
        (pathlib.Path(packed) / "excluded.txt").write_text("\n".join(names) + "\n")
        print(f"{len(names)} training identities resemble one of them")


def main():
    parser = argparse.ArgumentParser(description="Align LFW's images and embed them by the teacher.")
    parser.add_argument("--faces", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--packed")
    arguments = parser.parse_args()
    prepare(arguments.faces, arguments.out, arguments.packed)


if __name__ == "__main__":
    main()
