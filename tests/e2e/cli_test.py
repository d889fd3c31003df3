#!/usr/bin/env python3
"""The `bauta` command as a person or a script uses it: real processes, a real SoftHSM token, the demo people.

usage: cli_test.py BAUTA SOURCE_DIR [unittest options]
"""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BAUTA = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2])
PEOPLE = SOURCE / "examples/people"


def people(enrolled):
    """The demo people who are, or are not, to be enrolled; their images as paths."""
    listed = json.loads((PEOPLE / "people.json").read_text())
    for person in listed:
        for images in ("enrol", "probe"):
            person[images] = [PEOPLE / person["name"] / image for image in person[images]]
    return [person for person in listed if person["enrolled"] == enrolled]


class CliTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="bauta-e2e-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.data = self.directory / "data"

    def run_bauta(self, *arguments, data=None, expect=0):
        """Runs the command, checks the exit code, returns (document on stdout, text on stderr)."""
        command = [BAUTA, "--json", "--data", str(data or self.data), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, expect, f"{command}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout else None, done.stderr

    def error(self, *arguments, **options):
        """Runs a command that must fail as a whole; returns its message."""
        document, text = self.run_bauta(*arguments, expect=1, **options)
        self.assertEqual(text.strip(), "bauta: " + document["error"]["message"])
        return document["error"]["code"], document["error"]["message"]

    def make_gallery(self, gallery="g"):
        self.run_bauta("keys", "init")
        self.run_bauta("gallery", "create", gallery)

    def enroll(self, person, subject=None, **options):
        return self.run_bauta("enroll", "--gallery", "g", "--subject", subject or person["name"], *person["enrol"], **options)

    def stats(self):
        """What the gallery holds; not how long it took to open."""
        stats = self.run_bauta("gallery", "stats", "g")[0]
        del stats["load_ms"]
        return stats


class Keys(CliTest):
    def test_rotate_suspend_destroy(self):
        """A destroyed key ends what was made under it, also in a copy of the data that was saved before."""
        self.make_gallery()
        person = people(True)[0]
        self.enroll(person)
        identify = ["identify", "--gallery", "g", person["probe"][0]]
        self.assertEqual(self.run_bauta(*identify)[0][0]["subject"], person["name"])

        rotated, _ = self.run_bauta("keys", "rotate")
        self.assertEqual((rotated["generation"], rotated["state"]), (2, "active"))
        self.assertEqual(rotated["galleries_under_older_keys"], ["g"])
        self.assertEqual(self.run_bauta(*identify)[0][0]["subject"], person["name"])
        self.run_bauta("gallery", "create", "h")
        keys, _ = self.run_bauta("keys", "status")
        self.assertEqual([key["state"] for key in keys], ["deactivated", "active"])
        self.assertEqual([key["decisions"] for key in keys], [2, 0])
        self.assertEqual(self.run_bauta("gallery", "stats", "h")[0]["key_id"], keys[1]["key_id"])

        self.run_bauta("keys", "suspend", "--generation", "1")
        self.assertIn("suspended", self.error(*identify)[1])
        self.run_bauta("keys", "resume", "--generation", "1")
        self.assertEqual(self.run_bauta(*identify)[0][0]["subject"], person["name"])

        saved = self.directory / "saved"
        shutil.copytree(self.data, saved)
        self.assertEqual(self.error("keys", "destroy", "--generation", "1")[0], "refused")
        destroyed, _ = self.run_bauta("keys", "destroy", "--generation", "1", "--yes")
        self.assertEqual(destroyed["state"], "destroyed")
        self.assertEqual(list((self.data / "auth/keys").glob(keys[0]["key_id"] + "*")), [])
        code, message = self.error(*identify)
        self.assertEqual(code, "refused")
        self.assertRegex(message, "key 1 of tenant 'default' was destroyed on 20")
        token = ["--token", str(self.directory / "data-token")]
        code, message = self.error(*token, *identify, data=saved)
        self.assertIn("does not hold the key", message)
        self.run_bauta("audit", "verify")

    def test_an_imported_reference_that_is_erased_goes_from_the_files(self):
        self.make_gallery()
        dimension = self.stats()["contract"]["dimension"]
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (3, {dimension}), }}"
        rows = [1.0 if i == person else 0.0 for person in range(3) for i in range(dimension)]
        embeddings, ids = self.directory / "rows.npy", self.directory / "ids.txt"
        embeddings.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117).encode() + b"\n"
                               + struct.pack(f"<{len(rows)}f", *rows))
        ids.write_text("p0\np1\np2\n")
        self.run_bauta("gallery", "import", "g", "--npy", embeddings, "--ids", ids)
        segments = self.data / "auth/segments/1"
        before = {file.name for file in segments.glob("*.segment")}
        self.run_bauta("erase", "--gallery", "g", "--subject", "p1")
        done, _ = self.run_bauta("gallery", "rewrite", "g")
        self.assertEqual((done["references"], done["rewritten"], done["dropped"]), (1, 1, 0))
        after = {file.name for file in segments.glob("*.segment")}
        self.assertEqual((len(after), after & before), (1, set()))
        self.assertEqual(self.run_bauta("gallery", "rewrite", "g")[0]["references"], 0)
        self.assertEqual(self.stats()["references"], 2)
        # A backup of it is one of who is left.
        backup = self.directory / "g.backup"
        self.run_bauta("gallery", "export", "g", backup)
        restored, _ = self.run_bauta("gallery", "restore", "h", backup)
        self.assertEqual(restored["references"], 2)
        self.run_bauta("audit", "verify")

    def test_a_renewed_gallery_outlives_the_key_before(self):
        self.make_gallery()
        person = people(True)[0]
        self.enroll(person)
        identify = ["identify", "--gallery", "g", person["probe"][0]]
        saved = self.directory / "saved"
        shutil.copytree(self.data, saved)
        self.assertEqual(self.run_bauta("gallery", "renew", "g")[0]["references"], 0)
        rotated, _ = self.run_bauta("keys", "rotate")
        renewed, _ = self.run_bauta("gallery", "renew", "g")
        self.assertEqual((renewed["key_id"], renewed["references"]), (rotated["key_id"], len(person["enrol"])))
        self.assertGreater(renewed["references_per_second"], 0)
        self.assertEqual(self.run_bauta(*identify)[0][0]["subject"], person["name"])
        self.run_bauta("keys", "destroy", "--generation", "1", "--yes")
        self.assertEqual(self.run_bauta(*identify)[0][0]["subject"], person["name"])
        self.run_bauta("enroll", "--gallery", "g", "--subject", person["name"], "--add", person["enrol"][0])
        self.assertEqual(self.run_bauta("keys", "rotate")[0]["galleries_under_older_keys"], ["g"])
        self.assertIn("these galleries are: g", self.error("keys", "destroy", "--generation", "2")[1])
        self.run_bauta("keys", "destroy", "--generation", "2", "--yes")
        self.assertIn("was destroyed on", self.error(*identify)[1])
        token = ["--token", str(self.directory / "data-token")]
        self.assertIn("does not hold the key", self.error(*token, *identify, data=saved)[1])
        self.run_bauta("audit", "verify")

    def test_backup_to_a_second_token(self):
        self.make_gallery()
        person = people(True)[0]
        self.enroll(person)
        second = ["--token", str(self.directory / "second")]
        key, _ = self.run_bauta(*second, "keys", "backup-key")
        key_file = self.directory / "backup-key"
        key_file.write_text(key["public_key"] + "\n")
        copies = self.directory / "copies"
        self.assertEqual(self.error("keys", "backup", copies)[0], "not_found")
        backup, _ = self.run_bauta("keys", "backup", "--backup-key", key_file, copies)
        self.assertEqual(backup["copies"], 1)
        # The first token is lost, with the key service's directory.
        shutil.rmtree(self.directory / "data-token")
        shutil.rmtree(self.data / "key")
        restored, _ = self.run_bauta(*second, "keys", "restore", "--signer", backup["signer"], copies)
        self.assertEqual(restored, {"restored": 1, "present": 0, "destroyed": 0})
        answers, _ = self.run_bauta(*second, "identify", "--gallery", "g", person["probe"][0])
        self.assertEqual(answers[0]["subject"], person["name"])
        self.run_bauta(*second, "keys", "destroy", "--yes")
        self.assertEqual(list(copies.iterdir()), [])

    def test_a_changed_log_is_found(self):
        self.make_gallery()
        before, _ = self.run_bauta("audit", "verify")
        self.assertEqual(before["signed_records"], before["records"])
        for file in ("decisions.log", "decisions.head"):
            path = self.data / "key" / file
            good = path.read_bytes()
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            self.assertEqual(self.error("audit", "verify")[0], "corrupt", file)
            path.write_bytes(good)
        self.assertEqual(self.run_bauta("audit", "verify")[0], before)


