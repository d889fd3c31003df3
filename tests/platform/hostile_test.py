#!/usr/bin/env python3
"""Who may do what at the linkage server, and what it refuses: every operation by every kind of asker, forged sessions and
requests, and uploads that are none.

usage: hostile_test.py BAUTA SOURCE_DIR
"""
import json
import os
import pathlib
import ssl
import sys
import unittest

from platform_processes import ENGINES, Platform, multipart
from platform_test import SOURCE, photo, photos

BAUTA = os.path.abspath(sys.argv[1])

ANYONE, INVITED, PERSON, OPERATOR = "anyone", "invited", "person", "operator"
# Every operation, and who may ask it; the same table stands in docs/operations/platform.md.
OPERATIONS = [
    ("GET", "/v1/health/live", {ANYONE, INVITED, PERSON, OPERATOR}),
    ("POST", "/v1/pictures/check", {INVITED, PERSON}),
    ("POST", "/v1/registrations", {INVITED}),
    ("GET", "/v1/me", {PERSON}),
    ("POST", "/v1/me/consents", {PERSON}),
    ("DELETE", "/v1/me/consents/patchnet/entrance", {PERSON}),
    ("GET", "/v1/me/uses", {PERSON}),
    ("GET", "/v1/me/receipts", {PERSON}),
    ("DELETE", "/v1/me", {PERSON}),
    ("POST", "/v1/operator/invitations", {OPERATOR}),
    ("GET", "/v1/operator/overview", {OPERATOR}),
    ("GET", "/v1/operator/engines/patchnet/log", {OPERATOR}),
    ("POST", "/v1/operator/log-checks", {OPERATOR}),
    ("GET", "/v1/operator/engines/patchnet/keys", {OPERATOR}),
    ("GET", "/v1/operator/engines/patchnet/response-times", {OPERATOR}),
    ("GET", "/v1/operator/engines/patchnet/backups", {OPERATOR}),
    ("POST", "/v1/operator/engines/patchnet/backups", {OPERATOR}),
    ("GET", "/v1/operator/engines/patchnet/backups/entrance", {OPERATOR}),
    ("GET", "/v1/operator/engines/patchnet/backups/entrance/" + 32 * "0", {OPERATOR}),
]


class HostileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Platform(BAUTA)
        cls.p.__enter__()
        cls.addClassCleanup(cls.p.__exit__)

    def register(self, **attributes):
        person = self.p.register(photos("Corallina", 1), **attributes)
        self.assertNotIsInstance(person, tuple, person)
        return person

    def test_every_operation_by_every_asker(self):
        for method, path, allowed in OPERATIONS:
            for asker in (ANYONE, INVITED, PERSON, OPERATOR):
                headers = {
                    ANYONE: lambda: {}, INVITED: lambda: {"Authorization": "Invitation " + self.p.invite()},
                    PERSON: lambda: {"Cookie": (person := self.register()).cookie, "X-CSRF-Token": person.csrf},
                    OPERATOR: lambda: {"Authorization": "Bearer " + self.p.api_key("patchnet")}}[asker]()
                body = None
                if path in ("/v1/pictures/check", "/v1/registrations"):
                    body, kind = multipart([("image", photo("Corallina", 1).read_bytes())])
                    headers.update(kind)
                elif method == "POST":
                    body = {"engine": "patchnet", "purpose": "entrance", "text": "t"} if "consents" in path else {}
                status, answer, _ = self.p.linkage(method, path, body, headers)
                with self.subTest(operation=f"{method} {path}", asker=asker):
                    if asker in allowed:
                        self.assertNotIn(status, (401, 403), answer)
                        self.assertLess(status, 500, answer)
                    else:
                        self.assertEqual(status, 401, answer)

    def test_an_invitation_is_good_once(self):
        invitation = self.p.invite()
        self.assertNotIsInstance(self.p.register(photos("Corallina", 1), invitation), tuple)
        self.assertEqual(self.p.register(photos("Corallina", 1), invitation)[0], 401)
        for forged in ("", "0" * 64, invitation[:-1], "' OR 1=1 --"):
            self.assertEqual(self.p.register(photos("Corallina", 1), forged or " ")[0], 401, forged)

    def test_sessions_cannot_be_forged_or_ridden(self):
        person, other = self.register(), self.register()
        self.assertEqual(person.ask("GET", "/v1/me")[0], 200)
        value = person.cookie.split("=")[1]
        for cookie in ("", "__Host-bauta=", "__Host-bauta=" + "0" * 64, "bauta=" + value, "x__Host-bauta=" + value,
                       f"__Host-bauta={value[:-1]}", "__Host-bauta=" + person.csrf):
            self.assertEqual(self.p.linkage("GET", "/v1/me", headers={"Cookie": cookie})[0], 401, cookie)
        self.assertEqual(self.p.linkage("GET", "/v1/me", headers={"Cookie": f"a=b; __Host-bauta={value}; c=d"})[0], 200)
        # A request of another site brings the cookie along, but not the token.
        for token in (None, "", other.csrf, value):
            for method, path, body in (("DELETE", "/v1/me", None), ("DELETE", "/v1/me/consents/patchnet/entrance", None),
                                       ("POST", "/v1/me/consents", {"engine": "patchnet", "purpose": "entrance", "text": ""})):
                status, answer, _ = person.ask(method, path, body, **{"X-CSRF-Token": token})
                self.assertEqual(status, 403, (method, path, token, answer))
        self.assertEqual(person.state("patchnet"), "off")

    def test_cookies_and_pages_are_guarded(self):
        body, kind = multipart([("image", photo("Corallina", 1).read_bytes())])
        _, _, headers = self.p.linkage("POST", "/v1/registrations", body, {
            **kind, "Authorization": "Invitation " + self.p.invite()})
        for word in ("__Host-bauta=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(word, headers["Set-Cookie"])
        self.assertNotIn("Domain", headers["Set-Cookie"])
        for path in ("/", "/operator", "/registration.js", "/operator.js", "/style.css"):
            status, content, headers = self.p.linkage("GET", path)
            self.assertEqual(status, 200, path)
            policy = headers["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertNotIn("http", policy)
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertNotIn(b"<script>", content)
            self.assertNotIn(b" style=", content)

    def test_uploads_that_are_no_pictures_are_refused(self):
        invitation = {"Authorization": "Invitation " + self.p.invite()}
        good = photo("Corallina", 1).read_bytes()
        for what, parts, expected in (
                ("none", [], 400), ("empty", [("image", b"")], 400), ("text", [("image", b"<script>alert(1)</script>")], 400),
                ("svg", [("image", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")], 400),
                ("cut off", [("image", good[:len(good) // 2])], 400),
                ("no face", [("image", (SOURCE / "examples/refused/no_face.jpg").read_bytes())], 422),
                ("too many", [("image", good)] * 9, 400), ("unknown field", [("image", good), ("path", b"../../x")], 400),
                ("age", [("image", good), ("age", b"1e9")], 400), ("long name", [("image", good), ("name", b"n" * 10_000)], 400)):
            body, kind = multipart(parts)
            status, answer, _ = self.p.linkage("POST", "/v1/registrations", body, {**kind, **invitation})
            self.assertEqual(status, expected, (what, answer))
        status, _, _ = self.p.linkage("POST", "/v1/registrations", {"image": "AA=="}, invitation)
        self.assertEqual(status, 415)
        body, kind = multipart([("image", b"\xff\xd8" + os.urandom(33 << 20))])
        try:
            status, _, _ = self.p.linkage("POST", "/v1/registrations", body, {**kind, **invitation})
        except OSError:
            status = 413  # the server does not read on for long after its answer
        self.assertEqual(status, 413)
        # The invitation outlives all of it.
        self.assertNotIsInstance(self.p.register(photos("Corallina", 1), invitation["Authorization"].split()[1]), tuple)

    def test_what_people_write_never_comes_back_as_markup(self):
        markup = "<script>alert(1)</script><img src=x onerror=alert(1)>"
        person = self.register(name=markup, gender=markup[:20])
        person.ask("POST", "/v1/me/consents", {"engine": "patchnet", "purpose": "entrance", "text": markup})
        for path in ("/v1/me", "/v1/me/receipts", "/v1/me/uses", "/v1/me/" + markup, "/" + markup):
            _, answer, headers = person.ask("GET", path.replace(" ", "%20"))
            self.assertIn("json", headers["Content-Type"])
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        overview = json.dumps(self.p.operator("GET", "/v1/operator/overview")[1])
        self.assertNotIn(markup, overview)

    def test_malformed_consents_are_refused(self):
        person = self.register()
        for body, expected in (([], 400), ({}, 400), ({"engine": 1, "purpose": "entrance", "text": ""}, 400),
                               ({"engine": "none", "purpose": "entrance", "text": ""}, 404),
                               ({"engine": "patchnet", "purpose": "../entrance", "text": ""}, 404),
                               ({"engine": "patchnet", "purpose": "entrance", "text": "t" * 5000}, 400),
                               ({"engine": "patchnet", "purpose": "entrance", "text": "t" * 300}, 400)):
            self.assertEqual(person.ask("POST", "/v1/me/consents", body)[0], expected, body)
        self.assertEqual(person.opt_out("patchnet")[0], 404)

    def test_an_unknown_engine_is_not_found(self):
        for method, path, allowed in OPERATIONS:
            if "/engines/" in path:
                for name in ("none", "..", "patchnet%2f..", "patchnet'--"):
                    status, answer, _ = self.p.operator(method, path.replace("patchnet", name), {} if method == "POST" else None)
                    self.assertEqual(status, 404, (path, name, answer))

    def test_one_engine_cannot_read_another(self):
        # Its operator's key opens nothing at another engine, nor the other way round.
        for here in ENGINES:
            for there in ENGINES:
                status = self.p.edge(there, "GET", "/v1/galleries", key=self.p.api_key(here))[0]
                self.assertEqual(status, 200 if here == there else 401, (here, there))
                # Nor is its authority known there.
                if here != there:
                    with self.assertRaises(ssl.SSLError):
                        self.p.request(self.p.ports[there]["edge"], self.p.directory(here) / "tls/ca.pem", "GET", "/v1/galleries")
        # Each has keys of its own, in a token of its own.
        keys = {engine: json.loads((self.p.directory(engine) / "key/keys.json").read_text())["keys"] for engine in ENGINES}
        ids = [key["id"] for each in keys.values() for key in each]
        self.assertEqual(len(ids), len(set(ids)))
        for engine in ENGINES[1:]:
            self.assertTrue((self.p.root / f"data-token-{engine}").is_dir())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[3:])
