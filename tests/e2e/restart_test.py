#!/usr/bin/env python3
"""Each role is killed under load and comes back: errors end soon, no answer is wrong, nothing acknowledged is lost. And
what each process can reach: the authentication server's user cannot read the key service's files, and the edge's memory
holds no feature of a registration.

usage: restart_test.py BAUTA SOURCE_DIR MEMORY_PROBE [unittest options]
"""
import os
import pathlib
import pwd
import subprocess
import sys
import threading
import time
import unittest

from services import Deployment

BAUTA = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2])
MEMORY_PROBE = os.path.abspath(sys.argv[3])
PEOPLE = SOURCE / "examples/people"
ROLES = ("edge", "auth", "key")
RECOVERY_S = 20


def photo(person, number):
    return PEOPLE / person / f"{person}_{number:04d}.jpg"


class Load(threading.Thread):
    """Asks without a pause, and keeps (time, kind, right) of every answer; kind is a status, or 0 for none."""

    def __init__(self, ask, is_right):
        super().__init__()
        self.ask, self.is_right, self.answers, self.stopped = ask, is_right, [], False

    def run(self):
        while not self.stopped:
            try:
                status, answer, _ = self.ask()
            except OSError:
                status, answer = 0, None
            self.answers.append((time.time(), status, status != 200 or self.is_right(answer)))
            time.sleep(0.02)

    def stop(self):
        self.stopped = True
        self.join()


class Restart(unittest.TestCase):
    def test_roles_are_killed_under_load(self):
        with Deployment(BAUTA) as d:
            self.assertEqual(d.ask("POST", "/v1/galleries", {"gallery": "g"})[0], 201)
            self.assertEqual(d.enrol("g", "Arlecchino", [photo("Arlecchino", n) for n in (1, 2)])[0], 201)
            known = Load(lambda: d.identify("g", photo("Arlecchino", 5)),
                         lambda a: (a["decision"], a["subject"]) == ("accepted", "Arlecchino"))
            stranger = Load(lambda: d.identify("g", photo("Rosaura", 5)), lambda a: a["decision"] == "rejected")
            written, acknowledged = [0], []

            def enrol():
                written[0] += 1
                name = f"subject-{written[0]}"
                reply = d.enrol("g", name, [photo("Pulcinella", 1)])
                if reply[0] == 201:
                    acknowledged.append(name)
                return reply
            writer = Load(enrol, lambda a: True)
            loads = (known, stranger, writer)
            for load in loads:
                load.start()
            time.sleep(1)
            kills = []
            for role in ROLES:
                before = d.pid(role)
                d.kill(role)
                kills.append(time.time())
                deadline = time.time() + RECOVERY_S
                while d.pid(role) in (None, before) or d.ask_quietly("GET", "/v1/health/ready") != 200:
                    self.assertLess(time.time(), deadline, f"{role} did not come back")
                    time.sleep(0.1)
                time.sleep(1)
            for load in loads:
                load.stop()

            for load in loads:
                self.assertTrue(all(right for _, _, right in load.answers), "a wrong answer")
                for when, status, _ in load.answers:
                    if status not in (200, 201):
                        self.assertIn(status, (0, 503))
                        self.assertTrue(any(0 <= when - kill <= RECOVERY_S for kill in kills))
                self.assertIn(load.answers[-1][1], (200, 201))
            self.assertGreater(len(acknowledged), 0)
            for name in acknowledged:
                status, answer, _ = d.ask("DELETE", f"/v1/galleries/g/subjects/{name}")
                self.assertEqual((status, answer["references"]), (200, 1), name)

    def test_sigterm_ends_all_roles(self):
        with Deployment(BAUTA) as d:
            pids = [d.pid(role) for role in ROLES]
            self.assertEqual(d.stop(), 0)
            for pid in pids:
                self.assertFalse(os.path.exists(f"/proc/{pid}"))


class Isolation(unittest.TestCase):
    @unittest.skipUnless(os.geteuid() == 0, "only root can give each role a user")
    def test_the_authentication_server_cannot_read_the_key_services_files(self):
        d = Deployment(BAUTA)
        d.users = {"auth": "nobody", "key": "daemon"}
        with d:
            self.assertEqual(d.ask("POST", "/v1/galleries", {"gallery": "g"})[0], 201)
            uids = {}
            for role in ("auth", "key"):
                status = pathlib.Path(f"/proc/{d.pid(role)}/status").read_text()
                uids[role] = {int(uid) for line in status.splitlines() if line.startswith("Uid:") for uid in line.split()[1:]}
            self.assertEqual(uids, {"auth": {pwd.getpwnam("nobody").pw_uid}, "key": {pwd.getpwnam("daemon").pw_uid}})
            for path in (d.data / "key", d.directory / "token", d.data / "tls/key.key", d.data / "tls/ca/ca.key",
                         d.data / "edge", f"/proc/{d.pid('key')}/mem"):
                self.assertTrue(os.path.exists(path), path)
                command = ["ls", path] if os.path.isdir(path) else ["head", "-c1", path]
                tried = subprocess.run(command, user="nobody", group=pwd.getpwnam("nobody").pw_gid, extra_groups=[],
                                       capture_output=True)
                self.assertNotEqual(tried.returncode, 0, path)

    def test_the_edges_memory_holds_no_feature_after_a_registration(self):
        with Deployment(BAUTA) as d:
            self.assertEqual(d.ask("POST", "/v1/galleries", {"gallery": "g"})[0], 201)
            images = [photo("Arlecchino", n) for n in (1, 2)]
            self.assertEqual(d.enrol("g", "Arlecchino", images)[0], 201)
            probe = subprocess.run([MEMORY_PROBE, str(d.pid("edge")), *images], capture_output=True, text=True)
            if probe.returncode == 77:
                self.skipTest(probe.stdout)
            self.assertEqual(probe.returncode, 0, probe.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
