"""CryptoFaceNet, with helical padding: the architecture of Ao and Boddeti, "CryptoFace: End-to-End
Encrypted Face Recognition" (CVPR 2025), as its paper describes it.

`python3 -m training.cryptofacenet --patches {4,9,16} --out FILE.bnet [--seed N]` writes such a
network with random weights, whose activations stay in range: for time, memory and precision, not
for recognition.

A face of 64, 96 or 128 pixels is cut into 4, 9 or 16 patches of 32x32, each with a network of its
own: a 3x3 convolution to 16 channels, five residual blocks of HerPN activations, one more
activation, an average to 2x2 and a batch normalisation; the features of all patches make the
embedding of 256 through one linear map and a last batch normalisation.

HerPN (Park et al., "AESPA", 2022) is the Hermite expansion of the ReLU to degree 2 with each basis
polynomial batch-normalised by itself: weight * sum over k = 1, 2 of f_k normalised(h_k(x)) + bias,
where h_1 = x, h_2 = (x^2 - 1) / sqrt(2). (h_0 is constant and normalised away.)
"""

import argparse
import math
import pathlib

import numpy as np
import torch
from torch import nn

from . import bnet

PATCH_SIDE = 32
STEM_CHANNELS = 16
# Channels and stride of the residual blocks.
BLOCKS = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1))
POOLED_SIDE = 2
DIMENSION = 256
LAST_SIDE = PATCH_SIDE // math.prod(stride for _, stride in BLOCKS)
BOUND_MARGIN = 1.5
# Of random networks.
BRANCH_DAMPING, QUADRATIC_DAMPING = 0.3, 2.0


def affine(norm):
    """(scale, shift) of a batch normalisation at inference, float64."""
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        weight = norm.weight.detach().double()
        scale, shift = scale * weight, shift * weight + norm.bias.detach().double()
    return scale, shift


class HerPN(nn.Module):
    """Channelwise; at inference a quadratic a x^2 + b x + c."""

    HERMITE = 0.5, 1 / math.sqrt(4 * math.pi)  # of the ReLU

    def __init__(self, channels):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, affine=False) for _ in range(2))
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        bases = x, (x.square() - 1) / math.sqrt(2)
        expansion = sum(f * norm(h) for f, norm, h in zip(self.HERMITE, self.norms, bases))
        return self.weight.view(1, -1, 1, 1) * expansion + self.bias.view(1, -1, 1, 1)

    def coefficients(self):
        """(a, b, c), float64."""
        (linear, l_shift), (square, s_shift) = (affine(norm) for norm in self.norms)
        w = self.weight.detach().double()
        linear_gain, square_gain = self.HERMITE
        a = w * square_gain * square / math.sqrt(2)
        b = w * linear_gain * linear
        c = w * (linear_gain * l_shift + square_gain * s_shift) - a
        return a, b, c + self.bias.detach().double()


class Convolution(nn.Module):
    """3x3, without bias; helical with `lead` as bnet.helical_convolution has it, or, where `helical`
    is turned off, padded with zeros."""

    def __init__(self, inputs, outputs, side, stride=1):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) * (9 * inputs) ** -0.5)
        self.lead, self.stride, self.helical = side // LAST_SIDE, stride, True

    def forward(self, maps):
        if not self.helical:
            return nn.functional.conv2d(maps, self.weight, stride=self.stride, padding=1)
        return bnet.helical_convolution(maps, self.weight[None], self.lead, self.stride)