class Recognition(CliTest):
    def test_enrol_identify_verify_erase(self):
        self.make_gallery()
        known, stranger = people(True)[0], people(False)[0]
        # The demo's people resemble one another; these two do not.
        other = next(person for person in people(True) if person["name"] == "Pulcinella")
        for person in (known, other):
            document, _ = self.enroll(person)
            self.assertEqual(len(document["references"]), len(person["enrol"]))
            self.assertEqual(document["refused"], [])
        probe = known["probe"][0]

        answers, _ = self.run_bauta("identify", "--gallery", "g", probe)
        self.assertEqual(answers[0]["decision"], "accepted")
        self.assertEqual(answers[0]["subject"], known["name"])
        self.assertEqual(set(answers[0]["timings_ms"]),
                         {"detect_align", "extract", "encrypt", "match", "decide", "total"})

        answers, _ = self.run_bauta("identify", "--gallery", "g", stranger["probe"][0], probe, expect=1)
        self.assertEqual([a["decision"] for a in answers], ["rejected", "accepted"])
        self.assertIsNone(answers[0]["subject"])

        answer, _ = self.run_bauta("verify", "--gallery", "g", "--subject", known["name"], probe)
        self.assertEqual(answer["decision"], "accepted")
        answer, _ = self.run_bauta("verify", "--gallery", "g", "--subject", other["name"], probe, expect=1)
        self.assertEqual(answer["decision"], "rejected")

        self.run_bauta("erase", "--gallery", "g", "--subject", known["name"])
        answers, _ = self.run_bauta("identify", "--gallery", "g", probe, expect=1)
        self.assertEqual(answers[0]["decision"], "rejected")
        self.assertEqual(self.stats()["references"], len(other["enrol"]))

    def test_galleries(self):
        self.make_gallery()
        listed, _ = self.run_bauta("gallery", "list")
        self.assertEqual([g["gallery"] for g in listed], ["g"])
        self.assertEqual(self.error("gallery", "create", "g")[0], "already_exists")
        self.assertEqual(self.error("gallery", "delete", "g")[0], "refused")
        self.run_bauta("gallery", "delete", "g", "--yes")
        self.assertEqual(self.run_bauta("gallery", "list")[0], [])

    def test_demo_is_safe_to_repeat(self):
        for _ in range(2):
            document, _ = self.run_bauta("demo")
            self.assertEqual(document["right"], len(document["probes"]))
            self.assertEqual(document["image_mode"]["subject"], document["image_mode"]["person"])


