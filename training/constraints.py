"""What each constraint that encryption sets costs in accuracy: equal short training runs, one
constraint lifted in each.

`python3 -m training.constraints --packed DIR --lfw FILE.npz --runs DIR [options of training.train]`
trains the network with all constraints, without each of them, and with none, and prints a JSON line
of LFW's measures for each. A run that was interrupted goes on.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import export, lfw, models, train
from .data import shrink

SETTLED_ON = 4096


class ZeroPaddedConvolution(models.HelicalConvolution):
    """Zeros around the map, where helical padding reads the opposite side one row further."""

    def forward(self, maps):
        return functional.conv2d(maps, self.weight, padding=1, groups=models.PATCHES)


class ShiftedRectifier(models.ShiftedSquare):
    """max(z + shift, 0) of the batch-normalised input z, with the noise and the range of the square."""

    def __init__(self, channels):
        super().__init__(channels)
        nn.init.zeros_(self.shift)

    def activate(self, z, shift):
        return functional.relu(z + shift)


def to_pixels(patches):
    """What models.to_patches made, as [n, PATCHES * 3, 32, 32]."""
    n, block, side = len(patches), models.BLOCK_SIDE, models.MAP_SIDE
    pixels = patches.reshape(n, models.PATCHES, block, block, 3, side, side).permute(0, 1, 4, 5, 2, 6, 3)
    return pixels.reshape(n, models.PATCHES * 3, side * block, side * block).contiguous(
        memory_format=torch.channels_last)


class StridedStem(nn.Module):
    """Two convolutions of stride 2, with a square between, from a patch's 32x32 pixels to its 8x8 map,
    in place of one on blocks of 4x4 pixels."""

    INNER_CHANNELS = 16

    def __init__(self, channels):
        super().__init__()
        self.fine = self._convolution(3, self.INNER_CHANNELS)
        self.norm = nn.BatchNorm2d(models.PATCHES * self.INNER_CHANNELS)
        self.coarse = self._convolution(self.INNER_CHANNELS, channels)

    @staticmethod
    def _convolution(inputs, outputs):
        return nn.Conv2d(models.PATCHES * inputs, models.PATCHES * outputs, 3, stride=2, padding=1,
                         groups=models.PATCHES, bias=False)

    def forward(self, patches):
        z = self.norm(self.fine(to_pixels(patches)))
        return self.coarse(models.SQUARE_GAIN * z * (z + 2 * models.INITIAL_SHIFT))


def lift_padding(network):
    for module in network.modules():
        if isinstance(module, models.HelicalConvolution):
            module.__class__ = ZeroPaddedConvolution


def lift_activation(network):
    network.squares = nn.ModuleList(
        ShiftedRectifier(network.shape.channels) for _ in network.squares)


def lift_stride(network):
    """The stem's first convolution replaces one of the trunk's, so that their number stays."""
    network.stem = StridedStem(network.shape.channels)
    network.convolutions = network.convolutions[1:]
    network.squares = network.squares[1:]


def lift_noise(network):
    for square in network.squares:
        square.noise = 0.0


VARIANTS = {
    "all constraints": (),
    "without square": (lift_activation,),
    "without helical padding": (lift_padding,),
    "without stride at the client": (lift_stride,),
    "without noise": (lift_noise,),
    "without any": (lift_stride, lift_activation, lift_padding, lift_noise),
}


class VariantRun(train.Run):
    def __init__(self, arguments, lifted):
        self._lifted = lifted
        super().__init__(arguments)

    def make_network(self):
        network = super().make_network()
        for lift in self._lifted:
            lift(network)
        return network


def measure(run, pairs, crops):
    """LFW's measures of the averaged weights, normalisations settled as an export settles them."""
    rows = np.random.default_rng(1).permutation(run.split.train)[:SETTLED_ON]
    export.settle_norms(run.average, run.faces.crops[np.sort(rows)])
    report = pairs.report(train.embed(run.average, crops))
    return {name: round(float(value), 4) for name, value in report.items()}


def main():
    parser = argparse.ArgumentParser(description="Measure what the constraints of encryption cost.")
    parser.add_argument("--lfw", required=True, help="what training.lfw wrote")
    parser.add_argument("--runs", required=True, help="folder of the runs' folders")
    parser.add_argument("--seeds", type=int, default=1)
    own, words = parser.parse_known_args()
    pairs = lfw.AlignedPairs(own.lfw)
    crops = np.stack([shrink(crop) for crop in pairs.crops])
    for seed in range(own.seeds):
        for name, lifted in VARIANTS.items():
            torch.manual_seed(seed)
            np.random.seed(seed)
            folder = pathlib.Path(own.runs) / f"{name.replace(' ', '-')}-{seed}"
            arguments = train.parse_arguments(words + ["--run", str(folder)])
            torch.set_num_threads(arguments.threads)
            run = VariantRun(arguments, lifted)
            run.go()
            print(json.dumps({"constraints": name, "seed": seed, "steps": run.steps,
                              **measure(run, pairs, crops)}), flush=True)


if __name__ == "__main__":
    main()