class Block(nn.Module):
    def __init__(self, inputs, outputs, side, stride):
        super().__init__()
        self.herpn1, self.herpn2 = HerPN(inputs), HerPN(outputs)
        self.conv1 = Convolution(inputs, outputs, side, stride)
        self.conv2 = Convolution(outputs, outputs, side // stride)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, maps):
        maps = self.herpn1(maps)
        through = self.conv2(self.herpn2(self.conv1(maps)))
        return through + (maps if self.shortcut is None else self.shortcut(maps))


class PatchNetwork(nn.Module):
    """[n, 3, 32, 32] to [n, 256]."""

    def __init__(self):
        super().__init__()
        self.stem = Convolution(3, STEM_CHANNELS, PATCH_SIDE)
        blocks, channels, side = [], STEM_CHANNELS, PATCH_SIDE
        for outputs, stride in BLOCKS:
            blocks.append(Block(channels, outputs, side, stride))
            channels, side = outputs, side // stride
        self.blocks = nn.ModuleList(blocks)
        self.herpn = HerPN(channels)
        self.norm = nn.BatchNorm1d(channels * POOLED_SIDE**2)

    def forward(self, patch):
        maps = self.stem(patch)
        for block in self.blocks:
            maps = block(maps)
        pooled = nn.functional.adaptive_avg_pool2d(self.herpn(maps), POOLED_SIDE)
        return self.norm(pooled.flatten(1))


class CryptoFaceNet(nn.Module):
    """Images [n, 3, side, side] with values in [-1, 1] to embeddings [n, 256]."""

    def __init__(self, patches_per_side):
        super().__init__()
        self.patches_per_side = patches_per_side
        self.nets = nn.ModuleList(PatchNetwork() for _ in range(patches_per_side**2))
        features = len(self.nets) * BLOCKS[-1][0] * POOLED_SIDE**2
        self.linear = nn.Linear(features, DIMENSION)
        self.norm = nn.BatchNorm1d(DIMENSION, affine=False)

    def geometry(self):
        side = self.patches_per_side * PATCH_SIDE
        return bnet.Input(side, side, self.patches_per_side, 1)

    def forward(self, images):
        maps = bnet.to_maps(images, self.geometry())
        features = [net(maps[:, 3 * p:3 * p + 3]) for p, net in enumerate(self.nets)]
        return self.norm(self.linear(torch.cat(features, 1)))


def random_network(patches_per_side, seed=1):
    """Normalisations settled on made-up images, so that activations have the size that a trained
    network's have. Residual branches and the quadratic parts are damped: without training, squares of
    squares would run away on images unlike these."""
    torch.manual_seed(seed)
    network = CryptoFaceNet(patches_per_side)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, HerPN):
                module.weight.uniform_(0.7, 1.3)
                module.bias.uniform_(-0.2, 0.2)
            if isinstance(module, Block):
                module.conv2.weight.mul_(BRANCH_DAMPING)
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = None
        network.train()
        network(made_up_images(network.geometry(), 64, seed))
        for module in network.modules():
            if isinstance(module, HerPN):
                module.norms[1].running_var.mul_(QUADRATIC_DAMPING**2)
    return network.eval()


