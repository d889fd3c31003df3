"""The patch network: a face network whose every step an encrypted evaluation does cheaply.

A 64x64 RGB face is cut into 2x2 patches of 32x32; inside a patch each block of 4x4 pixels becomes
one position of an 8x8 map with 48 channels (space to depth: the client does it, so nothing is
strided under encryption). Each patch has weights of its own; the patches stand side by side in the
channel axis (patch 0's channels first) and meet only in the last linear map.

    h   <- convolution(pixels)                      one level
    h   <- h + convolution((h + shift)^2)           two levels, `convolutions - 1` times
    e   <- linear(pool((h + shift)^2))              two levels

so the depth is 2 * convolutions + 1. The shift differs by position as well as by channel: under
encryption it is one plaintext addition either way. Convolutions are 3x3 with helical padding: a tap
(dy, dx) reads the flattened map rolled by 8 * dy + dx, which is what a rotation of the slots does.

In training a batch normalisation stands before each square to keep it conditioned; `export.fold`
turns it into the form above.
"""

import dataclasses

import torch
from torch import nn
from torch.nn import functional

from .data import INPUT_SIDE

PATCHES_PER_SIDE = 2
PATCHES = PATCHES_PER_SIDE**2
BLOCK_SIDE = 4
MAP_SIDE = INPUT_SIDE // PATCHES_PER_SIDE // BLOCK_SIDE
POSITIONS = MAP_SIDE**2
BLOCK_CHANNELS = 3 * BLOCK_SIDE**2
POOLED_SIDE = MAP_SIDE // 2
SLOT_NOISE = 2.0**-16
# Range of (h + shift), in deviations of h, that one unit of an encrypted slot stands for.
SLOT_RANGE = 16.0
# Scales the square so that a unit normal input leaves it with a deviation of about one.
SQUARE_GAIN = 0.25
INITIAL_SHIFT = 1.75


@dataclasses.dataclass(frozen=True)
class Shape:
    """What of the architecture may vary."""

    channels: int = 64
    convolutions: int = 6
    dimension: int = 128

    @property
    def depth(self):
        return 2 * self.convolutions + 1


def to_patches(images):
    """[n, 3, 64, 64] to [n, PATCHES * 48, 8, 8]; a patch's channels are ordered (row, column, colour)
    of the pixel in its 4x4 block."""
    n = images.shape[0]
    blocks = images.reshape(n, 3, PATCHES_PER_SIDE, MAP_SIDE, BLOCK_SIDE,
                            PATCHES_PER_SIDE, MAP_SIDE, BLOCK_SIDE)
    return blocks.permute(0, 2, 5, 4, 7, 1, 3, 6).reshape(
        n, PATCHES * BLOCK_CHANNELS, MAP_SIDE, MAP_SIDE)


class _HelicalPad(torch.autograd.Function):
    """By hand, because autograd's own backward of ten overlapping windows costs more than the
    convolution. Works on [n, 64, c] rows, as channels-last maps lie in memory."""

    @staticmethod
    def forward(ctx, rows):
        n, _, c = rows.shape
        reach = MAP_SIDE + 1
        ring = torch.cat((rows[:, -reach:], rows, rows[:, :reach]), 1)
        windows = ring.as_strided((n, MAP_SIDE + 2, MAP_SIDE + 2, c),
                                  (ring.stride(0), MAP_SIDE * c, c, 1))
        return windows.contiguous()

    @staticmethod
    def backward(ctx, gradient):
        n, _, _, c = gradient.shape
        side = MAP_SIDE
        rows = gradient[:, 1:-1, 1:-1].contiguous()
        rows[:, -1] += gradient[:, 0, 1:-1]
        rows[:, 0] += gradient[:, -1, 1:-1]
        flat = rows.view(n, POSITIONS, c)
        # Column -1 of padded row r is flat index 8 (r - 1) - 1, column 8 is 8 (r - 1) + 8.
        for row in range(side + 2):
            flat[:, (side * (row - 1) - 1) % POSITIONS] += gradient[:, row, 0]
            flat[:, side * row % POSITIONS] += gradient[:, row, -1]
        return flat


def helical_pad(maps):
    """[n, c, 8, 8] to [n, c, 10, 10], so that a convolution without padding reads, at row r and
    column c, the values of the flattened map at 8 r + c + 8 dy + dx, indices taken modulo 64."""
    n, c = maps.shape[:2]
    rows = maps.permute(0, 2, 3, 1).reshape(n, POSITIONS, c)
    return _HelicalPad.apply(rows).permute(0, 3, 1, 2)


