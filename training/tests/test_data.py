import gzip
import pathlib
import tempfile
import unittest

from training import data


class Manifest(unittest.TestCase):
    def test_further_archives_know_people_of_celeba_only(self):
        with tempfile.TemporaryDirectory() as folder:
            directory = pathlib.Path(folder) / "train"
            directory.mkdir()
            (directory / "manifest.csv").write_text("path,identity,origin,shard\ncacd_A/1.webp,cacd_A,cacd2000,0\n")
            with gzip.open(directory / "identity_CelebA.txt.gz", "wt") as file:
                file.write("img label\n000007.jpg 12\n")
            header = "path,source,original,nearest_lfw_cosine\n"
            (directory / "aaf.tar.csv").write_text(header + "aaf/1.webp,aaf,x,0.4\naaf/2.webp,aaf,x,0.6\n")
            (directory / "celeba2.tar.csv").write_text(header + "celeba/000007.webp,celeba2,x,0.1\n")
            rows = data.read_manifest(folder)
        self.assertEqual([(row["path"], row["identity"]) for row in rows], [
            ("cacd_A/1.webp", "cacd_A"), ("aaf/1.webp", ""), ("celeba/000007.webp", "celeba_00012")])


if __name__ == "__main__":
    unittest.main()
