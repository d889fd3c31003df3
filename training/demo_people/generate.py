#!/usr/bin/python3
"""Makes the fictitious people of the demo: FACES/train -> examples/people and examples/refused.

    training/demo_people/generate.py FACES [--out examples]

FACES holds train/manifest.csv and train/faces-*.tar (aligned 112x112 crops) and models/ (see viewer.py). Runs on Debian's python3 with the packages
python3-numpy, python3-opencv and opencv-data; about 5 minutes and 4 GB of memory on one core. examples/people/README.md is the card.
"""
import argparse
import json
import pathlib

import cv2
import numpy as np

import face_model
from portrait import portrait
from viewer import Viewer

SEED = 1297  # the year of the closing of the Great Council of Venice
CANDIDATES = 60  # for each person
SAME = (0.75, 0.92)  # least similarity (MobileFaceNet, HOG) of an image to the plain portrait of its person
IMAGES = 6
IDENTITY = {"shape": 1.5, "texture": 1.25, "light": 1.0}  # in standard deviations between real people
VARIATION = {"shape": 0.2, "texture": 0.2, "light": 0.35}  # in standard deviations within one real person

BLACK, BROWN, CHESTNUT, BLOND, RED, GREY = (28, 24, 24), (38, 52, 74), (45, 78, 125), (105, 160, 200), (38, 62, 145), (150, 152, 158)
# comb: 1 = along the hairline, 0 = straight back. length: where the tips end, in crop units; 0 = bald.
SLEEK, SHORT, CROPPED, BOB, LONG, WAVY, BALD = (
    {"comb": 0.9, "wave": 0.0, "volume": 0, "hairline": 15, "length": 58},
    {"comb": 0.6, "wave": 0.03, "volume": 1, "hairline": 14, "length": 56},
    {"comb": 0.2, "wave": 0.0, "volume": -4, "hairline": 17, "length": 52},
    {"comb": 0.85, "wave": 0.02, "volume": 2, "hairline": 16, "length": 118},
    {"comb": 0.7, "wave": 0.03, "volume": 1, "hairline": 15, "length": 165},
    {"comb": 0.5, "wave": 0.12, "volume": 4, "hairline": 15, "length": 150},
    {"comb": 0.0, "wave": 0.0, "volume": 0, "hairline": 15, "length": 0},
)
PEOPLE = (  # name, enrolled in the demo, hair
    ("Arlecchino", True, BLACK, SHORT), ("Brighella", True, BROWN, CROPPED), ("Colombina", True, BROWN, LONG),
    ("Corallina", True, RED, WAVY), ("Diamantina", False, BLOND, BOB), ("Franceschina", True, BLACK, BOB),
    ("Mezzettino", True, CHESTNUT, SLEEK), ("Pantalone", False, GREY, CROPPED), ("Pasquella", False, CHESTNUT, LONG),
    ("Pulcinella", True, BLACK, BALD), ("Rosaura", True, BLOND, WAVY), ("Scaramuccia", True, BLACK, SLEEK),
    ("Smeraldina", True, CHESTNUT, BOB), ("Tartaglia", True, GREY, SHORT), ("Truffaldino", False, RED, CROPPED),
    ("Zerbinetta", True, BLACK, WAVY),
)


def draw_coefficients(model, spread_index, scale, random):
    """Random coefficients of every part; 1.6 standard deviations at most, so that no face is a caricature."""
    return {part: scale[part] * model[part][spread_index] * np.clip(random.standard_normal(len(model[part][1])), -1.6, 1.6)
            for part in scale}


def synthesise(model, identity, variation=None):
    """Vectors (shape, texture, light) of one image of a person."""
    vectors = {}
    for part in identity:
        mean, components = model[part][:2]
        vectors[part] = (mean + (identity[part] + (variation[part] if variation else 0)) @ components).astype(np.float32)
    return vectors


def look(hair, style, random):
    return {**style, "hair": hair, "strands": 1000, "parting": random.uniform(-13, 13)}


def pose(random, **fixed):
    """Everything about one image that is not the person."""
    drawn = {
        "tilt_degrees": random.normal(0, 3), "scale": 1.3 * random.uniform(0.94, 1.06), "shift": random.uniform(-6, 6, 2),
        "backdrop": random.uniform(120, 205) + random.uniform(-18, 18, 3), "cloth": random.uniform(25, 190, 3),
        "neckline": random.uniform(0.87, 0.94), "exposure": random.uniform(0.85, 1.1), "noise": random.uniform(1, 2.5),
    }
    return {**drawn, **fixed}


