#!/usr/bin/env python3
"""The roles as processes: what devices and operators meet.

usage: services_test.py BAUTA SOURCE_DIR CLIENT_EXAMPLE [unittest options]
"""
import hmac
import http.server
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

from services import Deployment, encoded, free_ports, multipart

BAUTA = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2])
CLIENT_EXAMPLE = os.path.abspath(sys.argv[3])
PEOPLE = SOURCE / "examples/people"


def photo(person, number):
    return PEOPLE / person / f"{person}_{number:04d}.jpg"


def photos(person, *numbers):
    return [photo(person, number) for number in numbers]


class Recognition(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.metrics_port = free_ports(1)[0]
        cls.d = Deployment(BAUTA, metrics_listen=f"127.0.0.1:{cls.metrics_port}")
        cls.d.__enter__()
        cls.addClassCleanup(cls.d.__exit__)
        assert cls.d.ask("POST", "/v1/galleries", {"gallery": "g"})[0] == 201

    def test_a_person_is_enrolled_recognised_and_erased(self):
        status, answer, _ = self.d.enrol("g", "Arlecchino", photos("Arlecchino", 1, 2))
        self.assertEqual((status, len(answer["references"])), (201, 2), answer)
        status, answer, _ = self.d.identify("g", photo("Arlecchino", 5), key="recognise")
        self.assertEqual((status, answer["decision"], answer["subject"]), (200, "accepted", "Arlecchino"))
        self.assertEqual(answer["presentation"], "not_checked")
        self.assertEqual(set(answer["timings"]), {"detect_align", "extract", "encrypt", "match", "decide", "total"})
        body, headers = multipart([("image", photo("Arlecchino", 5).read_bytes())])
        status, answer, _ = self.d.ask("POST", "/v1/galleries/g/subjects/Arlecchino/verify", body, headers=headers)
        self.assertEqual((status, answer["decision"]), (200, "accepted"))
        status, answer, _ = self.d.identify("g", photo("Rosaura", 5))
        self.assertEqual((status, answer["decision"], answer["subject"]), (200, "rejected", None))
        status, answer, _ = self.d.identify("g", SOURCE / "examples/refused/no_face.jpg")
        self.assertEqual((status, answer["decision"]), (200, "failed"))
        self.assertTrue(answer["reason"])
        status, answer, _ = self.d.ask("DELETE", "/v1/galleries/g/subjects/Arlecchino")
        self.assertEqual((status, answer["references"]), (200, 2))
        self.assertEqual(self.d.identify("g", photo("Arlecchino", 5))[1]["decision"], "rejected")

    def test_a_write_is_done_once_under_an_idempotency_key(self):
        once = {"Idempotency-Key": "enrol-1"}
        first = self.d.enrol("g", "Pantalone", photos("Pantalone", 1), headers=once)
        again = self.d.enrol("g", "Pantalone", photos("Pantalone", 1), headers=once)
        self.assertEqual((first[0], again[0], first[1]), (201, 201, again[1]))
        self.assertEqual(self.d.enrol("g", "Pantalone", photos("Pantalone", 1))[0], 409)
        self.assertEqual(self.d.enrol("g", "Pantalone", photos("Pantalone", 2), headers=once)[0], 422)

    def test_an_api_key_may_do_what_its_role_says(self):
        for key, path, body, status in (
                (None, "/v1/galleries", {"gallery": "h"}, 401), ("no such key", "/v1/galleries", {"gallery": "h"}, 401),
                ("recognise", "/v1/galleries", {"gallery": "h"}, 403), ("enrol", "/v1/galleries", {"gallery": "h"}, 403),
                ("recognise", "/v1/galleries/g/subjects", {"subject": "s", "images": ["AA=="]}, 403)):
            answer = self.d.ask("POST", path, body, key=key)
            self.assertEqual(answer[0], status)
            self.assertEqual(answer[2]["Content-Type"], "application/problem+json")
            self.assertEqual(answer[1]["request_id"], answer[2]["X-Request-Id"])

    def test_errors_say_what_is_wrong(self):
        image = encoded(photo("Arlecchino", 1))
        for method, path, body, status in (
                ("GET", "/v1/galleries/none", None, 404), ("GET", "/v1/nothing", None, 404),
                ("DELETE", "/v1/version", None, 405), ("POST", "/v1/galleries", {"gallery": "g"}, 409),
                ("POST", "/v1/galleries", {"gallery": "../g"}, 400), ("POST", "/v1/galleries", {}, 400),
                ("POST", "/v1/galleries", [], 400), ("POST", "/v1/galleries/none/identify", {"image": image}, 404),
                ("POST", "/v1/galleries/g/identify", {}, 400), ("POST", "/v1/galleries/g/identify", {"image": "*"}, 400),
                ("POST", "/v1/galleries/g/identify", {"image": [image, image]}, 400),
                ("POST", "/v1/galleries/g/identify", {"image": image, "x": 1}, 400),
                ("POST", "/v1/galleries/g/identify", {"image": image, "mode": "x"}, 400),
                ("POST", "/v1/galleries/g/identify", {"image": image, "mode": 1}, 400),
                ("POST", "/v1/galleries", {"gallery": "h", "mode": "image"}, 400),
                ("POST", "/v1/detect", {"image": image, "mode": "image"}, 400),
                ("POST", "/v1/galleries/g/subjects/nobody/verify", {"image": image}, 404),
                ("POST", "/v1/galleries/g/subjects", {"subject": "s", "images": [image] * 17}, 400),
                ("DELETE", "/v1/galleries/g/subjects/nobody", None, 404)):
            answer = self.d.ask(method, path, body)
            self.assertEqual(answer[0], status, (method, path, answer[1]))
            self.assertTrue(answer[1]["detail"])

    def test_the_description_is_there(self):
        status, document, _ = self.d.ask("GET", "/openapi.json", key=None)
        self.assertEqual((status, document["openapi"]), (200, "3.1.0"))
        status, page, headers = self.d.ask("GET", "/", key=None)
        self.assertEqual(status, 200)
        self.assertNotIn(b"http://", page)
        self.assertNotIn(b"https://", page)

    def test_a_request_can_be_followed_but_not_a_person(self):
        self.assertEqual(self.d.enrol("g", "Rosaura-7", photos("Rosaura", 1))[0], 201)
        _, answer, headers = self.d.identify("g", photo("Rosaura", 4), headers={"X-Request-Id": "door-42"})
        self.assertEqual((answer["subject"], headers["X-Request-Id"]), ("Rosaura-7", "door-42"))
        time.sleep(0.2)
        lines = [json.loads(line) for line in self.d.log.read_text().splitlines() if line.startswith("{")]
        followed = [(line["role"], line["operation"], line["outcome"]) for line in lines if line["request_id"] == "door-42"]
        self.assertIn(("edge", "POST /v1/galleries/{gallery}/identify", "200"), followed)
        self.assertIn(("auth", "Identify", "ok"), followed)
        self.assertIn(("key", "Decide", "ok"), followed)
        self.assertNotIn("Rosaura", self.d.log.read_text())
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as page:
            metrics = page.read().decode()
        self.assertRegex(metrics, r'bauta_requests_total{[^}]*operation="POST /v1/galleries/{gallery}/identify"[^}]*} \d')
        self.assertIn("bauta_request_seconds_bucket", metrics)
        for part in ("detect_align", "extract", "encrypt", "match", "decide", "total"):
            self.assertRegex(metrics, rf'bauta_recognition_seconds_count{{[^}}]*part="{part}"[^}}]*}} \d')
        self.assertNotIn("Rosaura", metrics)

    def test_image_mode_is_answered_as_template_mode_and_survives_a_restart(self):
        def identify(person, mode):
            body, headers = multipart([("image", photo(person, 5).read_bytes()), ("mode", mode)])
            return self.d.ask("POST", "/v1/galleries/masks/identify", body, headers=headers)
        self.assertEqual(self.d.ask("POST", "/v1/galleries", {"gallery": "masks"})[0], 201)
        for person, mode in (("Arlecchino", b"image"), ("Brighella", b"template")):
            body, headers = multipart([("subject", person.encode()), ("images", photo(person, 1).read_bytes()), ("mode", mode)])
            status, answer, _ = self.d.ask("POST", "/v1/galleries/masks/subjects", body, headers=headers)
            self.assertEqual((status, len(answer.get("references", []))), (201, 1), answer)
        keys = sorted((self.d.data / "auth/keys").glob("*.images"))
        self.assertEqual(len(keys), 1)
        written = keys[0].stat().st_mtime_ns
        for restarted in (False, True):
            if restarted:
                before = self.d.pid("auth")
                self.d.kill("auth")
                while self.d.pid("auth") in (None, before) or self.d.ask_quietly("GET", "/v1/health/ready") != 200:
                    time.sleep(0.1)
            for person in ("Arlecchino", "Brighella", "Rosaura"):
                status, answer, _ = identify(person, b"image")
                known = person != "Rosaura"
                self.assertEqual((status, answer.get("subject")), (200, person if known else None), answer)
                self.assertEqual(answer["decision"], "accepted" if known else "rejected")
        self.assertEqual(identify("Arlecchino", b"template")[1]["subject"], "Arlecchino")
        self.assertEqual(keys[0].stat().st_mtime_ns, written)  # found again, not made anew
        verified = self.d.ask("POST", "/v1/galleries/masks/subjects/Brighella/verify",
                              {"image": encoded(photo("Brighella", 4)), "mode": "image"})
        self.assertEqual((verified[0], verified[1]["decision"]), (200, "accepted"))
        # Keys damaged on the disk are replaced.
        keys[0].write_bytes(b"damaged")
        self.d.kill("auth")
        deadline = time.time() + 30
        while (answer := identify("Brighella", b"image"))[0] != 200 and time.time() < deadline:
            time.sleep(0.2)
        self.assertEqual(answer[1].get("subject"), "Brighella", answer)

    def test_a_gallery_is_renewed_while_it_is_used_and_the_key_before_destroyed(self):
        self.assertEqual(self.d.ask("POST", "/v1/galleries", {"gallery": "renewed"})[0], 201)
        self.assertEqual(self.d.enrol("renewed", "Arlecchino", photos("Arlecchino", 1, 2))[0], 201)
        before = self.d.ask("GET", "/v1/galleries/renewed")[1]["key_id"]

        def run_bauta(*arguments):
            done = subprocess.run([BAUTA, "--json", "--data", self.d.data, "--token", self.d.directory / "token",
                                   *arguments], capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            return json.loads(done.stdout)

        after = run_bauta("keys", "rotate")["key_id"]
        self.assertEqual(self.d.ask("POST", "/v1/galleries/renewed/renewal", key="enrol")[0], 403)
        status, answer, _ = self.d.ask("POST", "/v1/galleries/renewed/renewal")
        self.assertEqual(status, 202, answer)
        deadline = time.time() + 60
        while self.d.ask("GET", "/v1/galleries/renewed/renewal")[1]["running"]:
            self.assertLess(time.time(), deadline)
            status, answer, _ = self.d.identify("renewed", photo("Arlecchino", 5))
            self.assertEqual((status, answer.get("subject")), (200, "Arlecchino"), answer)
        answer = self.d.ask("GET", "/v1/galleries/renewed/renewal")[1]
        self.assertEqual((answer["key_id"], answer["to_key_id"], answer["error"]), (after, "", ""))
        self.assertNotEqual(before, after)
        status, answer, _ = self.d.identify("renewed", photo("Arlecchino", 5))
        self.assertEqual((status, answer["subject"]), (200, "Arlecchino"), answer)
        # The other gallery of this deployment, by the command beside the running services.
        self.assertEqual(self.d.ask("GET", "/v1/galleries/g")[1]["key_id"], before)
        self.assertEqual(run_bauta("gallery", "renew", "g")["key_id"], after)
        run_bauta("keys", "destroy", "--generation", "1", "--yes")
        self.assertEqual(self.d.enrol("g", "Brighella", photos("Brighella", 1, 2))[0], 201)
        self.assertEqual(self.d.identify("g", photo("Brighella", 5))[1]["subject"], "Brighella")
        self.assertEqual(self.d.identify("renewed", photo("Arlecchino", 5))[1]["subject"], "Arlecchino")

    def test_a_busy_port_is_named(self):
        other = Deployment(BAUTA)
        other.ports["edge"] = self.d.ports["edge"]
        try:
            with self.assertRaises(AssertionError) as failure:
                other.__enter__()
            self.assertIn(f"cannot listen on 127.0.0.1:{self.d.ports['edge']}", str(failure.exception))
        finally:
            other.__exit__()


class Webhook(unittest.TestCase):
    def test_decisions_are_told_signed_and_nothing_else(self):
        told = queue.Queue()

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.put((body, self.headers["Bauta-Signature"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        self.addCleanup(receiver.server_close)
        self.addCleanup(receiver.shutdown)
        d = Deployment(BAUTA, webhook_url=f"http://127.0.0.1:{receiver.server_port}/told")
        secret = os.urandom(32)
        path = d.directory / "webhook-secret"
        path.touch(0o600)
        path.write_bytes(secret)
        d.edge_options["webhook_secret"] = str(path)
        with d:
            self.assertEqual(d.ask("POST", "/v1/galleries", {"gallery": "g"})[0], 201)
            self.assertEqual(d.enrol("g", "Arlecchino", photos("Arlecchino", 1, 2))[0], 201)
            d.identify("g", SOURCE / "examples/refused/no_face.jpg")  # no decision
            d.identify("g", photo("Arlecchino", 5), headers={"X-Request-Id": "known"})
            d.identify("g", photo("Rosaura", 5))
            for decision, subject in (("accepted", "Arlecchino"), ("rejected", None)):
                body, signature = told.get(timeout=20)
                notice = json.loads(body)
                self.assertEqual((notice["decision"], notice["subject"]), (decision, subject))
                self.assertEqual(set(notice), {"id", "time_s", "operation", "gallery", "decision", "subject", "presentation", "request_id"})
                seconds, digest = (part.split("=")[1] for part in signature.split(","))
                expected = hmac.new(secret, seconds.encode() + b"." + body, "sha256").hexdigest()
                self.assertTrue(hmac.compare_digest(digest, expected))
                if decision == "accepted":
                    self.assertEqual(notice["request_id"], "known")
            self.assertTrue(told.empty())
            webhooks = d.ask("GET", "/openapi.json")[1]["webhooks"]
            self.assertIn("decision", webhooks)


class ClientLibrary(unittest.TestCase):
    WALK = "enrolled 1 reference\nidentify: accepted s1\nverify: accepted\nerased 1\nidentify: rejected\n"

    def walk(self, *arguments):
        return subprocess.run([CLIENT_EXAMPLE, *map(str, arguments), *photos("Arlecchino", 1, 5)],
                              capture_output=True, text=True)

    def test_a_program_asks_an_edge_and_is_an_edge_itself(self):
        with Deployment(BAUTA) as d:
            authority = d.data / "tls/ca.pem"
            through = self.walk("edge", "localhost", d.ports["edge"], authority, d.keys["admin"])
            self.assertEqual((through.stdout, through.stderr), (self.WALK, ""))
            refused = self.walk("edge", "localhost", d.ports["edge"], authority, "wrong")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("API key", refused.stderr)
            issued = subprocess.run([BAUTA, "ca", "issue", "--ca", d.data / "tls", "--name", "gate",
                                     "--out", d.directory / "gate"], capture_output=True, text=True)
            self.assertEqual(issued.returncode, 0, issued.stderr)
            subprocess.run([BAUTA, "--data", d.data, "--token", d.directory / "token", "grants", "give", "gate", "--gallery", "*",
                            "--rights", "recognise,enrol,erase,admin"], check=True, capture_output=True)
            time.sleep(1)  # both servers know of it by then
            own = self.walk("own", "gate", d.address("auth"), d.address("key"), authority,
                            d.directory / "gate/gate.pem", d.directory / "gate/gate.key", d.directory / "gate/keys")
            self.assertEqual((own.stdout, own.stderr), (self.WALK, ""))


class Benches(unittest.TestCase):
    def bench(self, *arguments):
        done = subprocess.run([BAUTA, "--json", "bench", *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_response_time_of_both_strategies_over_a_slow_line(self):
        times = self.bench("response-time", "--registrants", "1,3", "--dim", "16", "--strategy", "both",
                           "--delay-ms", "10")
        self.assertEqual([(t["strategy"], t["registrants"]) for t in times],
                         [(strategy, count) for strategy in ("packed", "round-robin") for count in (1, 3)])
        for time_of in times:
            self.assertGreater(time_of["rtt_s"], 0.02)

    def test_load_and_overload(self):
        load = self.bench("load", "--dim", "16", "--references", "10", "--clients", "2", "--seconds", "1", "--overload")
        for phase in (load, load["overload"], load["recovery"]):
            self.assertGreater(phase["rps"], 0)
            self.assertEqual((phase["errors"], phase["rejected_without_retry_after"]), (0, 0))

    def test_clusters(self):
        rows = self.bench("clusters", "--references", "60", "--dim", "16", "--cluster-size", "20,60", "--visited", "1,3")
        self.assertEqual([(r["cluster_size"], r["clusters"], r["clusters_visited"]) for r in rows],
                         [(20, 3, 1), (20, 3, 3), (60, 1, 1)])
        self.assertEqual([r["fnir_added"] for r in rows][1:], [0, 0])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
