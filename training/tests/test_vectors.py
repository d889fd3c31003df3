import unittest

import numpy as np

from training import bnet, vectors


class Vectors(unittest.TestCase):
    def test_the_stored_file_is_what_would_be_written(self):
        stored = (vectors.FOLDER / "network-tiny.bnet").read_bytes()
        self.assertEqual(stored, bnet.encode(vectors.tiny_network()))

    def test_the_stored_embedding_is_that_of_the_made_up_face(self):
        network = bnet.decode((vectors.FOLDER / "network-tiny.bnet").read_bytes())
        stored = np.loadtxt(vectors.FOLDER / "network-tiny.txt")
        computed = vectors.embedding(network, vectors.made_up_face())
        np.testing.assert_allclose(computed, stored, atol=1e-5 * np.linalg.norm(stored))


if __name__ == "__main__":
    unittest.main()
