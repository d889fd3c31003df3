"""From a .bnet file of the patch network back to weights that can be trained on: export.fold undone.

The normalisations take the statistics of training crops. A channel of the trunk gets the unit in
which its weights are as large as fresh ones are, so that the usual learning rate fits. More
convolutions than the file has begin at zero, so that the function is the same.
"""

import dataclasses
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import augment, bnet, models

SETTLED_ON = 1024


def read_start(path, crops, rows, shape):
    """A PatchNetwork of that shape with the function of a checkpoint's averaged weights, or of a
    .bnet file, for which some of the rows settle the normalisations."""
    if str(path).endswith(".bnet"):
        chosen = np.random.default_rng(2).permutation(rows)[:SETTLED_ON]
        folded = bnet.decode(pathlib.Path(path).read_bytes())
        network = unfold(folded, augment.centre(crops[np.sort(chosen)]))
    else:
        network = models.read_average(path)
    return grow(network, shape)


@torch.no_grad()
def unfold(folded, images):
    stem, squares, linear = folded.layers[0], folded.layers[1:-1:2], folded.layers[-1]
    convolutions = folded.layers[2:-1:2]
    shape = models.Shape(stem.weights.shape[1], len(squares), len(linear.bias))
    network = models.PatchNetwork(shape)
    maps = bnet.helical_convolution(bnet.to_maps(images, folded.input), torch.from_numpy(stem.weights))
    network.stem.weight.copy_(_joined(stem.weights))
    # What the folded trunk lacks of the unfolded one, as in export.fold.
    constant = torch.zeros_like(maps[:1])
    for index, (square, target) in enumerate(zip(squares, network.squares)):
        shift = torch.from_numpy(square.shift)[None]
        trunk = maps + constant
        mean = trunk.mean((0, 2, 3), keepdim=True)
        variance = trunk.var((0, 2, 3), keepdim=True)
        scale = (variance + target.norm.eps).rsqrt()
        target.norm.running_mean.copy_(mean.flatten())
        target.norm.running_var.copy_(variance.flatten())
        target.shift.copy_(scale * (shift + mean - constant))
        gain = models.SQUARE_GAIN * scale**2
        left_behind = -models.SQUARE_GAIN * target.shift**2
        squared = (maps + shift).square()
        if index < len(convolutions):
            weights = torch.from_numpy(convolutions[index].weights)
            unfolded = weights / gain.view(models.PATCHES, 1, shape.channels, 1, 1)
            network.convolutions[index].weight.copy_(_joined(unfolded))
            constant = constant + bnet.helical_convolution(left_behind, unfolded)
            maps = maps + bnet.helical_convolution(squared, weights)
    _unfold_linear(network, linear, squared, gain, left_behind)
    _settle_units(network)
    return network


def _joined(weights):
    return torch.as_tensor(weights).flatten(0, 1)


def _unfold_linear(network, linear, squared, gain, left_behind):
    gains = gain.expand(1, -1, models.POOLED_SIDE, models.POOLED_SIDE).flatten()
    weights = torch.from_numpy(linear.weights) / gains
    fresh = network.linear.weight.square().mean().sqrt()
    factor = fresh / weights.square().mean().sqrt()
    network.linear.weight.copy_(weights * factor)
    activated = functional.avg_pool2d(squared * gain + left_behind, linear.pool).flatten(1)
    outputs = functional.linear(activated, network.linear.weight)
    norm = network.norm
    norm.running_mean.copy_(outputs.mean(0))
    norm.running_var.copy_(outputs.var(0))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt() / factor)
    pooled = functional.avg_pool2d(left_behind, linear.pool).flatten()
    norm.bias.copy_(torch.from_numpy(linear.bias) - weights @ pooled + norm.running_mean / factor)


def _settle_units(network):
    layers = [network.stem, *network.convolutions]
    fresh = models.PatchNetwork(network.shape)
    expected = sum(_energy(layer) for layer in [fresh.stem, *fresh.convolutions]).mean()
    unit = (expected / sum(map(_energy, layers))).sqrt()
    for layer in layers:
        layer.weight.mul_(unit.view(-1, 1, 1, 1))
    for square in network.squares:
        square.norm.running_mean.mul_(unit)
        square.norm.running_var.add_(square.norm.eps).mul_(unit**2).sub_(square.norm.eps)


def _energy(layer):
    return layer.weight.square().sum((1, 2, 3))


@torch.no_grad()
def grow(network, shape):
    """The same function with further convolutions at the end of the trunk, all zero."""
    have = network.shape
    if dataclasses.replace(have, convolutions=shape.convolutions) != shape or have.convolutions > shape.convolutions:
        raise ValueError(f"{have} does not grow into {shape}.")
    grown = models.PatchNetwork(shape)
    grown.load_state_dict(network.state_dict(), strict=False)
    for convolution in grown.convolutions[have.convolutions - 1:]:
        nn.init.zeros_(convolution.weight)
    for square in grown.squares[have.convolutions:]:
        square.load_state_dict(network.squares[-1].state_dict())
    return grown
