#!/usr/bin/env python3
"""What operators see of the platform: response times, key states, checks of the logs, and backups on schedule.

usage: oversight_test.py BAUTA SOURCE_DIR [unittest options]
"""
import json
import os
import sys
import time
import unittest

from platform_processes import ENGINES, Platform, wait_for
from platform_test import photo, photos

BAUTA = os.path.abspath(sys.argv[1])
KEPT = 2


class OversightTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Platform(BAUTA, backup_interval_s=1, backups_kept=KEPT)
        cls.p.__enter__()
        cls.addClassCleanup(cls.p.__exit__)
        cls.person = cls.p.register(photos("Arlecchino", 1, 2))
        for engine in ENGINES:
            cls.person.opt_in(engine)
        for engine in ENGINES:
            cls.person.enrolled(engine)

    def get(self, engine, what):
        status, answer, _ = self.p.operator("GET", f"/v1/operator/engines/{engine}/{what}")
        self.assertEqual(status, 200, answer)
        return answer

    def test_response_times_are_those_of_the_edge(self):
        before = {engine: sum(t["recognitions"] for t in self.get(engine, "response-times")["times"]) for engine in ENGINES}
        for engine in ENGINES:
            time.sleep(1.5)  # a sample between the recognitions
            status, answer, _ = self.p.edge(engine, "POST", "/v1/galleries/entrance/identify", {"image": self.image()})
            self.assertEqual(status, 200)
            def shown(engine=engine):
                times = self.get(engine, "response-times")["times"]
                return times if sum(t["recognitions"] for t in times) == before[engine] + 1 else None
            times, seconds = wait_for(shown, 5, f"the recognition at {engine}")
            newest, timings = times[-1], answer["timings"]
            for part, name in (("encryption_ms", "encrypt"), ("distances_ms", "match"), ("minimum_ms", "decide")):
                self.assertAlmostEqual(newest[part], timings[name], places=2, msg=(engine, part))
            self.assertAlmostEqual(sum(newest[f"{part}_ms"] for part in ("encryption", "distances", "minimum", "others")),
                                   timings["total"], places=2)
            print(f"a response time of {engine} shown after {seconds:.2f} s", file=sys.stderr)

    @staticmethod
    def image():
        from services import encoded
        return encoded(photo("Arlecchino", 5))

    def test_states_of_keys(self):
        keys = {engine: self.get(engine, "keys")["keys"] for engine in ENGINES}
        for engine in ENGINES:
            (key,) = keys[engine]
            self.assertEqual(set(key), {"key", "generation", "state", "since_ms"})  # and nothing else of it
            self.assertEqual((key["generation"], key["state"]), (1, "active"))
            self.assertLess(abs(key["since_ms"] / 1000 - time.time()), 3600)
            galleries = self.p.edge(engine, "GET", "/v1/galleries")[1]["galleries"]
            self.assertEqual({key["key"]}, {gallery["key_id"] for gallery in galleries})
        self.assertEqual(len({key["key"] for each in keys.values() for key in each}), 3)
        where = {"data": self.p.directory("textures")}
        token = self.p.root / "data-token-textures"
        self.p.run("--token", token, "keys", "suspend", **where)
        try:
            self.assertEqual(self.get("textures", "keys")["keys"][0]["state"], "suspended")
        finally:
            self.p.run("--token", token, "keys", "resume", **where)
        self.assertEqual(self.get("textures", "keys")["keys"][0]["state"], "active")
        # Another deployment's authority is no way in: the key service answers its own linkage server alone.
        self.assertEqual([k["state"] for k in self.p.operator("GET", "/v1/operator/overview")[1]["keys"]], ["active"])

    def check(self):
        status, answer, _ = self.p.operator("POST", "/v1/operator/log-checks", {})
        self.assertEqual(status, 200, answer)
        return {log["engine"] or "consents": log for log in answer["logs"]}

    def test_checks_of_the_logs(self):
        def all_whole():
            logs = self.check()
            return logs if all(log["whole"] for log in logs.values()) else None
        logs, _ = wait_for(all_whole, 20, "all logs are whole and signed")
        self.assertEqual(set(logs), {"consents", *ENGINES})
        said = json.loads(self.p.run("--json", "consents", "verify").stdout)
        self.assertEqual(logs["consents"]["records"], said["records"])
        self.assertGreaterEqual(said["records"], 4)
        for engine in ENGINES:
            self.assertGreaterEqual(logs[engine]["records"], logs[engine]["signed_records"])
            self.assertGreater(logs[engine]["signed_records"], 0)
        for which, file in (("consents", self.p.data / "linkage/consents.log"),
                            *((engine, self.p.directory(engine) / "key/decisions.log") for engine in ENGINES)):
            content = file.read_bytes()
            for at in (90, len(content) // 2):
                with open(file, "r+b") as changed:
                    changed.seek(at)
                    changed.write(bytes([content[at] ^ 1]))
                try:
                    logs = self.check()
                finally:
                    with open(file, "r+b") as changed:
                        changed.seek(at)
                        changed.write(content[at:at + 1])
                self.assertEqual({name for name, log in logs.items() if not log["whole"]}, {which}, at)
                self.assertTrue(logs[which]["checked"])
                self.assertIn("changed or damaged", logs[which]["reason"])
        # A ledger that was cut at the end of a record, which is whole in itself.
        ledger = self.p.data / "linkage/consents.log"
        content = ledger.read_bytes()
        os.truncate(ledger, content.rstrip(b"\n").rfind(b"\n") + 1)
        try:
            self.assertFalse(self.check()["consents"]["whole"])
        finally:
            ledger.open("r+b").write(content)
        wait_for(all_whole, 20, "all logs are whole again")

    def test_backups_on_schedule(self):
        def backups(engine="patchnet"):
            answer = self.get(engine, "backups")
            self.assertEqual((answer["interval_s"], answer["kept"]), (1, KEPT))
            self.assertLessEqual(len(answer["backups"]), KEPT + 1)  # the oldest goes once the newest is there
            return answer
        for engine in ENGINES:
            wait_for(lambda engine=engine: len(backups(engine)["backups"]) == KEPT, 20, f"backups of {engine}")
        newest = backups()["backups"][0]
        wait_for(lambda: newest["id"] not in [b["id"] for b in backups()["backups"]], 30, "the oldest is pruned")
        stored = self.p.data / "storage/backups"
        wait_for(lambda: len(list(stored.iterdir())) <= KEPT * len(ENGINES) + 1, 5, "their files are gone")
        # A storage server that cannot write.
        stored.rename(stored.with_name("away"))
        try:
            error, _ = wait_for(lambda: backups()["error"], 20, "the failure is told")
            self.assertIn("cannot back up engine patchnet", self.p.log.read_text())
        finally:
            stored.with_name("away").rename(stored)
        wait_for(lambda: not backups()["error"], 20, "it goes on")
        self.assertGreater(backups()["failed_ms"], 0)
        print(f"the failure: {error}", file=sys.stderr)
        # What is deleted goes from backups that are made all the time, too.
        self.assertEqual(self.p.operator("POST", "/v1/operator/engines/patchnet/backups", {})[0], 201)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[3:])