class HelicalConvolution(nn.Module):
    """3x3, weights unshared between patches, no bias (the shift of the next square takes it)."""

    def __init__(self, inputs, outputs, gain=1.0):
        super().__init__()
        deviation = gain * (inputs * 9) ** -0.5
        weight = torch.randn(PATCHES * outputs, inputs, 3, 3) * deviation
        self.weight = nn.Parameter(weight.to(memory_format=torch.channels_last))

    def forward(self, maps):
        return functional.conv2d(helical_pad(maps), self.weight, groups=PATCHES)


class _NoisySquare(torch.autograd.Function):
    """gain * ((z + noise + shift)^2 - (noise + shift)^2), in two passes forward and three back."""

    @staticmethod
    def forward(ctx, z, shift):
        ctx.shift_type = shift.dtype
        linear = (2 * SQUARE_GAIN * shift).to(z.dtype)
        ctx.save_for_backward(z, linear)
        return torch.add(linear, z, alpha=SQUARE_GAIN).mul_(z)

    @staticmethod
    def backward(ctx, gradient):
        z, linear = ctx.saved_tensors
        to_shift = (2 * SQUARE_GAIN) * torch.mul(gradient, z).sum(0, keepdim=True)
        to_z = torch.add(linear, z, alpha=2 * SQUARE_GAIN).mul_(gradient)
        return to_z, to_shift.to(ctx.shift_type)


class ShiftedSquare(nn.Module):
    """gain * ((z + shift)^2 - shift^2) of the batch-normalised input z.

    In training the slots' noise is added to z + shift; one draw serves the whole batch. (What the
    noise adds to shift^2 is of second order or a constant, which the next normalisation removes.)
    """

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(PATCHES * channels, affine=False)
        shape = (1, PATCHES * channels, MAP_SIDE, MAP_SIDE)
        self.shift = nn.Parameter(torch.full(shape, INITIAL_SHIFT).contiguous(
            memory_format=torch.channels_last))
        self.noise = SLOT_NOISE * SLOT_RANGE
        self.excess = None

    def forward(self, maps):
        z = self.norm(maps)
        shift = self.shift
        if self.training:
            self.excess = range_excess(z[:4] + shift)
            shift = shift + torch.randn_like(shift) * self.noise
        return self.activate(z, shift)

    def activate(self, z, shift):
        return _NoisySquare.apply(z, shift)


def range_excess(values, limit=SLOT_RANGE / 2):
    """Mean square by which values leave [-limit, limit]."""
    return functional.relu(values.abs() - limit).square().mean()


class PatchNetwork(nn.Module):
    """Images [n, 3, 64, 64] with values in [-1, 1] to embeddings [n, dimension], not normalised."""

    def __init__(self, shape=Shape()):
        super().__init__()
        self.shape = shape
        self.stem = HelicalConvolution(BLOCK_CHANNELS, shape.channels)
        self.convolutions = nn.ModuleList(
            HelicalConvolution(shape.channels, shape.channels, gain=0.7)
            for _ in range(shape.convolutions - 1))
        self.squares = nn.ModuleList(
            ShiftedSquare(shape.channels) for _ in range(shape.convolutions))
        features = PATCHES * shape.channels * POOLED_SIDE**2
        self.linear = nn.Linear(features, shape.dimension, bias=False)
        self.norm = nn.BatchNorm1d(shape.dimension)
        nn.init.constant_(self.norm.weight, shape.dimension**-0.5)

    def forward(self, images):
        patches = to_patches(images).contiguous(memory_format=torch.channels_last)
        maps = self.stem(patches)
        for square, convolution in zip(self.squares, self.convolutions):
            maps = maps + convolution(square(maps))
        pooled = functional.avg_pool2d(self.squares[-1](maps), 2)
        return self.norm(self.linear(pooled.flatten(1)).float())

    def range_penalty(self):
        """How far the last training batch's squares were driven out of their range."""
        return sum(square.excess for square in self.squares)


def read_average(checkpoint_path):
    """The network with a checkpoint's averaged weights."""
    checkpoint = torch.load(checkpoint_path, map_location="cpu")
    network = PatchNetwork(Shape(**checkpoint["shape"]))
    network.load_state_dict(checkpoint["average"])
    return network
