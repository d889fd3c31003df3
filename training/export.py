"""From a checkpoint to a .bnet file.

`python3 -m training.export --packed DIR --checkpoint FILE --out FILE.bnet [--name NAME]` takes the
averaged weights, settles the normalisations on training crops, folds them away, and gives every
channel the unit in which the largest |x + shift| it showed on those crops is 1. The thresholds are
calibrated on the held-out identities.
"""

import argparse
import pathlib

import numpy as np
import torch

from . import augment, bnet, models
from .calibration import calibrate, embed
from .data import INPUT_SIDE, PACKED_SIDE, Faces
from .train import split_of

# A layer's bound over the largest value seen while exporting.
BOUND_MARGIN = 1.5


@torch.no_grad()
def settle_norms(network, crops, batch=256):
    """Replaces the running statistics, which lag and saw varied images, by those of the crops."""
    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    network.train()
    for start in range(0, len(crops) - batch + 1, batch):
        network(augment.centre(crops[start:start + batch]))
    network.eval()


@torch.no_grad()
def fold(network, name):
    """The same function as a bnet.Network: normalisations and constants gone, in units of h."""
    shape = network.shape
    geometry = bnet.Input(PACKED_SIDE, INPUT_SIDE, models.PATCHES_PER_SIDE, models.BLOCK_SIDE)
    layers = [bnet.Convolution(_by_patch(network.stem.weight.double()), False)]
    # What the folded trunk lacks of the trunk: the constants that the squares' shifts left behind.
    constant = torch.zeros_like(network.squares[0].shift, dtype=torch.float64)
    for index, square in enumerate(network.squares):
        scale = (square.norm.running_var.double() + square.norm.eps).rsqrt().view(1, -1, 1, 1)
        mean = square.norm.running_mean.double().view(1, -1, 1, 1)
        shift = square.shift.double()
        layers.append(bnet.Square((shift / scale - mean + constant)[0], 0.0))
        gain = models.SQUARE_GAIN * scale**2
        left_behind = -models.SQUARE_GAIN * shift**2
        if index < shape.convolutions - 1:
            weights = _by_patch(network.convolutions[index].weight.double())
            constant = constant + bnet.helical_convolution(left_behind, weights)
            layers.append(bnet.Convolution(
                weights * gain.view(models.PATCHES, 1, shape.channels, 1, 1), True))
    layers.append(_fold_linear(network, gain, left_behind))
    return bnet.Network(name, geometry, layers)


def _by_patch(weight):
    return weight.reshape(models.PATCHES, -1, *weight.shape[1:])


def _fold_linear(network, gain, left_behind):
    norm = network.norm
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    weights = scale[:, None] * network.linear.weight.double()
    pooled = torch.nn.functional.avg_pool2d(left_behind, 2).flatten()
    bias = norm.bias.double() - scale * norm.running_mean.double() + weights @ pooled
    gains = gain.expand(1, -1, models.POOLED_SIDE, models.POOLED_SIDE).flatten()
    return bnet.Linear(weights * gains, bias, 2)


def to_arrays(network):
    """float64 tensors to the float32 arrays that the evaluation and the file take."""
    for layer in network.layers:
        for field in ("weights", "shift", "bias"):
            if isinstance(getattr(layer, field, None), torch.Tensor):
                setattr(layer, field, getattr(layer, field).float().contiguous().numpy())
    return network


def largest_values(network, crops, batch=128):
    """[squares, patches * channels]: the largest |x + shift| on packed crops."""
    largest = None
    for start in range(0, len(crops), batch):
        squares = []
        bnet.evaluate(network, augment.centre(crops[start:start + batch]), squares)
        now = torch.stack([s.abs().amax((0, 2, 3)) for s in squares])
        largest = now if largest is None else torch.maximum(largest, now)
    return largest.numpy()


def set_units(network, largest):
    """Rescales channels in place so that over all squares the largest |x + shift| becomes 1. The
    trunk runs through all squares, so a channel has one unit throughout."""
    unit = (1 / largest.max(axis=0)).astype(np.float64)
    by_patch = unit.reshape(network.input.patches, -1)
    for index, layer in enumerate(network.layers):
        if isinstance(layer, bnet.Convolution):
            inputs = by_patch**-2 if index else np.ones((network.input.patches, 1))
            layer.weights = (layer.weights * by_patch[:, :, None, None, None]
                             * inputs[:, None, :, None, None]).astype(np.float32)
        elif isinstance(layer, bnet.Square):
            layer.shift = (layer.shift * unit[:, None, None]).astype(np.float32)
        else:
            cells = layer.weights.shape[1] // len(unit)
            layer.weights = (layer.weights * np.repeat(unit**-2, cells)).astype(np.float32)
    for layer, row in zip((x for x in network.layers if isinstance(x, bnet.Square)), largest):
        layer.bound = float((row * unit).max() * BOUND_MARGIN)


def export(checkpoint_path, faces, split, name, crops=8192, weight_encoding=2):
    """The .bnet bytes of a checkpoint, settled on that many training crops."""
    rows = np.random.default_rng(1).permutation(split.train)[:crops]
    settled_on = faces.crops[np.sort(rows)]
    network = models.read_average(checkpoint_path)
    settle_norms(network, settled_on)
    folded = to_arrays(fold(network, name))
    set_units(folded, largest_values(folded, settled_on))
    folded = bnet.decode(bnet.encode(folded, weight_encoding))
    thresholds = calibrate(embed(folded, faces.crops[split.held_out]),
                           faces.labels[split.held_out])
    folded.threshold_verify = thresholds["threshold_verify"]
    folded.threshold_identify = thresholds["threshold_identify"]
    return bnet.encode(folded, weight_encoding)


def main():
    parser = argparse.ArgumentParser(description="Export a checkpoint to a .bnet file.")
    parser.add_argument("--packed", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--name", default="patchnet")
    parser.add_argument("--crops", type=int, default=8192)
    parser.add_argument("--float32", action="store_true", help="full weights instead of halves")
    arguments = parser.parse_args()
    faces = Faces(arguments.packed)
    content = export(arguments.checkpoint, faces, split_of(arguments.packed, faces), arguments.name, arguments.crops,
                     1 if arguments.float32 else 2)
    pathlib.Path(arguments.out).write_bytes(content)
    print(f"{arguments.out}: {len(content)} bytes")


if __name__ == "__main__":
    main()