def choose_identities(model, viewer, looks, random):
    """One identity for each look, of many sampled ones that are plainly faces: each the least similar to those before it."""
    chosen, described = [], []
    for own_look in looks:
        best = (np.inf, None, None)
        for _ in range(CANDIDATES):
            identity = draw_coefficients(model, 2, IDENTITY, random)
            plain = pose(random, tilt_degrees=0, scale=1.3, shift=(0, 0), exposure=1, noise=0)
            image = portrait(**synthesise(model, identity), look=own_look, pose=plain, random=random)
            if not viewer.sees_one_face(image):
                continue
            descriptors = viewer.describe(image)
            # How far each similarity lies on the way to that of two images of one person.
            nearness = max((max(a @ b / limit for a, b, limit in zip(descriptors, other, SAME)) for other in described), default=0)
            best = min(best, (nearness, identity, descriptors), key=lambda entry: entry[0])
        chosen.append(best[1:])
        described.append(best[2])
    return chosen


def photograph(model, viewer, identity, described, own_look, random):
    """One image of a person; drawn anew until both detectors find exactly one face and both descriptors the person."""
    while True:
        vectors = synthesise(model, identity, draw_coefficients(model, 3, VARIATION, random))
        image = portrait(**vectors, look=own_look, pose=pose(random), random=random)
        if viewer.sees_one_face(image) and all(a @ b > limit for a, b, limit in zip(viewer.describe(image), described, SAME)):
            return image


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 88])


def landscape(size=250):
    """A picture without a face: sky, hills, a lagoon."""
    down, across = np.mgrid[0:size, 0:size] / size
    picture = np.stack([235 - 40 * down, 190 - 30 * down + 30 * across, 140 + 90 * down], 2)
    for level, colour in ((0.55, (120, 110, 70)), (0.62, (80, 110, 60))):
        picture[down > level + 0.05 * np.sin(9 * across + 40 * level)] = colour
    water = down > 0.75
    picture[water] = (np.array([150, 120, 60]) + 12 * np.sin(90 * down + 3 * np.sin(12 * across))[..., None])[water]
    return np.clip(picture, 0, 255).astype(np.uint8)


def write_refused(folder, first, second):
    """One image for each reason to refuse an image."""
    write(folder / "no_face.jpg", landscape())
    write(folder / "two_faces.jpg", np.hstack([first, second]))
    write(folder / "too_dark.jpg", (first * 0.06).astype(np.uint8))
    write(folder / "too_blurred.jpg", cv2.GaussianBlur(first, (0, 0), 7))
    write(folder / "too_small.jpg", cv2.resize(first, (84, 84), interpolation=cv2.INTER_AREA))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=pathlib.Path, help="folder that holds train/manifest.csv and train/faces-*.tar")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("examples"))
    parser.add_argument("--fitted-on", type=pathlib.Path, help="write the paths of the crops the model was fitted on here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    model, fitted_on = face_model.fit(*face_model.frontal_crops(arguments.faces / "train", SEED))
    if arguments.fitted_on:
        arguments.fitted_on.write_text("\n".join(fitted_on) + "\n")
    print(f"model of {len(fitted_on)} crops")

    random, viewer = np.random.default_rng(SEED), Viewer(arguments.faces / "models")
    looks = [look(hair, style, random) for _, _, hair, style in PEOPLE]
    identities = choose_identities(model, viewer, looks, random)
    listing, first_images = [], []
    for (name, enrolled, *_), own_look, (identity, described) in zip(PEOPLE, looks, identities):
        files = [f"{name}_{number:04d}.jpg" for number in range(1, IMAGES + 1)]
        for file in files:
            image = photograph(model, viewer, identity, described, own_look, random)
            write(arguments.out / "people" / name / file, image)
            if file == files[0]:
                first_images.append(image)
        used = IMAGES // 2 if enrolled else 0
        listing.append({"name": name, "enrolled": enrolled, "enrol": files[:used], "probe": files[used:]})
    text = json.dumps(listing, indent=2)
    (arguments.out / "people" / "people.json").write_text(text + "\n")
    write_refused(arguments.out / "refused", first_images[0], first_images[2])


if __name__ == "__main__":
    main()
