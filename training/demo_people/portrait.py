"""Paints a 250x250 portrait around a face of the model: skull, ears, neck, hair, clothes, a plain background.

Everything of the head is painted in the model's mean shape, in crop units (the 112x112 crop spans 0..112) at
UNIT pixels per unit, and then moved by one warp: the person's shape, a tilt, a scale and a shift.
"""
import cv2
import numpy as np

from face_model import FACE, GRID_STEP, SIZE, X, Y, ellipse

UNIT = 3  # pixels of the painting per crop unit
LEFT, TOP, RIGHT, BOTTOM = -45, -45, 157, 175  # the painting's extent in crop units
OUTPUT = 250
DRAWN = 2 * OUTPUT  # drawn at twice the size, then reduced
HEIGHT, WIDTH = (BOTTOM - TOP) * UNIT, (RIGHT - LEFT) * UNIT
PAINT_Y, PAINT_X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
PAINT_X, PAINT_Y = PAINT_X / UNIT + LEFT, PAINT_Y / UNIT + TOP
MIDDLE = 55.5


def smooth_curve(points, count=60):
    """Points of a smooth curve close to the polygon `points` (Chaikin's corner cutting, then even resampling)."""
    points = np.array(points, float)
    for _ in range(4):
        a, b = points[:-1], points[1:]
        inner = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], 1).reshape(-1, 2)
        points = np.vstack([points[:1], inner, points[-1:]])
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, points[:, i]) for i in (0, 1)], 1)


def to_pixels(points, shift=4):
    return np.round((np.asarray(points) - [LEFT, TOP]) * UNIT * 2**shift).astype(np.int32)


