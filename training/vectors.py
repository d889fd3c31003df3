"""The test vectors of the .bnet format: small random networks, and their embeddings of a made-up
face.

`python3 -m training.vectors` writes docs/formats/vectors/network-{tiny,blocks}.bnet and .txt anew.
"""

import pathlib

import numpy as np
import torch

from . import augment, bnet
from .data import CROP_SIDE, shrink

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "formats" / "vectors"


def tiny_network():
    """32 of 48 pixels in 2x2 patches with maps of 4x4, two channels, both encodings of weights."""
    random = np.random.default_rng(20)
    geometry = bnet.Input(packed_side=48, side=32, patches_per_side=2, block_side=4)

    def uniform(*shape):
        return random.uniform(-0.5, 0.5, shape).astype(np.float32)

    return bnet.Network("tiny", geometry, [
        bnet.Convolution(uniform(4, 2, 48, 3, 3), False),
        bnet.Square(uniform(8, 4, 4), 8.0),
        bnet.Convolution(uniform(4, 2, 2, 3, 3), True),
        bnet.Square(uniform(8, 4, 4), 64.0),
        bnet.Linear(uniform(5, 4 * 2 * 4) / 64, uniform(5), 2),
    ], threshold_verify=0.25, threshold_identify=0.5)


def network_of_blocks():
    """16 of 56 pixels in 2x2 patches with maps of 8x8, then 4x4; both kinds of shortcut."""
    random = np.random.default_rng(21)
    geometry = bnet.Input(packed_side=56, side=16, patches_per_side=2, block_side=1)

    def uniform(*shape):
        return random.uniform(-0.5, 0.5, shape).astype(np.float32)

    return bnet.Network("blocks", geometry, [
        bnet.Convolution(uniform(4, 4, 3, 3, 3)),
        bnet.Square(uniform(16, 8, 8), 8.0),
        bnet.Convolution(uniform(4, 4, 4, 3, 3), shortcut=uniform(4, 4)),
        bnet.Square(uniform(16, 8, 8), 64.0),
        bnet.Convolution(uniform(4, 4, 4, 3, 3)),
        bnet.Square(uniform(16, 8, 8), 64.0),
        bnet.Convolution(uniform(4, 7, 4, 3, 3), stride=2, shortcut=uniform(4, 7, 4)),
        bnet.Square(uniform(28, 4, 4), 64.0),
        bnet.Convolution(uniform(4, 7, 7, 3, 3)),
        bnet.Square(uniform(28, 4, 4), 64.0),
        bnet.Linear(uniform(5, 4 * 7 * 4) / 64, uniform(5), 2),
    ], threshold_verify=0.25, threshold_identify=0.5)


def made_up_face():
    """112x112x3 bytes: byte i is (i * i + 7 * i) / 13 modulo 256."""
    i = np.arange(CROP_SIDE**2 * 3, dtype=np.int64)
    return ((i * i + 7 * i) // 13 % 256).astype(np.uint8).reshape(CROP_SIDE, CROP_SIDE, 3)


def central(packed, geometry):
    margin = (geometry.packed_side - geometry.side) // 2
    return packed[margin:margin + geometry.side, margin:margin + geometry.side]


def embedding(network, face):
    packed = shrink(face, network.input.packed_side)
    images = augment.to_images(central(packed, network.input)[None])
    return bnet.evaluate(network, images)[0].numpy()


def main():
    torch.set_num_threads(1)
    for network in (tiny_network(), network_of_blocks()):
        content = bnet.encode(network)
        path = FOLDER / f"network-{network.name}.bnet"
        path.write_bytes(content)
        values = embedding(bnet.decode(content), made_up_face())
        path.with_suffix(".txt").write_text("".join(f"{value:.7g}\n" for value in values))


if __name__ == "__main__":
    main()