def made_up_images(geometry, count, seed):
    """Noise at several scales, each with a share of its own in every image."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, 3, geometry.side, geometry.side)
    for side in (1, 2, 4, 8, 16, 32, geometry.side):
        noise = torch.rand(count, 3, side, side, generator=generator) * 2 - 1
        share = torch.rand(count, 1, 1, 1, generator=generator)
        images += share * nn.functional.interpolate(noise, size=geometry.side, mode="bilinear",
                                                    align_corners=False)
    return images.clamp(-1, 1)


class _Fold:
    """Goes through all patches side by side and notes the layers.

    A map in the file is u = (x + shift)^2, where HerPN(x) = a u + c': `gain` is a and `constant` is
    c', [patches, channels]. Constant maps pass through helical convolutions as constants, so that
    they end in the next shift.
    """

    def __init__(self):
        self.layers = []
        self.gain = self.constant = None
        self.bias = None  # what the file's maps lack, [patches, channels]

    def convolve(self, weights, stride=1, shortcut=None):
        if self.gain is not None:
            self.bias = torch.einsum("poiyx,pi->po", weights, self.constant)
            weights = weights * self.gain[:, None, :, None, None]
        else:
            self.bias = torch.zeros(weights.shape[:2], dtype=torch.float64)
        self.layers.append(bnet.Convolution(weights, False, stride, shortcut))

    def square(self, modules, side):
        a, b, c = (torch.stack(values) for values in zip(*(m.coefficients() for m in modules)))
        shift = b / (2 * a)
        self.gain, self.constant = a, c - b.square() / (4 * a)
        whole = (shift + self.bias).reshape(-1, 1, 1).expand(-1, side, side)
        self.layers.append(bnet.Square(whole.contiguous(), 0.0))

    def block(self, blocks, side):
        stride = blocks[0].conv1.stride
        self.square([b.herpn1 for b in blocks], side)
        if blocks[0].shortcut is None:
            shortcut, left = self.gain, self.constant
        else:
            scales, shifts = (torch.stack(x) for x in zip(*(affine(b.shortcut[1]) for b in blocks)))
            weights = _stacked(b.shortcut[0].weight[:, :, 0, 0] for b in blocks) * scales[..., None]
            shortcut = weights * self.gain[:, None, :]
            left = torch.einsum("poi,pi->po", weights, self.constant) + shifts
        self.convolve(_stacked(b.conv1.weight for b in blocks), stride, shortcut)
        self.square([b.herpn2 for b in blocks], side // stride)
        self.convolve(_stacked(b.conv2.weight for b in blocks))
        self.bias = self.bias + left

    def linear(self, network):
        """Batch normalisation, linear map and normalisation as one affine map of pooled u."""
        cells = POOLED_SIDE**2
        gain = self.gain.flatten().repeat_interleave(cells)
        constant = self.constant.flatten().repeat_interleave(cells)
        scales, shifts = (torch.cat(parts) for parts in zip(*(affine(n.norm) for n in network.nets)))
        scale, shift = affine(network.norm)
        weights = scale[:, None] * network.linear.weight.double()
        bias = shift + scale * network.linear.bias.double() + weights @ (scales * constant + shifts)
        self.layers.append(bnet.Linear(weights * scales * gain, bias, LAST_SIDE // POOLED_SIDE))


def _stacked(weights):
    return torch.stack([w.double() for w in weights])


@torch.no_grad()
def fold(network, name):
    """The same function as a bnet.Network with float32 arrays, in the units of the network."""
    nets = network.nets
    folded = _Fold()
    folded.convolve(_stacked(net.stem.weight for net in nets))
    side = PATCH_SIDE
    for index, (_, stride) in enumerate(BLOCKS):
        folded.block([net.blocks[index] for net in nets], side)
        side //= stride
    folded.square([net.herpn for net in nets], side)
    folded.linear(network)
    for layer in folded.layers:
        for field in ("weights", "shift", "bias", "shortcut"):
            if isinstance(getattr(layer, field, None), torch.Tensor):
                setattr(layer, field, getattr(layer, field).float().contiguous().numpy())
    return bnet.Network(name, network.geometry(), folded.layers)


def set_units(network, images):
    """Rescales every square's channels in place so that the largest |x + shift| is 1 on these
    images, and the embedding so that its mean length is 1."""
    squares = []
    lengths = bnet.evaluate(network, images, squares).norm(dim=1)
    patches = network.input.patches
    units = iter([1 / s.abs().amax((0, 2, 3)).numpy().astype(np.float64).reshape(patches, -1)
                  for s in squares])
    taken = block = None  # the units of the maps that a layer takes; the shortcut still to be scaled
    for index, layer in enumerate(network.layers):
        following = network.layers[index + 1] if index + 1 < len(network.layers) else None
        if isinstance(layer, bnet.Convolution):
            unit = next(units)
            if block is not None:
                block.shortcut = _scaled(block.shortcut, unit, 1)
                block = None
            if layer.shortcut is not None:
                layer.shortcut = _scaled(layer.shortcut, 1, taken**-2)
                block = layer
            incoming = 1 if taken is None else taken**-2
            layer.weights = _scaled(layer.weights, unit, incoming)
            following.shift = (following.shift * unit.reshape(-1, 1, 1)).astype(np.float32)
            following.bound = BOUND_MARGIN
            taken = unit
        elif isinstance(layer, bnet.Linear):
            cells = layer.weights.shape[1] // taken.size
            length = float(lengths.mean())
            layer.weights = (layer.weights * np.repeat(taken.flatten()**-2, cells)
                             / length).astype(np.float32)
            layer.bias = (layer.bias / length).astype(np.float32)


def _scaled(weights, outgoing, incoming):
    """[patches, outputs, (inputs, ...)] times factors [patches, outputs] and [patches, inputs]."""
    def spread(factors, axes):
        if np.ndim(factors) == 0:
            return factors
        return np.expand_dims(factors, axes)

    if weights.ndim == 2:
        return (weights * outgoing * incoming).astype(np.float32)
    last = tuple(range(3, weights.ndim))
    return (weights * spread(outgoing, (2, *last)) * spread(incoming, (1, *last))
            ).astype(np.float32)


def random_file(patches, seed=1):
    """The .bnet bytes of random_network."""
    patches_per_side = math.isqrt(patches)
    network = fold(random_network(patches_per_side, seed), f"cryptofacenet{patches}-random")
    set_units(network, made_up_images(network.input, 32, seed + 1))
    return bnet.encode(network)


def main():
    parser = argparse.ArgumentParser(description="Write a CryptoFaceNet with random weights.")
    parser.add_argument("--patches", type=int, choices=(4, 9, 16), default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    content = random_file(arguments.patches, arguments.seed)
    pathlib.Path(arguments.out).write_bytes(content)
    print(f"{arguments.out}: {len(content)} bytes")


if __name__ == "__main__":
    main()