def coverage(polygon, feather):
    """Mask 0..1 of a closed polygon in crop units, with a soft border."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [to_pixels(polygon)], 255, cv2.LINE_AA, 4)
    return (cv2.GaussianBlur(mask, (0, 0), feather * UNIT) / 255.0)[..., None].astype(np.float32)


def both_sides(half):
    """A closed outline from its right half, given from top to bottom."""
    half = np.asarray(half, float)
    return np.vstack([half, (half * [-1, 1] + [2 * MIDDLE, 0])[::-1]])


def lay(under, over, mask):
    return under + (over - under) * mask


def face_colours(texture, light):
    """The model's texture and light as colours in the painting, and how far to trust them (0 outside the face)."""
    colours = np.zeros((SIZE, SIZE, 3), np.float32)
    plane = np.stack([np.ones(FACE.sum(), np.float32), (X[FACE] - 55.5) / 56, (Y[FACE] - 64) / 56], 1)
    colours[FACE] = np.exp(texture.reshape(-1, 3) + plane @ light.reshape(3, 3)) - 8
    # Skin for the rest of the head: the face's own colours, carried outwards by a wide normalised blur.
    solid = np.clip(ellipse(55.5, 66, 34, 44) * 8, 0, 1)[..., None].astype(np.float32)
    wide = [cv2.copyMakeBorder(i, -TOP, BOTTOM - SIZE, -LEFT, RIGHT - SIZE, cv2.BORDER_CONSTANT)
            for i in (np.clip(colours, 0, 255) * solid, solid[..., 0])]
    weight = cv2.GaussianBlur(wide[1], (0, 0), 14)[..., None] + 1e-6
    skin = cv2.GaussianBlur(wide[0], (0, 0), 14) / weight
    skin = cv2.GaussianBlur(np.where(weight > 1e-3, skin, skin[SIZE // 2 - TOP, SIZE // 2 - LEFT]), (0, 0), 6)
    matrix = np.array([[UNIT, 0, -LEFT * UNIT], [0, UNIT, -TOP * UNIT]], float)
    face = cv2.warpAffine(colours, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
    face += 0.9 * (face - cv2.GaussianBlur(face, (0, 0), 1.1 * UNIT))  # averaging has softened it
    trust = np.clip(ellipse(55.5, 64, 41, 49, PAINT_X, PAINT_Y) * 4, 0, 1)[..., None]
    return face, trust * trust * (3 - 2 * trust), cv2.resize(skin, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def strands(picture, look, inner, outer, random):
    """Hair between two curves that run from the parting to the tips: many thin lines, in shades of one colour."""
    inner, outer = smooth_curve(inner), smooth_curve(outer)
    fringe = inner + 0.12 * (outer - inner)  # single strands, not a dark edge, make the hairline
    cv2.fillPoly(picture, [to_pixels(np.vstack([fringe, outer[::-1]]))], [0.6 * c for c in look["hair"]], cv2.LINE_8, 4)
    count, run = look["strands"], np.linspace(0, 1, 24)
    start, depth = random.uniform(-0.3, 0.95, (count, 1)), random.uniform(0, 1, (count, 1))
    along = np.clip(start + run * look["comb"] * random.uniform(0.4, 1, (count, 1)), 0, 1)
    across = np.clip(depth + run * (1 - look["comb"]) * 0.8, 0, 1.02)
    across += look["wave"] * np.sin(run * 9 + random.uniform(-0.7, 0.7, (count, 1)) + 7 * start) * run
    at = along * (len(inner) - 1)
    near, far = (np.stack([np.interp(at, np.arange(len(curve)), curve[:, i]) for i in (0, 1)], 2) for curve in (inner, outer))
    points = to_pixels(near + (far - near) * across[..., None])
    shine = 0.75 + 0.45 * np.exp(-(((start - 0.25) / 0.2) ** 2)) * depth + random.normal(0, 0.13, (count, 1))
    colours = np.clip(np.array(look["hair"]) * shine, 0, 255).tolist()
    for line, colour, width in zip(points, colours, random.integers(1, 3, count).tolist()):
        cv2.polylines(picture, [line], False, colour, width, cv2.LINE_AA, 4)


def paint_hair(picture, look, behind, random):
    """The part of the hair behind the neck, or the part over the skull."""
    lift, line, fall = look["volume"], look["hairline"], look["length"]
    for side in (-1, 1):
        parting = MIDDLE + side * 0.3 + look["parting"]
        x = lambda reach: MIDDLE + side * reach
        if behind:
            inner = [(parting, 0), (x(20), 20), (x(20), 90), (x(22), fall)]
            outer = [(parting, -14 - lift), (x(36), -12 - lift), (x(51 + lift), 40), (x(51 + lift), 90), (x(54 + lift), fall)]
            strands(picture, {**look, "comb": 0.9}, inner, outer, random)
        else:
            tip = min(fall, 66)
            inner = [(parting, line), (x(24), line - 2), (x(35), line + 14), (x(40), 50), (x(42), tip)]
            outer = [(parting, -15 - lift), (x(28), -16 - lift), (x(48 + lift / 2), 2), (x(49 + lift / 2), 45), (x(47), tip + 3)]
            strands(picture, look, inner, outer, random)


def head(texture, light, look, random):
    """The painted head in the mean shape with its coverage: (colours, mask)."""
    face, trust, skin = face_colours(texture, light)
    canvas = np.ascontiguousarray(skin)
    mask = np.zeros((HEIGHT, WIDTH, 1), np.float32)
    if look["length"] > 80:
        blank = np.full_like(canvas, -1000)
        paint_hair(blank, look, True, random)
        hair = (blank[..., :1] > -500).astype(np.float32)
        canvas, mask = lay(canvas, blank, hair), np.maximum(mask, cv2.GaussianBlur(hair, (0, 0), 2)[..., None])
    neck = coverage(both_sides(smooth_curve([(MIDDLE, 60), (87, 60), (86, 105), (88, 128), (104, 140), (104, 175)])), 1)
    under_chin = 0.86 - 0.26 * np.exp(-(((PAINT_Y - 112) / 14) ** 2)) - 0.16 * ((PAINT_X - MIDDLE) / 32) ** 2
    canvas, mask = lay(canvas, skin * np.clip(under_chin, 0.3, 1)[..., None], neck), np.maximum(mask, neck)
    for side in (-1, 1):
        ear = np.clip(ellipse(MIDDLE + side * 43.5, 64, 6, 13, PAINT_X, PAINT_Y) * 8, 0, 1)[..., None]
        hollow = np.clip(ellipse(MIDDLE + side * 45.5, 63, 3, 8, PAINT_X, PAINT_Y), 0, 1)[..., None]
        canvas, mask = lay(canvas, skin * (0.88 - 0.3 * hollow), ear), np.maximum(mask, ear)
    outline = both_sides(smooth_curve([(MIDDLE, -15), (76, -15), (94, -5), (103, 20), (101, 50), (99, 76), (90, 99),
                                       (70, 116), (MIDDLE, 116)]))
    skull = coverage(outline, 0.9)
    edge = np.clip(1.02 - 0.4 * np.abs((PAINT_X - MIDDLE) / 45) ** 4 - 0.25 * np.clip((PAINT_Y - 98) / 20, 0, 1) ** 2, 0, 1)
    canvas = lay(canvas, lay(skin * edge[..., None], face, trust), skull)
    mask = np.maximum(mask, skull)
    if look["length"] > 0:
        canvas = np.ascontiguousarray(canvas, np.float32)
        blank = np.full_like(canvas, -1000)
        paint_hair(blank, look, False, random)
        hair = cv2.GaussianBlur((blank[..., :1] > -500).astype(np.float32), (0, 0), 1.5)[..., None]
        shadow = cv2.GaussianBlur(hair, (0, 0), 3 * UNIT)[..., None]
        canvas = lay(canvas * (1 - 0.25 * shadow), np.where(blank > -500, blank, np.float32(look["hair"]) * 0.6), hair)
        mask = np.maximum(mask, hair)
    return np.clip(canvas, 0, 255), mask


def move(painting, shape, pose, interpolation):
    """The painting under the person's shape (a flow of the mean shape) and the pose (tilt, scale, shift)."""
    flow = cv2.resize(shape.reshape(SIZE // GRID_STEP, -1, 2).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    flow = cv2.copyMakeBorder(flow, -TOP, BOTTOM - SIZE, -LEFT, RIGHT - SIZE, cv2.BORDER_REPLICATE)
    flow = cv2.GaussianBlur(flow, (0, 0), 3)
    down, across = np.mgrid[0:DRAWN, 0:DRAWN].astype(np.float32)
    matrix = cv2.getRotationMatrix2D((MIDDLE, 70), pose["tilt_degrees"], pose["scale"] * 2)
    matrix[:, 2] += np.array([OUTPUT, 1.06 * OUTPUT]) + 2 * np.array(pose["shift"]) - [MIDDLE, 70]
    back = cv2.invertAffineTransform(matrix)
    target_x = back[0, 0] * across + back[0, 1] * down + back[0, 2]
    target_y = back[1, 0] * across + back[1, 1] * down + back[1, 2]
    source_x, source_y = target_x.copy(), target_y.copy()
    for _ in range(8):  # fixed point of source + flow(source) = target
        moved = cv2.remap(flow, (source_x - LEFT).astype(np.float32), (source_y - TOP).astype(np.float32), cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE)
        source_x, source_y = target_x - moved[..., 0], target_y - moved[..., 1]
    return cv2.remap(painting, ((source_x - LEFT) * UNIT).astype(np.float32), ((source_y - TOP) * UNIT).astype(np.float32),
                     interpolation, borderMode=cv2.BORDER_REPLICATE)


def portrait(shape, texture, light, look, pose, random):
    """One image, uint8 BGR, OUTPUT x OUTPUT."""
    canvas, mask = head(texture, light, look, random)
    canvas = move(canvas, shape, pose, cv2.INTER_LINEAR)
    mask = move(np.dstack([mask] * 3), shape, pose, cv2.INTER_LINEAR)
    down, across = np.mgrid[0:DRAWN, 0:DRAWN].astype(np.float32) / DRAWN
    backdrop = np.float32(pose["backdrop"]) * (1.08 - 0.22 * np.hypot(across - 0.5, down - 0.3))[..., None]
    picture = lay(backdrop, canvas, mask)
    shoulders = np.array([(-0.02, 1.1), (0.02, 0.95), (0.12, 0.89), (0.34, 0.84), (0.40, 0.86), (0.5, pose["neckline"]),
                          (0.60, 0.86), (0.66, 0.84), (0.88, 0.89), (0.98, 0.95), (1.02, 1.1)])
    shoulders[:, 0] += pose["shift"][0] / OUTPUT
    cloth = np.zeros((DRAWN, DRAWN), np.uint8)
    cv2.fillPoly(cloth, [np.round(smooth_curve(shoulders) * DRAWN * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    cloth = cv2.GaussianBlur(cloth, (0, 0), 1.2)[..., None] / 255.0
    folds = 0.95 - 0.25 * np.abs(across - 0.5) + 0.05 * np.sin(18 * across + 9 * down)
    picture = lay(picture, np.float32(pose["cloth"]) * folds[..., None], cloth)
    picture = cv2.resize(picture, (OUTPUT, OUTPUT), interpolation=cv2.INTER_AREA)
    return np.clip(picture * pose["exposure"] + random.normal(0, pose["noise"], picture.shape), 0, 255).astype(np.uint8)
