"""A linear model of frontal faces: how faces differ in shape, in texture and in skin tone.

Fitted to aligned 112x112 crops. Each crop is brought into one mean shape by optical flow towards its own low-rank
reconstruction (the idea of "Collection Flow", Kemelmacher-Shlizerman and Seitz, CVPR 2012), so that the average is not a
ghost. What the flow moved is the shape; what is left is the texture. Each is reduced by PCA, and each component's
variance is split into a part between people and a part within one person.
"""
import collections
import csv
import pathlib
import random
import tarfile

import cv2
import numpy as np

SIZE = 112
GRID_STEP = 7  # the flow field is smooth: one sample per 7 pixels keeps it
Y, X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def ellipse(center_x, center_y, radius_x, radius_y, x=X, y=Y):
    """1 at the centre, 0 on the ellipse's border, negative outside."""
    return 1 - np.hypot((x - center_x) / radius_x, (y - center_y) / radius_y)


FACE = ellipse(55.5, 64, 45, 52) > 0  # pixels the texture model covers, in the mean shape
CORE = ellipse(55.5, 66, 36, 44) > 0  # eyes, nose, mouth: what registration and filters look at
FLOW_WEIGHT = np.clip(ellipse(55.5, 64, 62, 70) * 5, 0, 1)[..., None]


def load_crops(folder, per_identity, limit, seed):
    """Crops of folder/faces-*.tar listed in folder/manifest.csv: (images, names of identities)."""
    with open(folder / "manifest.csv", newline="") as manifest:
        rows = list(csv.DictReader(manifest))
    random.Random(seed).shuffle(rows)
    taken, wanted = collections.Counter(), {}
    for row in rows:
        if taken[row["identity"]] < per_identity and len(wanted) < limit:
            taken[row["identity"]] += 1
            wanted[row["path"]] = row["identity"]
    images, identities, paths = [], [], []
    for archive in sorted(folder.glob("faces-*.tar")):
        with tarfile.open(archive) as members:
            for member in members:
                if member.name in wanted:
                    packed = np.frombuffer(members.extractfile(member).read(), np.uint8)
                    images.append(cv2.imdecode(packed, cv2.IMREAD_COLOR))
                    identities.append(wanted[member.name])
                    paths.append(member.name)
    return np.stack(images), np.array(identities), np.array(paths)


def symmetry(image):
    """Correlation of the gradients with those of the mirrored image: high for a frontal face in even light."""
    gray = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32), (0, 0), 3)
    across, down = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    seen = np.concatenate([across[CORE], down[CORE]])
    mirrored = np.concatenate([-across[:, ::-1][CORE], down[:, ::-1][CORE]])
    return np.corrcoef(seen, mirrored)[0, 1]


