"""Aligned face crops as arrays, with the teacher's embedding of each.

`python3 -m training.data --faces DIR --out DIR [--processes N]` reads the archives of 112x112 RGB
crops in DIR/train: faces-*.tar with manifest.csv, which names an identity for each, and every other
NAME.tar with NAME.tar.csv. Of those only CelebA's crops have one, by image number
(identity_CelebA.txt.gz). It writes

  crops.npy       uint8  [count, 72, 72, 3]  RGB, the crop shrunk by area averaging
  teacher.npy     float16 [count, 128]       the teacher's embedding, of length 1
  labels.npy      int32  [count]             index into identities.txt, or -1 for nobody known
  identities.txt  one identity a line

A network sees the central 64x64 pixels of the 72x72; the margin feeds shifts, turns and scalings.
"""

import argparse
import csv
import gzip
import multiprocessing
import pathlib
import tarfile

import cv2
import numpy as np

from . import people

CROP_SIDE = 112
PACKED_SIDE = 72
INPUT_SIDE = 64
MARGIN = (PACKED_SIDE - INPUT_SIDE) // 2
TEACHER_FILE = "models/mobilefacenet_foamliu.onnx"
TEACHER_DIMENSION = 128
NOBODY = -1
# Crops that resemble a face of LFW more than this to the teacher are left out.
LOOK_ALIKE_COSINE = 0.5
_TEACHER_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_TEACHER_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def _overlaps(side, target_side):
    """[target_side, side]: how much of each pixel a target pixel covers, in 1 / target_side."""
    start = np.arange(target_side)[:, None] * side
    pixel = np.arange(side)[None, :] * target_side
    return np.clip(np.minimum(start + side, pixel + target_side) - np.maximum(start, pixel), 0, None)


def shrink(crop, side=PACKED_SIDE):
    """An aligned 112x112 crop at a smaller side: area averages, rounded half up. The sums are
    integers below 2^24, so they are exact."""
    overlaps = _overlaps(CROP_SIDE, side).astype(np.float32)
    rows = np.einsum("yi,ijc->yjc", overlaps, crop.astype(np.float32))
    sums = np.einsum("xj,yjc->yxc", overlaps, rows)
    return ((sums.astype(np.int32) + CROP_SIDE**2 // 2) // CROP_SIDE**2).astype(np.uint8)


class Teacher:
    """MobileFaceNet, run by cv2.dnn: an aligned 112x112 RGB crop to a unit vector of 128."""

    def __init__(self, faces_directory):
        self._network = cv2.dnn.readNetFromONNX(str(pathlib.Path(faces_directory) / TEACHER_FILE))

    def embed(self, crop):
        pixels = (crop.astype(np.float32) / 255 - _TEACHER_MEAN) / _TEACHER_DEVIATION
        self._network.setInput(pixels.transpose(2, 0, 1)[None])
        embedding = self._network.forward()[0]
        return embedding / np.linalg.norm(embedding)


def celeba_people(train_directory):
    """{image number: identity}, both as six and five digits with leading zeros."""
    with gzip.open(train_directory / "identity_CelebA.txt.gz", "rt") as file:
        next(file)
        return {image[:6]: f"celeba_{int(person):05d}" for image, person in map(str.split, file)}


def read_manifest(faces_directory):
    """Rows of all manifests: dictionaries with path and identity, which is empty for nobody known."""
    directory = pathlib.Path(faces_directory) / "train"
    with open(directory / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    further = sorted(directory.glob("*.tar.csv"))
    people = celeba_people(directory) if further else {}
    for manifest in further:
        with open(manifest, newline="") as file:
            for row in csv.DictReader(file):
                if float(row["nearest_lfw_cosine"]) > LOOK_ALIKE_COSINE:
                    continue
                source, name = row["path"].split("/")
                identity = people[name[:6]] if source == "celeba" else ""
                rows.append({"path": row["path"], "identity": identity})
    return rows


def read_crops(faces_directory, rows):
    """Yields (row index, encoded image) of each manifest row, archive by archive."""
    index_of_path = {row["path"]: index for index, row in enumerate(rows)}
    for path in sorted((pathlib.Path(faces_directory) / "train").glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name in index_of_path:
                    yield index_of_path[member.name], archive.extractfile(member).read()


def decode(encoded):
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape != (CROP_SIDE, CROP_SIDE, 3):
        raise ValueError(f"A crop is not a {CROP_SIDE}x{CROP_SIDE} colour image.")
    return np.ascontiguousarray(image[:, :, ::-1])


_teacher = None


def _start_worker(faces_directory):
    global _teacher
    cv2.setNumThreads(1)
    _teacher = Teacher(faces_directory)


def _shrink_and_embed(indexed):
    index, encoded = indexed
    crop = decode(encoded)
    return index, shrink(crop), _teacher.embed(crop)


def pack(faces_directory, out_directory, processes):
    out = pathlib.Path(out_directory)
    out.mkdir(parents=True, exist_ok=True)
    rows = read_manifest(faces_directory)
    identities = sorted({row["identity"] for row in rows} - {""})
    people.refuse_test_sets(identities)
    number = {"": NOBODY, **{identity: index for index, identity in enumerate(identities)}}
    shape = (len(rows), PACKED_SIDE, PACKED_SIDE, 3)
    crops = np.lib.format.open_memmap(out / "crops.npy", "w+", np.uint8, shape)
    embeddings = np.zeros((len(rows), TEACHER_DIMENSION), np.float16)
    with multiprocessing.Pool(processes, _start_worker, (faces_directory,)) as pool:
        packed = pool.imap_unordered(_shrink_and_embed, read_crops(faces_directory, rows), 32)
        for done, (index, crop, embedding) in enumerate(packed, 1):
            crops[index], embeddings[index] = crop, embedding
            if done % 4000 == 0:
                print(f"{done} of {len(rows)} crops", flush=True)
    if not embeddings.any(axis=1).all():
        raise ValueError("The manifest names crops that no shard holds.")
    crops.flush()
    np.save(out / "labels.npy", np.array([number[row["identity"]] for row in rows], np.int32))
    (out / "identities.txt").write_text("\n".join(identities) + "\n")
    np.save(out / "teacher.npy", embeddings)


class Faces:
    """The packed arrays, mapped into memory."""

    def __init__(self, directory):
        directory = pathlib.Path(directory)
        self.crops = np.load(directory / "crops.npy", mmap_mode="r")
        self.teacher = np.load(directory / "teacher.npy")
        self.labels = np.load(directory / "labels.npy")
        self.identities = (directory / "identities.txt").read_text().split()


def main():
    parser = argparse.ArgumentParser(description="Pack crops and teacher embeddings into arrays.")
    parser.add_argument("--faces", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    pack(arguments.faces, arguments.out, arguments.processes)


if __name__ == "__main__":
    main()
