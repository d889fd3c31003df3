"""Batches of training images: packed crops to 64x64 inputs, each slightly turned, moved and lit."""

import math

import numpy as np
import torch
from torch.nn import functional

from .data import INPUT_SIDE, MARGIN, PACKED_SIDE


def to_images(crops):
    """uint8 [n, side, side, 3] to float [n, 3, side, side] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1


def centre(crops):
    """What the network sees of packed crops when nothing is varied."""
    return to_images(crops[:, MARGIN:MARGIN + INPUT_SIDE, MARGIN:MARGIN + INPUT_SIDE])


def vary(crops, turn_degrees=6.0, shift_pixels=2.0, scaling=0.06, light=0.2):
    """Random flip, rotation, shift, scale, brightness, contrast and colour cast of packed crops."""
    n = len(crops)
    angle = torch.randn(n) * math.radians(turn_degrees) / 2
    scale = torch.exp(torch.randn(n) * scaling / 2) * INPUT_SIDE / PACKED_SIDE
    flip = torch.randint(0, 2, (n,)) * 2.0 - 1
    shift = torch.randn(n, 2) * (shift_pixels / PACKED_SIDE)
    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = torch.stack((cosine * flip, -sine, shift[:, 0], sine * flip, cosine, shift[:, 1]), 1)
    grid = functional.affine_grid(rows.view(n, 2, 3), (n, 3, INPUT_SIDE, INPUT_SIDE), False)
    images = functional.grid_sample(to_images(crops), grid, "bilinear", "border", False)
    gain = torch.exp(torch.randn(n, 1, 1, 1) * light)
    cast = torch.randn(n, 1, 1, 1) * light / 2 + torch.randn(n, 3, 1, 1) * light / 4
    return (images * gain + cast).clamp_(-1, 1)
