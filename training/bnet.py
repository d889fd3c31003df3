"""The .bnet file (docs/formats/network.md): a network as a list of layers, and its evaluation.

The evaluation here is the reference for every other one: plain loops over the layers, in float32.
"""

import dataclasses
import hashlib
import struct

import numpy as np
import torch
from torch.nn import functional

MAGIC = b"BAUTANET"
VERSION, VERSION_WITHOUT_BLOCKS = 2, 1
CONVOLUTION, SQUARE, LINEAR, OPENING_CONVOLUTION = 1, 2, 3, 4
ENCODINGS = {1: np.dtype("<f4"), 2: np.dtype("<f2")}


@dataclasses.dataclass
class Input:
    """Central `side` pixels of the face scaled to `packed_side`, cut into patches and blocks."""

    packed_side: int
    side: int
    patches_per_side: int
    block_side: int

    @property
    def patches(self):
        return self.patches_per_side**2

    @property
    def map_side(self):
        return self.side // self.patches_per_side // self.block_side

    @property
    def channels(self):
        return 3 * self.block_side**2


@dataclasses.dataclass
class Convolution:
    """weights [patches, outputs, inputs, 3, 3]; adds_trunk: the last square's input is added.

    With `shortcut` the convolution opens a block: its input, at the same stride through a 1x1
    convolution [patches, outputs, inputs] or times a factor a channel [patches, outputs], is added
    to the next convolution's result.
    """

    weights: np.ndarray
    adds_trunk: bool = False
    stride: int = 1
    shortcut: np.ndarray = None


@dataclasses.dataclass
class Square:
    """(x + shift)^2 with shift [patches * channels, side, side]; |x + shift| stays below bound."""

    shift: np.ndarray
    bound: float


@dataclasses.dataclass
class Linear:
    """weights [outputs, patches * channels * (side / pool)^2], after an average over pool x pool."""

    weights: np.ndarray
    bias: np.ndarray
    pool: int


@dataclasses.dataclass
class Network:
    """The thresholds are cosines at or above which two faces count as one person's."""

    name: str
    input: Input
    layers: list
    threshold_verify: float = 1.0
    threshold_identify: float = 1.0


def encode(network, weight_encoding=2):
    """The file's bytes. Shifts, bounds and biases are always float32."""
    def array(values, encoding):
        kind = ENCODINGS[encoding]
        with np.errstate(over="ignore"):
            encoded = np.ascontiguousarray(values, kind)
        if not np.isfinite(encoded).all():
            raise ValueError("A weight is not finite in the chosen encoding.")
        return struct.pack("<I", encoding) + encoded.tobytes()

    name = network.name.encode()
    has_blocks = any(getattr(layer, "shortcut", None) is not None for layer in network.layers)
    version = VERSION if has_blocks or network.input.packed_side > 112 else VERSION_WITHOUT_BLOCKS
    parts = [MAGIC, struct.pack("<II", version, len(name)), name,
             struct.pack("<2f", network.threshold_verify, network.threshold_identify),
             struct.pack("<5I", *dataclasses.astuple(network.input), len(network.layers))]
    for layer in network.layers:
        if isinstance(layer, Convolution) and layer.shortcut is not None:
            parts += [struct.pack("<6I", OPENING_CONVOLUTION, *layer.weights.shape[:3],
                                  layer.stride, layer.shortcut.ndim == 3),
                      array(layer.weights, weight_encoding),
                      array(layer.shortcut, weight_encoding)]
        elif isinstance(layer, Convolution):
            patches, outputs, inputs = layer.weights.shape[:3]
            parts += [struct.pack("<5I", CONVOLUTION, patches, outputs, inputs, layer.adds_trunk),
                      array(layer.weights, weight_encoding)]
        elif isinstance(layer, Square):
            channels, side = layer.shift.shape[:2]
            parts += [struct.pack("<3If", SQUARE, channels, side, layer.bound),
                      array(layer.shift, 1)]
        else:
            parts += [struct.pack("<4I", LINEAR, *layer.weights.shape, layer.pool),
                      array(layer.weights, weight_encoding), array(layer.bias, 1)]
    content = b"".join(parts)
    return content + hashlib.sha256(content).digest()


