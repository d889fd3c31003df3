#!/usr/bin/python3
"""Checks the demo's people: one face in each image, nobody a near copy of a training face, everybody apart.

    training/demo_people/check.py FACES [--examples examples] [--embeddings FILE.npz]

FACES holds train/ (the crops) and models/ (YuNet and MobileFaceNet as ONNX files). Needs Debian's python3-numpy,
python3-opencv and opencv-data. Embedding the crops takes about 10 minutes on one core; FILE.npz keeps the result.
Prints the figures of examples/people/README.md; exits with 1 if a limit is broken.
"""
import argparse
import itertools
import json
import pathlib
import sys
import tarfile

import cv2
import numpy as np

from viewer import Viewer, align, hog

NEAR_COPY_LIMIT = 0.6  # cosine; two images of one real person reach it in most cases, two people hardly ever
def embed_training_crops(viewer, folder):
    paths, embeddings = [], []
    for archive in sorted(folder.glob("faces-*.tar")):
        with tarfile.open(archive) as members:
            for member in members:
                packed = np.frombuffer(members.extractfile(member).read(), np.uint8)
                embeddings.append(viewer.embed(cv2.imdecode(packed, cv2.IMREAD_COLOR)))
                paths.append(member.name)
    return np.array(paths), np.array(embeddings, np.float32)


def separation(title, descriptors, names):
    """Prints the same-person and different-person cosines; returns whether they are apart."""
    descriptors = np.array(descriptors)
    cosine = descriptors @ descriptors.T
    same, other = [], []
    for i, j in itertools.combinations(range(len(names)), 2):
        (same if names[i] == names[j] else other).append(cosine[i, j])
    print(f"{title}: same person {min(same):.3f} .. {max(same):.3f} (median {np.median(same):.3f}), "
          f"different people {min(other):.3f} .. {max(other):.3f} (median {np.median(other):.3f})")
    return min(same) > max(other)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=pathlib.Path)
    parser.add_argument("--examples", type=pathlib.Path, default=pathlib.Path("examples"))
    parser.add_argument("--embeddings", type=pathlib.Path, help="where to keep the embeddings of the training crops")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    viewer = Viewer(arguments.faces / "models")
    problems = []

    names, crops = [], []
    people = json.loads((arguments.examples / "people" / "people.json").read_text())
    for person in people:
        for file in person["enrol"] + person["probe"]:
            image = cv2.imread(str(arguments.examples / "people" / person["name"] / file))
            by_haar, by_yunet = viewer.haar_count(image), viewer.yunet_faces(image)
            if by_haar != 1 or len(by_yunet) != 1:
                problems.append(f"{file}: Haar finds {by_haar} faces, YuNet {len(by_yunet)}")
            if len(by_yunet):
                names.append(person["name"])
                crops.append(align(image, by_yunet[0]))
    print(f"{len(people)} people, {len(names)} images")

    if arguments.embeddings and arguments.embeddings.exists():
        kept = np.load(arguments.embeddings)
        paths, training = kept["paths"], kept["embeddings"]
    else:
        paths, training = embed_training_crops(viewer, arguments.faces / "train")
        if arguments.embeddings:
            np.savez(arguments.embeddings, paths=paths, embeddings=training)
    ours = np.array([viewer.embed(crop) for crop in crops])
    nearest = (ours @ training.T).max(1)
    print(f"similarity to the nearest of {len(paths)} training crops: largest {nearest.max():.3f}, median {np.median(nearest):.3f}")
    if nearest.max() > NEAR_COPY_LIMIT:
        problems.append(f"{names[nearest.argmax()]} comes within {nearest.max():.3f} of a training crop")
    identities = np.array([path.split("/")[0] for path in paths])
    sample = np.random.default_rng(0).choice(len(paths), 1000, replace=False)
    cosine = training[sample] @ training.T
    mine = identities[sample][:, None] == identities[None]
    same = cosine[mine & (sample[:, None] != np.arange(len(paths)))]
    foreign = np.where(mine, -1, cosine).max(1)
    print(f"for comparison, real faces: two images of one person median {np.median(same):.3f}; the nearest crop of anybody "
          f"else median {np.median(foreign):.3f}, 99 % below {np.quantile(foreign, 0.99):.3f}")

    for title, descriptors in (("MobileFaceNet", ours), ("HOG", [hog(crop) for crop in crops])):
        if not separation(title, descriptors, names):
            problems.append(f"{title} does not keep all people apart")

    for path in sorted((arguments.examples / "refused").glob("*.jpg")):
        image = cv2.imread(str(path))
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        print(f"{path.name}: Haar {viewer.haar_count(image)}, YuNet {len(viewer.yunet_faces(image))}, mean {gray.mean():.0f}, "
              f"sharpness {cv2.Laplacian(gray, cv2.CV_64F).var():.0f}")
    print("\n".join(problems) or "no limit broken")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
