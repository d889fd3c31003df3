import math
import unittest

import torch
from torch.nn import functional

from training import bnet, cryptofacenet, published

BLOCKS = ((16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))


def published_state(patches, seed=1):
    """Random weights in the published names and shapes, such that values stay near one."""
    torch.manual_seed(seed)
    state = {}

    def norm(name, channels, affine=True):
        state[f"{name}.running_mean"] = 0.1 * torch.randn(channels)
        state[f"{name}.running_var"] = 0.5 + torch.rand(channels)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)
        if affine:
            state[f"{name}.weight"] = 0.7 + 0.6 * torch.rand(channels)
            state[f"{name}.bias"] = 0.1 * torch.randn(channels)

    def herpn(name, channels):
        for k in range(3):
            norm(f"{name}.bn{k}", channels, affine=False)
        state[f"{name}.bn0.running_mean"] = torch.full((channels,), 0.999)
        state[f"{name}.bn0.running_var"] = torch.full((channels,), 1e-4)
        state[f"{name}.bn2.running_var"] += 2
        state[f"{name}.weight"] = 0.7 + 0.6 * torch.rand(channels, 1, 1)
        state[f"{name}.bias"] = 0.1 * torch.randn(channels, 1, 1)

    def convolution(name, inputs, outputs, side):
        state[f"{name}.weight"] = torch.randn(outputs, inputs, side, side) / side / inputs**0.5

    for p in range(patches):
        net = f"nets.{p}"
        convolution(f"{net}.conv", 3, 16, 3)
        for j, (inputs, outputs, stride) in enumerate(BLOCKS):
            block = f"{net}.layers.{j}"
            herpn(f"{block}.herpn1", inputs)
            convolution(f"{block}.conv1", inputs, outputs, 3)
            herpn(f"{block}.herpn2", outputs)
            convolution(f"{block}.conv2", outputs, outputs, 3)
            state[f"{block}.conv2.weight"] *= 0.3
            if inputs != outputs:
                convolution(f"{block}.shortcut.0", inputs, outputs, 1)
                norm(f"{block}.shortcut.1", outputs)
        herpn(f"{net}.herpnpool.herpn", 64)
        norm(f"{net}.bn", 256)
    state["linear.weight"] = torch.randn(256, 256 * patches) / 16 / patches**0.5
    state["linear.bias"] = 0.1 * torch.randn(256)
    norm("bn", 256, affine=False)
    state["jigsaw.weight"] = torch.randn(patches, 256)
    state["jigsaw.bias"] = torch.randn(patches)
    return state


def published_embedding(state, images):
    """The network as its paper has it, step by step from the published names."""
    def normalised(x, name):
        gain, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
        return functional.batch_norm(x, state[f"{name}.running_mean"], state[f"{name}.running_var"],
                                     gain, bias, eps=1e-5)

    def herpn(x, name):
        bases = torch.ones_like(x), x, (x**2 - 1) / math.sqrt(2)
        factors = 1 / math.sqrt(2 * math.pi), 1 / 2, 1 / math.sqrt(4 * math.pi)
        total = sum(f * normalised(h, f"{name}.bn{k}")
                    for k, (f, h) in enumerate(zip(factors, bases)))
        return state[f"{name}.weight"] * total + state[f"{name}.bias"]

    side = images.shape[-1] // 32
    features = []
    for p in range(side * side):
        net, top, left = f"nets.{p}", p // side * 32, p % side * 32
        x = functional.conv2d(images[:, :, top:top + 32, left:left + 32],
                              state[f"{net}.conv.weight"], padding=1)
        for j, (inputs, outputs, stride) in enumerate(BLOCKS):
            block = f"{net}.layers.{j}"
            x = herpn(x, f"{block}.herpn1")
            y = functional.conv2d(x, state[f"{block}.conv1.weight"], stride=stride, padding=1)
            y = functional.conv2d(herpn(y, f"{block}.herpn2"), state[f"{block}.conv2.weight"],
                                  padding=1)
            if inputs != outputs:
                x = normalised(functional.conv2d(x, state[f"{block}.shortcut.0.weight"],
                                                 stride=stride), f"{block}.shortcut.1")
            x = x + y
        x = functional.avg_pool2d(herpn(x, f"{net}.herpnpool.herpn"), 4)
        features.append(normalised(x.flatten(1), f"{net}.bn"))
    linear = functional.linear(torch.cat(features, 1), state["linear.weight"], state["linear.bias"])
    return normalised(linear, "bn")


class Published(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.state = published_state(4)
        cls.images = cryptofacenet.made_up_images(bnet.Input(64, 64, 2, 1), 4, 5)

    def cosines(self, actual, expected):
        return functional.cosine_similarity(actual, expected).min()

    @torch.no_grad()
    def test_zero_padded_it_is_the_published_function(self):
        for patches in (4, 9):
            state = published_state(patches)
            network = published.zero_padded(published.read(state))
            images = cryptofacenet.made_up_images(network.geometry(), 3, 6)
            expected = published_embedding(state, images)
            error = (network(images) - expected).abs().max() / expected.norm(dim=1).min()
            self.assertLess(error, 1e-5)

    @torch.no_grad()
    def test_the_file_is_the_helical_variant_and_says_so(self):
        network = published.read(self.state)
        file = bnet.decode(published.to_file(network, self.images))
        self.assertEqual(file.name, "cryptofacenet4-helical")
        self.assertEqual((file.threshold_verify, file.threshold_identify), (1, 1))
        embedding = bnet.evaluate(file, self.images)
        helical = self.cosines(embedding, network(self.images))
        self.assertGreater(helical, 0.9999)
        # Other padding, other function.
        zero_padded = self.cosines(embedding, published_embedding(self.state, self.images))
        self.assertGreater(1 - zero_padded, 10 * (1 - helical))

    def test_what_is_no_such_state_is_refused(self):
        def refused(**changes):
            state = dict(self.state)
            for name, value in changes.items():
                state.pop(name) if value is None else state.update({name: value})
            with self.assertRaises(ValueError):
                published.read(state)

        refused(**{"linear.weight": None})
        refused(**{"nets.0.layers.2.herpn1.bn1.running_var": None})
        refused(**{"linear.weight": torch.ones(256, 1000)})
        refused(**{"nets.1.conv.weight": torch.full((16, 3, 3, 3), math.nan)})
        refused(**{"nets.1.fc.weight": torch.ones(3)})
        refused(**{"extra": torch.ones(3)})
        with self.assertRaises(ValueError):
            published.read({n: v for n, v in self.state.items() if not n.startswith("nets.3")})


if __name__ == "__main__":
    unittest.main()