def decode(content):
    """The network in a file's bytes."""
    if content[:8] != MAGIC or hashlib.sha256(content[:-32]).digest() != content[-32:]:
        raise ValueError("The bytes are not an intact .bnet file.")
    offset = 8

    def take(layout):
        nonlocal offset
        values = struct.unpack_from(layout, content, offset)
        offset += struct.calcsize(layout)
        return values

    def array(*shape):
        nonlocal offset
        kind = ENCODINGS[take("<I")[0]]
        count = int(np.prod(shape))
        values = np.frombuffer(content, kind, count, offset)
        offset += count * kind.itemsize
        return values.astype(np.float32).reshape(shape)

    def layer():
        kind = take("<I")[0]
        if kind == CONVOLUTION:
            patches, outputs, inputs, adds_trunk = take("<4I")
            return Convolution(array(patches, outputs, inputs, 3, 3), bool(adds_trunk))
        if kind == OPENING_CONVOLUTION:
            patches, outputs, inputs, stride, projects = take("<5I")
            weights = array(patches, outputs, inputs, 3, 3)
            shape = (patches, outputs, inputs) if projects else (patches, outputs)
            return Convolution(weights, False, stride, array(*shape))
        if kind == SQUARE:
            channels, side, bound = take("<2If")
            return Square(array(channels, side, side), bound)
        outputs, inputs, pool = take("<3I")
        return Linear(array(outputs, inputs), array(outputs), pool)

    version, name_size = take("<II")
    if version not in (VERSION, VERSION_WITHOUT_BLOCKS):
        raise ValueError(f"Version {version} of the format is not known here.")
    name = take(f"{name_size}s")[0].decode()
    thresholds = take("<2f")
    geometry = Input(*take("<4I"))
    return Network(name, geometry, [layer() for _ in range(take("<I")[0])], *thresholds)


def helical_convolution(maps, weights, lead=1, stride=1):
    """[n, patches * inputs, s, s] by [patches, outputs, inputs, 3, 3]: a tap that leaves the map to
    the right comes back `lead` rows further down, one that leaves it to the left as many further
    up, and rows are taken modulo s."""
    side = maps.shape[-1]
    patches, outputs, inputs = weights.shape[:3]
    padded = torch.arange(-1, side + 1)
    wraps = torch.div(padded, side, rounding_mode="floor")
    rows = (padded[:, None] + lead * wraps[None, :]) % side
    return functional.conv2d(maps[:, :, rows, (padded % side)[None, :].expand_as(rows)],
                             weights.reshape(patches * outputs, inputs, 3, 3), stride=stride,
                             groups=patches)


def shortcut_of(maps, layer):
    """What a block's first convolution puts aside for its last one."""
    kept = maps[:, :, ::layer.stride, ::layer.stride]
    weights = torch.from_numpy(layer.shortcut)
    if weights.ndim == 2:
        return kept * weights.reshape(1, -1, 1, 1)
    patches, outputs, inputs = weights.shape
    return functional.conv2d(kept, weights.reshape(patches * outputs, inputs, 1, 1),
                             groups=patches)


def to_maps(images, geometry):
    """[n, 3, side, side] to [n, patches * channels, s, s]; a patch's channels are ordered (row,
    column, colour) of the pixel in its block."""
    p, s, b = geometry.patches_per_side, geometry.map_side, geometry.block_side
    blocks = images.reshape(-1, 3, p, s, b, p, s, b)
    return blocks.permute(0, 2, 5, 4, 7, 1, 3, 6).reshape(
        -1, geometry.patches * geometry.channels, s, s)


@torch.no_grad()
def evaluate(network, images, squares=None, noise=0.0):
    """Embeddings [n, dimension] of images [n, 3, side, side] in [-1, 1].

    `squares`, a list, receives each square's x + shift; `noise` is the deviation of what is added
    there and to the linear map's input, as slots under encryption have it.
    """
    def disturbed(values):
        return values + noise * torch.randn_like(values) if noise else values

    maps = to_maps(images, network.input)
    last_side = maps.shape[-1]
    for layer in network.layers:
        last_side //= getattr(layer, "stride", 1)
    trunk = shortcut = None
    for layer in network.layers:
        if isinstance(layer, Convolution):
            product = helical_convolution(maps, torch.from_numpy(layer.weights),
                                          maps.shape[-1] // last_side, layer.stride)
            if layer.adds_trunk:
                product += trunk
            if shortcut is not None:
                product += shortcut
            shortcut = None if layer.shortcut is None else shortcut_of(maps, layer)
            maps = product
        elif isinstance(layer, Square):
            trunk = maps
            shifted = disturbed(maps + torch.from_numpy(layer.shift))
            if squares is not None:
                squares.append(shifted)
            maps = disturbed(shifted.square())
        else:
            pooled = functional.avg_pool2d(maps, layer.pool)
            maps = functional.linear(
                pooled.flatten(1), torch.from_numpy(layer.weights), torch.from_numpy(layer.bias))
    return maps
