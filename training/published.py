"""CryptoFaceNet's weights as its authors publish them, into a .bnet file.

`python3 -m training.published --checkpoint FILE.ckpt --out FILE.bnet [--crops FILE.npy]` reads a
PyTorch state dict, or a checkpoint with one under `backbone`, in the names and shapes of the public
repository human-analysis/CryptoFace. The number of patches follows from it.

The file is NOT the same function: the published network pads with zeros, ours helically, since only
then are weights periodic in the slots (docs/adr/0008). Its name therefore ends in `-helical`, its
thresholds are left at 1, so that nobody is accepted until it is trained on and calibrated, and its
embeddings are near the published ones at best. `zero_padded()` makes the network that is the same.

Bounds come from the crops, uint8 [n, 112, 112, 3] of aligned faces in RGB, and from made-up pictures
where there are none.
"""

import argparse
import math
import pathlib
import re

import numpy as np
import torch

from . import bnet, cryptofacenet
from .augment import to_images
from .data import shrink

# Of the training alone, or counters.
LEFT_OUT = re.compile(r"jigsaw\..*|.*\.num_batches_tracked")
NAMES = (
    (r"conv\.weight", r"stem.weight"),
    (r"layers\.(\d)\.(conv[12]\.weight|shortcut\..*)", r"blocks.\1.\2"),
    (r"layers\.(\d)\.(herpn[12])\.bn([12])\.(.*)", r"blocks.\1.\2.norms.\3.\4"),
    (r"layers\.(\d)\.(herpn[12])\.(weight|bias)", r"blocks.\1.\2.\3"),
    (r"herpnpool\.herpn\.bn([12])\.(.*)", r"herpn.norms.\1.\2"),
    (r"herpnpool\.herpn\.(weight|bias)", r"herpn.\1"),
    (r"bn\.(.*)", r"norm.\1"),
)


def name_of(published):
    """Ours for a name of theirs, within a patch's network."""
    for pattern, ours in NAMES:
        name, matches = re.subn(f"^{pattern}$", ours, published)
        if matches:
            # Theirs counts the constant basis polynomial, ours begins with the linear one.
            return re.sub(r"norms\.(\d)", lambda m: f"norms.{int(m[1]) - 1}", name)
    raise ValueError(f"{published} is no weight of a CryptoFaceNet as published.")


def read(state):
    """The network of a published state dict, with helical padding. ValueError where a name is
    unknown or missing, a shape does not fit or a value is not finite."""
    patches = len({name.split(".")[1] for name in state if name.startswith("nets.")})
    side = math.isqrt(patches)
    if patches == 0 or side * side != patches:
        raise ValueError(f"The weights are of {patches} patches, which make no square.")
    ours, constants = {}, {}
    for name, value in state.items():
        if LEFT_OUT.fullmatch(name):
            continue
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} holds a value that is not finite.")
        parts = name.split(".", 2)
        if parts[0] == "nets":
            if ".bn0." in name:
                constants[name] = value
                continue
            name = f"nets.{parts[1]}.{name_of(parts[2])}"
        elif parts[0] == "bn":
            name = "norm." + name.removeprefix("bn.")
        ours[name] = value.flatten() if ".herpn" in name and value.ndim == 3 else value
    network = cryptofacenet.CryptoFaceNet(side)
    counters = {n: v for n, v in network.state_dict().items() if LEFT_OUT.fullmatch(n)}
    try:
        network.load_state_dict(ours | counters)
    except RuntimeError as error:
        raise ValueError(f"The weights do not fit: {error}") from None
    _add_constants(network, constants)
    return network.eval()


@torch.no_grad()
def _add_constants(network, constants):
    """The constant basis polynomial is normalised to (1 - mean) / deviation: zero once the running
    mean has settled, and part of the bias until then."""
    modules = dict(network.named_modules())
    for name, mean in constants.items():
        if not name.endswith(".running_mean"):
            continue
        deviation = (constants[name.replace("running_mean", "running_var")] + 1e-5).sqrt()
        _, patch, rest = name.split(".", 2)
        place = name_of(rest.replace(".bn0.", ".bn1.")).split(".norms")[0]
        herpn = modules[f"nets.{patch}.{place}"]
        herpn.bias += herpn.weight * (1 - mean) / deviation / math.sqrt(2 * math.pi)


def zero_padded(network):
    """Turns a network, in place, into the one that was published. In the clear only."""
    for module in network.modules():
        if isinstance(module, cryptofacenet.Convolution):
            module.helical = False
    return network


def to_file(network, images):
    """The .bnet bytes; images as the network takes them, for bounds and units."""
    patches = len(network.nets)
    folded = cryptofacenet.fold(network, f"cryptofacenet{patches}-helical")
    cryptofacenet.set_units(folded, images)
    return bnet.encode(folded)


def main():
    parser = argparse.ArgumentParser(description="Read published CryptoFaceNet weights.")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--crops")
    arguments = parser.parse_args()
    # Tensors and plain containers only: a checkpoint is not to be trusted.
    checkpoint = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)
    network = read(checkpoint.get("backbone", checkpoint))
    geometry = network.geometry()
    if arguments.crops:
        crops = np.load(arguments.crops, mmap_mode="r")[:512]
        images = to_images(np.stack([shrink(crop, geometry.packed_side) for crop in crops]))
    else:
        images = cryptofacenet.made_up_images(geometry, 64, 1)
    content = to_file(network, images)
    pathlib.Path(arguments.out).write_bytes(content)
    print(f"{arguments.out}: {len(content)} bytes. Helical padding in place of zeros: not the "
          "published function; to be trained on and calibrated before use.")


if __name__ == "__main__":
    main()
