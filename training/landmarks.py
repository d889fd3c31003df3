"""Five landmarks from a detector's rough box: a small network that corrects a guess of the face's place.

Every aligned crop has its landmarks at fixed points of the 112x112 template, so a crop seen through a
wrong placement is a labelled example: the network looks at 48x48 grey pixels and says which
similarity transform puts the placement right. It is applied twice.

`python3 -m training.landmarks --packed DIR --out FILE.onnx [--steps N]` trains it on the training
identities and measures it on the held-out ones. What a view is and what the outputs mean is described in
models/landmarks.md.
"""

import argparse
import math

import torch
from torch import nn
from torch.nn import functional

from . import augment
from .alignment import LANDMARKS
from .data import CROP_SIDE, PACKED_SIDE, Faces
from .train import split_of

VIEW_SIDE = 48
# What a view covers, in template pixels. Placements that are off must still lie inside the crop: its
# edge would give the answer away.
VIEW_CENTRE = (56.0, 66.0)
VIEW_SPAN = 84.0
# Spread of a detector's box about the face: shift in template pixels, logarithm of the scale, turn.
SHIFT_DEVIATION, SCALE_DEVIATION, TURN_DEVIATION = 4.0, 0.09, math.radians(8.0)
PASSES = 2


def random_corrections(count):
    """[count, 4]: a - 1, b and the shift in template pixels of a similarity about the view's centre;
    half of them small, as the second pass meets them."""
    spread = torch.where(torch.rand(count, 1) < 0.5, 1.0, 0.35)
    scale = torch.exp(torch.randn(count, 1) * SCALE_DEVIATION * spread)
    turn = torch.randn(count, 1) * TURN_DEVIATION * spread
    shift = torch.randn(count, 2) * SHIFT_DEVIATION * spread
    return torch.cat((scale * torch.cos(turn) - 1, scale * torch.sin(turn), shift), 1)


def matrices(corrections):
    """[n, 2, 3] in template coordinates: c + (1 + a, b)(p - c) + shift."""
    a, b = 1 + corrections[:, 0], corrections[:, 1]
    x, y = VIEW_CENTRE
    shift_x = corrections[:, 2] + x - a * x + b * y
    shift_y = corrections[:, 3] + y - b * x - a * y
    return torch.stack((a, -b, shift_x, b, a, shift_y), 1).view(-1, 2, 3)


def compose(outer, inner):
    """p -> outer(inner(p)) for [n, 2, 3]."""
    last = torch.tensor([0.0, 0, 1]).expand(len(inner), 1, 3)
    return outer @ torch.cat((inner, last), 1)


def inverse(transforms):
    rotation = torch.linalg.inv(transforms[:, :, :2])
    return torch.cat((rotation, -rotation @ transforms[:, :, 2:]), 2)


def views(greys, placements):
    """[n, 1, 48, 48]: what packed grey crops [n, 1, 72, 72] show through placements from template to
    crop (both in pixels of 112), each brought to mean 0 and deviation 1."""
    steps = (torch.arange(VIEW_SIDE) - (VIEW_SIDE - 1) / 2) * (VIEW_SPAN / VIEW_SIDE)
    y, x = torch.meshgrid(steps + VIEW_CENTRE[1], steps + VIEW_CENTRE[0], indexing="ij")
    points = torch.stack((x, y, torch.ones_like(x)), -1)
    in_crop = torch.einsum("nij,yxj->nyxi", placements, points)
    grid = (2 * in_crop + 1) / CROP_SIDE - 1
    seen = functional.grid_sample(greys, grid, "bilinear", "reflection", False)
    deviation = seen.std((1, 2, 3), keepdim=True)
    return (seen - seen.mean((1, 2, 3), keepdim=True)) / (deviation + 1e-3)


def landmark_errors(transforms):
    """[n]: mean distance by which transforms displace the template's landmarks."""
    landmarks = torch.from_numpy(LANDMARKS)
    moved = torch.einsum("nij,lj->nli", transforms[:, :, :2], landmarks) + transforms[:, None, :, 2]
    return (moved - landmarks).norm(dim=2).mean(1)


class Corrector(nn.Module):
    """[n, 1, 48, 48] to [n, 4], see random_corrections."""

    def __init__(self):
        super().__init__()
        layers, channels = [], 1
        for outputs, stride in ((16, 2), (32, 2), (32, 1), (64, 2), (64, 1)):
            layers += [nn.Conv2d(channels, outputs, 3, stride, 1, bias=False),
                       nn.BatchNorm2d(outputs), nn.ReLU()]
            channels = outputs
        layers += [nn.Flatten(), nn.Linear(64 * 36, 48), nn.ReLU(), nn.Linear(48, 4)]
        self.layers = nn.Sequential(*layers)
        # Outputs of one come to these corrections.
        self.register_buffer("units", torch.tensor([0.1, 0.1, 4.0, 4.0]))

    def forward(self, seen):
        return self.layers(seen) * self.units


def refine(network, greys, placements, passes=PASSES):
    for _ in range(passes):
        placements = compose(placements, matrices(network(views(greys, placements))))
    return placements


def packed_greys(crops):
    images = augment.to_images(crops)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def worsen(greys):
    """Half of the crops blurred by a random loss of resolution, all with noise."""
    side = int(torch.randint(24, PACKED_SIDE, ()))
    small = functional.interpolate(greys, (side, side), mode="bilinear", antialias=True)
    blurred = functional.interpolate(small, (PACKED_SIDE, PACKED_SIDE), mode="bilinear")
    coin = torch.rand(len(greys), 1, 1, 1) < 0.5
    return torch.where(coin, blurred, greys) + 0.03 * torch.randn_like(greys)


def train(crops, steps, batch=128, rate=2e-3):
    network = Corrector().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        rows = torch.randint(len(crops), (batch,)).numpy()
        truth = random_corrections(batch)
        seen = views(worsen(packed_greys(crops[rows])), inverse(matrices(truth)))
        guess = matrices(network(seen.contiguous(memory_format=torch.channels_last)))
        loss = landmark_errors(compose(inverse(matrices(truth)), guess)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def held_out_errors(network, crops):
    """Landmark errors before and after each pass."""
    torch.manual_seed(1)
    greys = packed_greys(crops)
    placements = inverse(matrices(random_corrections(len(greys))))
    return [landmark_errors(refine(network, greys, placements, passes))
            for passes in range(PASSES + 1)]


def main():
    parser = argparse.ArgumentParser(description="Train the landmark network.")
    parser.add_argument("--packed", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(arguments.threads)
    faces = Faces(arguments.packed)
    split = split_of(arguments.packed, faces)
    network = train(faces.crops[split.train], arguments.steps)
    for passes, errors in enumerate(held_out_errors(network, faces.crops[split.held_out])):
        print(f"{passes} passes: landmark error in template pixels: mean {errors.mean():.2f}, "
              f"95 % {errors.quantile(0.95):.2f}")
    torch.onnx.export(network, torch.zeros(1, 1, VIEW_SIDE, VIEW_SIDE), arguments.out,
                      input_names=["view"], output_names=["correction"], opset_version=11)


if __name__ == "__main__":
    main()