class BadUsage(CliTest):
    def test_no_core_dump_of_a_command(self):
        command = [BAUTA, "--data", str(self.data), "demo"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            limits = pathlib.Path(f"/proc/{running.pid}/limits")
            limited = lambda: re.search(r"^Max core file size +0 +0 ", limits.read_text(), re.MULTILINE)
            while running.poll() is None and not limited():
                time.sleep(0.01)
            self.assertIsNone(running.poll(), "the demonstration ended before it gave up core dumps")
            running.kill()

    def test_exit_code_2(self):
        for arguments in ([], ["nonsense"], ["identify"], ["gallery"], ["identify", "--gallery", "g"],
                          ["--threads", "0", "gallery", "list"], ["eval", "pairs", "--mode", "other"]):
            done = subprocess.run([BAUTA, *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(done.stdout, "", arguments)
            self.assertTrue(done.stderr, arguments)

    def test_help_everywhere(self):
        for command in ([], ["keys"], ["keys", "init"], ["gallery", "create"], ["enroll"], ["identify"], ["verify"],
                        ["erase"], ["eval", "pairs"], ["eval", "identify"], ["demo"]):
            done = subprocess.run([BAUTA, *command, "--help"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, command)
            self.assertIn("--help", done.stdout, command)


class Refusals(CliTest):
    """Each gets a clear error and changes nothing."""

    def setUp(self):
        super().setUp()
        self.make_gallery()
        self.person = people(True)[0]
        self.enroll(self.person)
        self.probe = self.person["probe"][0]
        self.before = self.stats()

    def tearDown(self):
        self.assertEqual(self.stats(), self.before)
        answers, _ = self.run_bauta("identify", "--gallery", "g", self.probe)
        self.assertEqual(answers[0]["subject"], self.person["name"])

    def write(self, name, content):
        path = self.directory / name
        path.write_bytes(content)
        return path

    def refused_image(self, path, *words):
        answers, _ = self.run_bauta("identify", "--gallery", "g", path, expect=1)
        self.assertEqual(answers[0]["decision"], "failed")
        for word in words:
            self.assertIn(word, answers[0]["reason"])
        document, _ = self.run_bauta("enroll", "--gallery", "g", "--subject", "new", path, expect=1)
        self.assertEqual(document["references"], [])
        self.assertEqual(len(document["refused"]), 1)

    def test_images_that_are_none(self):
        self.refused_image(self.write("text.jpg", b"this is not an image"), "image")
        self.refused_image(self.write("empty.png", b""), "empty")
        self.refused_image(self.write("pixel.ppm", b"P6 1 1 255\n\0\0\0"), "1")
        self.refused_image(self.write("half.jpg", self.probe.read_bytes()[:2000]))
        self.assertIn("missing.jpg", self.run_bauta("identify", "--gallery", "g", "missing.jpg", expect=1)[0][0]["reason"])

    def test_images_without_one_usable_face(self):
        self.refused_image(SOURCE / "examples/refused/no_face.jpg", "face")
        self.refused_image(SOURCE / "examples/refused/two_faces.jpg", "faces")

    def test_names(self):
        self.assertEqual(self.error("identify", "--gallery", "nowhere", self.probe)[0], "not_found")
        self.assertEqual(self.error("verify", "--gallery", "g", "--subject", "nobody", self.probe)[0], "not_found")
        self.assertEqual(self.error("erase", "--gallery", "g", "--subject", "nobody")[0], "not_found")
        self.assertEqual(self.error("enroll", "--gallery", "g", "--subject", self.person["name"], self.probe)[0],
                         "already_exists")
        self.assertEqual(self.error("enroll", "--gallery", "g", "--subject", "../x", self.probe)[0], "invalid_argument")
        self.assertEqual(self.error("gallery", "create", "../x")[0], "invalid_argument")

    def test_damaged_key_files(self):
        for pattern in ("*.galois", "*.relinearization"):
            for path in (self.data / "auth/keys").glob(pattern):
                original = path.read_bytes()
                place = 1000  # in the first key: the file is read as far as a search needs it
                flipped = original[:place] + bytes([original[place] ^ 1]) + original[place + 1:]
                for damaged in (flipped, original[:len(original) // 2], original + b"x" * 100, b""):
                    path.write_bytes(damaged)
                    code, message = self.error("identify", "--gallery", "g", self.probe)
                    self.assertIn(code, ("corrupt", "mismatch", "invalid_argument"), message)
                path.write_bytes(original)

    def test_key_of_another_tenant(self):
        """The public keys of another token in place of the gallery's own."""
        other = self.directory / "other"
        self.run_bauta("keys", "init", data=other)
        self.run_bauta("gallery", "create", "g", data=other)
        own = sorted((self.data / "auth/keys").glob("*.galois"))[0]
        foreign = sorted((other / "auth/keys").glob("*.galois"))[0]
        original = own.read_bytes()
        shutil.copyfile(foreign, own)
        self.assertEqual(self.error("identify", "--gallery", "g", self.probe)[0], "mismatch")
        own.write_bytes(original)

    def test_another_token(self):
        """A token that does not hold the gallery's key."""
        self.run_bauta("keys", "init", data=self.directory / "other")
        code, message = self.error("--token", self.directory / "other-token", "identify", "--gallery", "g", self.probe)
        self.assertIn(code, ("not_found", "refused", "mismatch"), message)

    def test_no_platform(self):
        for command in (["invite"], ["consents", "verify"], ["consents", "check", PEOPLE / "people.json"]):
            self.assertEqual(self.error(*command)[0], "not_found", command)
        self.run_bauta("config", "init")
        code, message = self.error("invite")
        self.assertEqual(code, "not_found")
        self.assertIn("has never run", message)

    def test_no_token(self):
        code, message = self.error("--token", self.directory / "none", "identify", "--gallery", "g", self.probe)
        self.assertEqual(code, "not_found")
        self.assertIn("keys init", message)


class TwoProcesses(CliTest):
    def test_enrolments_side_by_side_all_succeed(self):
        self.make_gallery()
        person = people(True)[0]
        image = person["enrol"][0]
        running = [subprocess.Popen([BAUTA, "--data", self.data, "enroll", "--gallery", "g", "--subject", f"s{i}", image],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for i in range(6)]
        for process in running:
            _, text = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, text)
        self.assertEqual(self.stats()["references"], 6)

    def test_the_same_subject_side_by_side_is_enrolled_once(self):
        self.make_gallery()
        image = people(True)[0]["enrol"][0]
        running = [subprocess.Popen([BAUTA, "--data", self.data, "enroll", "--gallery", "g", "--subject", "s", image],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(4)]
        self.assertEqual(sorted(process.wait(120) for process in running), [0, 1, 1, 1])
        self.assertEqual(self.stats()["references"], 1)


@unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
class FullDisk(CliTest):
    def test_a_full_disk_is_said_and_loses_nothing(self):
        mount = self.directory / "small"
        mount.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", mount]).returncode != 0:
            self.skipTest("a tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", mount])
        self.data = mount / "data"
        self.make_gallery()
        person = people(True)[0]
        self.enroll(person, "first")
        before = self.stats()
        free = shutil.disk_usage(mount).free
        (mount / "filler").write_bytes(b"x" * max(0, free - (16 << 10)))
        code, message = self.error("enroll", "--gallery", "g", "--subject", "second",
                                   *person["enrol"])
        self.assertEqual(code, "no_space", message)
        (mount / "filler").unlink()
        self.assertEqual(self.stats(), before)
        answers, _ = self.run_bauta("identify", "--gallery", "g", person["probe"][0])
        self.assertEqual(answers[0]["subject"], "first")
        self.enroll(person, "second")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