def even_luminance(image):
    """Luminance with the local mean and contrast taken out, as 8 bits for the optical flow."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    high = gray - cv2.GaussianBlur(gray, (0, 0), 10)
    contrast = np.sqrt(cv2.GaussianBlur(high * high, (0, 0), 20)) + 4
    return np.clip(128 + 45 * high / contrast, 0, 255).astype(np.uint8)


def warp(image, flow, interpolation=cv2.INTER_LINEAR):
    return cv2.remap(image, X + flow[..., 0], Y + flow[..., 1], interpolation, borderMode=cv2.BORDER_REPLICATE)


def principal_components(rows, count, seed=0):
    """Mean and first `count` orthonormal components of `rows`, by a randomised SVD with two power iterations."""
    mean = rows.mean(0)
    centred = rows - mean
    basis = centred.T @ np.random.default_rng(seed).standard_normal((len(rows), count + 20), np.float32)
    for _ in range(2):
        basis = centred.T @ (centred @ np.linalg.qr(basis)[0])
    basis = np.linalg.qr(basis)[0]
    _, _, components = np.linalg.svd(centred @ basis, full_matrices=False)
    components = (components @ basis.T)[:count]
    largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1)
    return mean, components * np.sign(largest)  # an SVD leaves the signs open; the drawn people must not depend on them


def register(images, ranks=(1, 4, 8, 12, 16)):
    """Flow from the common mean shape to every image, and the residual of the last low-rank reconstruction."""
    luminance = [even_luminance(image) for image in images]
    optical_flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flows = np.zeros((len(images), SIZE, SIZE, 2), np.float32)
    for rank in ranks:
        warped = np.stack([warp(l, f)[FACE] for l, f in zip(luminance, flows)]).astype(np.float32)
        mean, components = principal_components(warped, rank)
        rebuilt = mean + (warped - mean) @ components.T @ components
        target = np.full((SIZE, SIZE), 128, np.uint8)
        for i, image in enumerate(luminance):
            target[FACE] = np.clip(rebuilt[i], 0, 255)
            source = np.where(FACE, image, 128).astype(np.uint8)
            flow = optical_flow.calc(target, image, None)
            flows[i] = cv2.GaussianBlur(np.clip(flow, -8, 8) * FLOW_WEIGHT, (0, 0), 4)
        flows -= flows.mean(0)  # keep the mean shape the mean
    return flows, np.sqrt(((warped - rebuilt) ** 2).mean(1))


def light_and_texture(image):
    """Log colour of the face split into a plane of light (3x3: offset, x, y per channel) and the rest."""
    logs = np.log(image.astype(np.float32) + 8)[FACE]
    plane = np.stack([np.ones(FACE.sum(), np.float32), (X[FACE] - 55.5) / 56, (Y[FACE] - 64) / 56], 1)
    light = np.linalg.lstsq(plane[CORE[FACE]], logs[CORE[FACE]], rcond=None)[0]
    return light, logs - plane @ light


def spread(coefficients, identities):
    """Standard deviations (between people, within one person) of each coefficient."""
    _, group, sizes = np.unique(identities, return_inverse=True, return_counts=True)
    means = np.zeros((len(sizes), coefficients.shape[1]))
    np.add.at(means, group, coefficients)
    means /= sizes[:, None]
    repeated = sizes[group] > 1
    within = ((coefficients - means[group])[repeated] ** 2).sum(0) / (sizes[sizes > 1] - 1).sum()
    between = np.maximum(coefficients.var(0) - within, 0.05 * coefficients.var(0))
    return np.sqrt(between), np.sqrt(within)


def frontal_crops(folder, seed):
    """What the model is fitted to: the more symmetric half of 20,000 crops, at most 8 of one identity."""
    images, identities, paths = load_crops(folder, 8, 20000, seed)
    symmetries = np.array([symmetry(image) for image in images])
    frontal = symmetries > np.quantile(symmetries, 0.45)
    return images[frontal], identities[frontal], paths[frontal]


def fit(images, identities, paths, shape_rank=25, texture_rank=80):
    """The model, {"shape" | "texture" | "light": (mean, components, spread between, spread within)}, and the paths used."""
    flows, residual = register(images)
    keep = residual < np.quantile(residual, 0.7)  # drops glasses, hands, hats
    flows, images, identities = flows[keep], images[keep], identities[keep]
    parts = [light_and_texture(warp(image, flow, cv2.INTER_CUBIC)) for image, flow in zip(images, flows)]
    rows = {
        "shape": flows[:, ::GRID_STEP, ::GRID_STEP].reshape(len(flows), -1),
        "texture": np.stack([texture for _, texture in parts]).reshape(len(flows), -1),
        "light": np.stack([light for light, _ in parts]).reshape(len(flows), -1),
    }
    model = {}
    for name, rank in (("shape", shape_rank), ("texture", texture_rank), ("light", 9)):
        mean, components = principal_components(rows[name], rank)
        coefficients = (rows[name] - mean) @ components.T
        model[name] = (mean, components, *spread(coefficients, identities))
    return model, paths[keep]
