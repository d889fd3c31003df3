import unittest

import numpy as np

from training import bnet, vectors


class Vectors(unittest.TestCase):
    def test_the_stored_files_are_what_would_be_written(self):
        for network in (vectors.tiny_network(), vectors.network_of_blocks()):
            stored = (vectors.FOLDER / f"network-{network.name}.bnet").read_bytes()
            self.assertEqual(stored, bnet.encode(network))

    def test_the_stored_embeddings_are_those_of_the_made_up_face(self):
        for name in ("network-tiny", "network-blocks"):
            network = bnet.decode((vectors.FOLDER / f"{name}.bnet").read_bytes())
            stored = np.loadtxt(vectors.FOLDER / f"{name}.txt")
            computed = vectors.embedding(network, vectors.made_up_face())
            np.testing.assert_allclose(computed, stored, atol=1e-5 * np.linalg.norm(stored))


if __name__ == "__main__":
    unittest.main()
