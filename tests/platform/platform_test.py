#!/usr/bin/env python3
"""Registration, consent, recognition at three engines, and deletion, in real processes.

usage: platform_test.py BAUTA SOURCE_DIR [unittest options]
"""
import json
import os
import pathlib
import random
import shutil
import sqlite3
import sys
import time
import unittest

from platform_processes import ENGINES, Platform, wait_for

BAUTA = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2])
PEOPLE = SOURCE / "examples/people"


def photo(person, number):
    return PEOPLE / person / f"{person}_{number:04d}.jpg"


def photos(person, *numbers):
    return [photo(person, number) for number in numbers]


def windows(content, count=8, size=24, seed=1):
    """Byte strings of the content that can be nothing else's: random places, none with few values."""
    generator = random.Random(seed)
    found = []
    while len(found) < count:
        at = generator.randrange(len(content) - size)
        window = content[at:at + size]
        if len(set(window)) > size // 2:
            found.append(window)
    return found


def files_holding(root, needles):
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = pathlib.Path(directory) / name
            if not path.is_file():
                continue
            content = path.read_bytes()
            hits = sum(needle in content for needle in needles)
            if hits:
                found[str(path.relative_to(root))] = hits
    return found


class PlatformTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Platform(BAUTA)
        cls.p.__enter__()
        cls.addClassCleanup(cls.p.__exit__)

    def decisions(self, image):
        return {engine: self.p.identify(engine, image)[0] for engine in ENGINES}

    def test_a_person_consents_is_recognised_opts_out_and_is_deleted(self):
        person = self.p.register(photos("Arlecchino", 1, 2), name="Arlecchino", age="33")
        self.assertNotIsInstance(person, tuple, person)
        for engine in ENGINES:
            self.assertEqual(person.opt_in(engine)[0], 202)
            person.enrolled(engine)
        self.assertEqual(person.opt_in("patchnet")[0], 409)
        probe = photo("Arlecchino", 5)
        subjects = set()
        for engine in ENGINES:
            decision, subject = self.p.identify(engine, probe)
            self.assertEqual(decision, "accepted", engine)
            subjects.add(subject)
        self.assertEqual(len(subjects), 3)  # another one at each engine
        _, seconds = wait_for(
            lambda: all(any(u["engine"] == engine and u["event"] == "identification"
                            for u in person.ask("GET", "/v1/me/uses")[1]["uses"]) for engine in ENGINES), 5, "uses")
        print(f"log entries of three engines after {seconds:.2f} s", file=sys.stderr)

        start = time.time()
        status, answer, _ = person.opt_out("gradients")
        self.assertEqual(status, 200, answer)
        decisions = self.decisions(probe)
        print(f"opt-out and three decisions in {time.time() - start:.2f} s", file=sys.stderr)
        self.assertEqual(decisions, {"patchnet": "accepted", "gradients": "rejected", "textures": "accepted"})
        self.assertEqual(person.state("gradients"), "off")
        self.assertEqual(json.loads(answer["receipt"]["record"])["event"], "opted_out")

        status, answer, headers = person.ask("DELETE", "/v1/me")
        self.assertEqual(status, 200, answer)
        self.assertIn("Max-Age=0", headers["Set-Cookie"])
        self.assertEqual(set(self.decisions(probe).values()), {"rejected"})
        self.assertEqual(person.ask("GET", "/v1/me")[0], 401)
        receipt = self.p.root / "receipt.json"
        receipt.write_text(json.dumps(answer["receipt"]))
        self.assertIn("genuine", self.p.run("consents", "check", receipt).stdout)
        receipt.write_text(json.dumps(answer["receipt"]).replace("deleted", "deletex"))
        self.assertNotEqual(self.p.run("consents", "check", receipt, check=False).returncode, 0)
        self.assertTrue(json.loads(self.p.run("--json", "consents", "verify").stdout)["ok"])

    def test_nothing_is_left_of_who_is_deleted(self):
        name = "Zanni della Memoria"
        person = self.p.register(photos("Brighella", 1, 2), name=name, gender="mask-wearing")
        for engine in ENGINES:
            person.opt_in(engine)
        for engine in ENGINES:
            person.enrolled(engine)
            self.assertEqual(self.p.operator("POST", f"/v1/operator/engines/{engine}/backups", {})[0], 201)
        needles = {"image": windows(photo("Brighella", 1).read_bytes()), "attributes": [name.encode(), b"mask-wearing"]}
        packages = sorted((self.p.data / "storage/packages").iterdir(), key=lambda f: f.stat().st_mtime)
        needles["package"] = windows(packages[-1].read_bytes())
        for engine in ENGINES:
            catalogue = sqlite3.connect(f"file:{self.p.directory(engine)}/auth/catalogue.sqlite?mode=ro", uri=True)
            subject = self.p.identify(engine, photo("Brighella", 5))[1]
            rows = catalogue.execute("SELECT bytes FROM reference JOIN payload ON payload.id = reference.payload "
                                     "WHERE subject = ?", (subject,)).fetchall()
            catalogue.close()
            self.assertEqual(len(rows), 2)
            needles[f"ciphertexts at {engine}"] = [w for row in rows for w in windows(row[0])]
        # The search finds what is there before, but nothing in the clear.
        for what, strings in needles.items():
            found = files_holding(self.p.root, strings)
            (self.assertFalse if what in ("image", "attributes") else self.assertTrue)(found, (what, found))
        self.assertEqual(person.ask("DELETE", "/v1/me")[0], 200)
        strings = [each for all in needles.values() for each in all]
        _, seconds = wait_for(lambda: not (left := files_holding(self.p.root, strings)) or print(left, file=sys.stderr), 60,
                              "everything is gone")
        print(f"{len(strings)} byte strings gone from every file, found by a search that took until {seconds:.1f} s after the answer",
              file=sys.stderr)
        self.assertEqual(len(self.p.operator("GET", "/v1/operator/engines/patchnet/backups/entrance")[1]["backups"]), 1)

    def test_a_wiped_engine_is_restored_from_the_storage_server(self):
        engine = "textures"
        person = self.p.register(photos("Colombina", 1, 2))
        person.opt_in(engine)
        person.enrolled(engine)
        status, answer, _ = self.p.operator("POST", f"/v1/operator/engines/{engine}/backups", {})
        self.assertEqual(status, 201, answer)
        directory = self.p.directory(engine)
        path = f"/v1/operator/engines/{engine}/backups/entrance/{answer['backups']['entrance']}"
        self.p.stop_role("all")
        shutil.rmtree(directory / "auth")
        shutil.rmtree(directory / "edge")
        self.p.start()
        # Its log begins anew, which the storage server notices and says; the gallery is not there.
        self.assertEqual(self.p.identify(engine, photo("Colombina", 5))[0], 404)
        status, backup, _ = self.p.operator("GET", path)
        self.assertEqual(status, 200)
        file = self.p.root / "entrance.backup"
        file.write_bytes(backup)
        self.p.stop_role("all")
        token = self.p.root / f"data-token-{'textures'}"
        self.p.run("--token", token, "gallery", "restore", "--engine", "texture", "entrance", file, data=directory)
        self.p.run("--token", token, "keys", "redeliver", "--edge", "edge", data=directory)
        self.p.start()
        self.assertEqual(self.p.identify(engine, photo("Colombina", 5))[0], "accepted")
        self.assertEqual(self.p.identify(engine, photo("Rosaura", 5))[0], "rejected")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[3:])
