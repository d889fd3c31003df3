#!/usr/bin/env python3
"""What the services refuse: connections that are not as they should be, and requests made to do harm. Every operation of
the OpenAPI description is driven with good and bad input.

usage: hostile_test.py BAUTA SOURCE_DIR [unittest options]
"""
import json
import os
import pathlib
import random
import re
import socket
import ssl
import struct
import subprocess
import sys
import time
import unittest
import urllib.parse
import zlib

from services import Deployment, encoded, multipart

BAUTA = os.path.abspath(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2])
PHOTO = SOURCE / "examples/people/Arlecchino/Arlecchino_0001.jpg"
MAX_BODY = 1 << 20


def png_of(width, height):
    """A small file that says it is a large picture."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    rows = zlib.compressobj(9)
    row = b"\0" * min(width // 8 + 1, 10_000)
    packed = b"".join(rows.compress(row) for _ in range(min(height, 5000))) + rows.flush()
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
            + chunk(b"IDAT", packed) + chunk(b"IEND", b""))


class HostileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Deployment(BAUTA, max_body_bytes=MAX_BODY, request_timeout_ms=2000)
        cls.d.__enter__()
        cls.addClassCleanup(cls.d.__exit__)
        assert cls.d.ask("POST", "/v1/galleries", {"gallery": "g"})[0] == 201
        assert cls.d.enrol("g", "somebody", [PHOTO])[0] == 201
        assert cls.d.identify("g", PHOTO)[0] == 200
        cls.memory = cls.peak_memory()

    @classmethod
    def peak_memory(cls):
        status = pathlib.Path(f"/proc/{cls.d.pid('edge')}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10

    def tearDown(self):
        # Still well, and not much larger than before.
        self.assertEqual(self.d.identify("g", PHOTO)[1]["subject"], "somebody")
        self.assertLess(self.peak_memory() - self.memory, 300 << 20)

    def connect(self, port="edge", context=None, timeout=30):
        plain = socket.create_connection(("127.0.0.1", self.d.ports[port]), timeout)
        return (context or self.d.tls()).wrap_socket(plain, server_hostname="localhost")

    def send_raw(self, *pieces, pause=0.0):
        """Sends bytes; returns (status line's status or None when the edge just closed, seconds)."""
        start = time.time()
        reply = b""
        with self.connect() as s:
            try:
                for piece in pieces:
                    s.sendall(piece)
                    # As every good client does: an answer may come before all is sent.
                    time.sleep(pause)
                    if reply := self.receive_at_hand(s):
                        break
                reply = reply or s.recv(4096)
            except OSError:
                try:
                    reply = s.recv(4096)
                except OSError:
                    pass
        match = re.match(rb"HTTP/1.1 (\d+)", reply)
        return int(match[1]) if match else None, time.time() - start

    @staticmethod
    def receive_at_hand(s):
        s.settimeout(0)
        try:
            return s.recv(4096)
        except ssl.SSLWantReadError:
            return b""
        finally:
            s.settimeout(30)

    def head(self, path="/v1/galleries/g/identify", more=""):
        return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.d.keys['admin']}\r\n"
                f"Content-Type: application/json\r\n{more}\r\n").encode()


class Connections(HostileTest):
    def assert_refused(self, port, context):
        with self.assertRaises(OSError):
            with self.connect(port, context, timeout=10) as s:
                s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                # The client believes that the handshake is over before the server has judged the certificate.
                while s.recv(4096):
                    pass
                raise ConnectionError("closed")

    def client(self, authority=None, name=None):
        context = ssl.create_default_context(cafile=str(self.d.data / "tls/ca.pem"))
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        if name:
            context.load_cert_chain(str(authority / f"{name}.pem"), str(authority / f"{name}.key"))
        return context

    def test_the_servers_talk_only_to_certificates_of_their_authority(self):
        foreign = self.d.directory / "foreign"
        for command in (["init"], ["issue", "--name", "edge", "--host", "localhost"]):
            subprocess.run([BAUTA, "ca", *command, "--ca", foreign], check=True, capture_output=True)
        for port in ("auth", "key"):
            self.assert_refused(port, self.client())
            self.assert_refused(port, self.client(foreign, "edge"))
            with self.connect(port, self.client(self.d.data / "tls", "edge")) as s:  # and this is one
                s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                self.assertTrue(s.recv(64))

    def test_old_tls_and_plain_text_are_refused(self):
        for port in ("edge", "auth", "key"):
            old = self.client()
            old.set_ciphers("ALL:@SECLEVEL=0")
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            self.assert_refused(port, old)
            with socket.create_connection(("127.0.0.1", self.d.ports[port]), 15) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                try:
                    self.assertNotIn(b"HTTP", s.recv(4096))
                except ConnectionError:
                    pass


class Requests(HostileTest):
    def test_large_bodies(self):
        megabyte = b" " * (1 << 20)
        status, _ = self.send_raw(self.head(more=f"Content-Length: {200 << 20}\r\n"), *[megabyte] * 200)
        self.assertEqual(status, 413)
        pieces = [b"100000\r\n" + megabyte + b"\r\n"] * 200
        status, _ = self.send_raw(self.head(more="Transfer-Encoding: chunked\r\n"), *pieces)
        self.assertEqual(status, 413)
        # Without an API key not even looked at.
        status, _ = self.send_raw(b"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 209715200\r\n\r\n", megabyte)
        self.assertEqual(status, 401)
        status, _, _ = self.d.ask("POST", "/v1/nothing", b"x" * (2 << 20))
        self.assertEqual(status, 404)

    def test_bombs(self):
        body, headers = multipart([("image", b"x")] * 5000)
        self.assertEqual(self.d.ask("POST", "/v1/detect", body, headers=headers)[0], 400)
        json_type = {"Content-Type": "application/json"}
        for text in ("[" * 500_000, '{"a":' * 100_000, "[" + "1," * 400_000 + "1]", '{"image": "' + "A" * 900_000):
            self.assertEqual(self.d.ask("POST", "/v1/detect", text, headers=json_type)[0], 400)
        bomb = zlib.compress(b" " * (64 << 20), 9)
        for coding in ("gzip", "deflate", "br"):
            status, _, _ = self.d.ask("POST", "/v1/detect", bomb, headers={**json_type, "Content-Encoding": coding})
            self.assertEqual(status, 415)
        for width, height in ((60_000, 60_000), (1 << 30, 1 << 30)):
            body, headers = multipart([("image", png_of(width, height))])
            status, answer, _ = self.d.ask("POST", "/v1/galleries/g/identify", body, headers=headers)
            self.assertEqual((status, answer["decision"]), (200, "failed"))

    def test_slow_senders(self):
        status, seconds = self.send_raw(self.head(more="Content-Length: 1000\r\n"), *[b"x"] * 40, pause=0.2)
        self.assertIn(status, (400, None))
        self.assertLess(seconds, 10)
        status, seconds = self.send_raw(*[bytes([b]) for b in self.head()[:60]], pause=0.25)
        self.assertIn(status, (400, None))
        self.assertLess(seconds, 16)

    def test_endless_headers(self):
        status, _ = self.send_raw(b"GET /v1/version HTTP/1.1\r\n", *[b"X-A: " + b"a" * 4000 + b"\r\n"] * 20_000)
        self.assertIn(status, (400, 414, 431, None))
        status, _ = self.send_raw(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n")
        self.assertIn(status, (400, 404, 414, None))

    def test_malformed_requests(self):
        for text in ("", "{", "{}x", "null", "\x00", '{"image": NaN}', '{"image": "\\ud800"}', b"\xff\xfe{}"):
            status, answer, _ = self.d.ask("POST", "/v1/detect", text, headers={"Content-Type": "application/json"})
            self.assertEqual((status, answer["status"]), (400, 400), text)
        for body, kind in ((b"--x\r\n", "multipart/form-data; boundary=x"), (b"", "multipart/form-data"),
                           (b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--", "multipart/form-data; boundary=x"),
                           (b"a=b", "application/x-www-form-urlencoded"), (b"a", "text/plain")):
            status, _, _ = self.d.ask("POST", "/v1/detect", body, headers={"Content-Type": kind})
            self.assertIn(status, (400, 415), kind)
        for line in (b"BREW / HTTP/1.1", b"GET / HTTP/9.9", b"GET", b"\0\0\0\0"):
            status, _ = self.send_raw(line + b"\r\n\r\n")
            self.assertIn(status, (400, 404, 405, None))

    def test_path_tricks(self):
        for path in ("/v1/galleries/../../../../etc/passwd", "/v1/galleries/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                     "/v1/galleries/g%00", "/v1/galleries//", "/v1/galleries/.", "/v1/galleries/..", "//etc/passwd",
                     "/v1/galleries/g/subjects/..%2f..%2fx", "/v1/galleries/" + "a" * 5000, "/%ff%fe", "/v1/galleries/g;x"):
            status, answer, _ = self.d.ask("GET", path)
            self.assertIn(status, (400, 404, 405), path)
            self.assertNotIn("root:", json.dumps(answer if isinstance(answer, dict) else str(answer)))


class Description(HostileTest):
    """Every operation of /openapi.json, with input that fits its schema and input that does not."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.document = cls.d.ask("GET", "/openapi.json", key=None)[1]

    def resolve(self, schema):
        while "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            schema = self.document["components"]["schemas"][name]
        return schema

    def check(self, value, schema, where):
        schema = self.resolve(schema)
        if "oneOf" in schema:
            errors = []
            for choice in schema["oneOf"]:
                try:
                    return self.check(value, choice, where)
                except AssertionError as error:
                    errors.append(error)
            raise errors[0]
        kinds = schema.get("type", "object")
        kind = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number",
                type(None): "null"}[type(value)]
        self.assertIn(kind, (kinds if isinstance(kinds, list) else [kinds]) + (["integer"] if kinds == "number" else []), where)
        if "enum" in schema:
            self.assertIn(value, schema["enum"])
        for name in schema.get("required", []):
            self.assertIn(name, value, where)
        for name, inner in (schema.get("properties", {}) if isinstance(value, dict) else {}).items():
            if name in value:
                self.check(value[name], inner, f"{where}.{name}")
        for item in value if isinstance(value, list) else []:
            self.check(item, schema["items"], where + "[]")

    def good_body(self, schema, names):
        made = {}
        for name, inner in schema["properties"].items():
            image = [encoded(PHOTO)]
            made[name] = {"gallery": names["new"], "subject": names["new"], "image": image[0], "images": image, "mode": "template"}[name]
        return made

    def bad_bodies(self, good, required, rng):
        yield from ({}, [], "text", 7, None, {**good, "more": 1})
        for name in required:
            yield {key: kept for key, kept in good.items() if key != name}
        for name in good:
            for wrong in (None, 7, {}, [], [[]], "", "\u0000", {"a": {"b": {"c": {}}}}, rng.random(), True, "!" * 9):
                yield {**good, name: wrong}

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield path, method.upper(), operation

    def test_the_document_is_whole(self):
        self.assertTrue(re.fullmatch(r"3\.1\.\d+", self.document["openapi"]))
        self.assertLessEqual({"title", "version"}, set(self.document["info"]))
        text = json.dumps(self.document)
        for reference in re.findall(r'"\$ref": "([^"]+)"', text):
            self.assertIn(reference.removeprefix("#/components/schemas/"), self.document["components"]["schemas"])
        identifiers = [operation["operationId"] for _, _, operation in self.operations()]
        self.assertEqual(len(identifiers), len(set(identifiers)))
        for path, _, operation in self.operations():
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            self.assertEqual(named, set(re.findall(r"{(\w+)}", path)))
            self.assertIn("default", operation["responses"])

    def test_every_operation_answers_as_it_says(self):
        rng = random.Random(7)
        for number, (path, method, operation) in enumerate(self.operations()):
            gallery, subject = f"gallery-{number}", "somebody"
            self.d.ask("POST", "/v1/galleries", {"gallery": gallery})
            self.d.enrol(gallery, subject, [PHOTO])
            target = path.replace("{gallery}", gallery).replace("{subject}", subject)
            body = operation.get("requestBody")
            schema = self.resolve(body["content"]["application/json"]["schema"]) if body else None
            good = self.good_body(schema, {"new": f"new-{number}"}) if body else None
            key = None if operation.get("security") == [] else "admin"
            if body:
                for bad in self.bad_bodies(good, schema["required"], rng):
                    status, answer, _ = self.d.ask(method, target, json.dumps(bad), key=key,
                                                   headers={"Content-Type": "application/json"})
                    # An image that is none is an answer too: the decision is `failed`.
                    failed = status == 200 and answer.get("decision", "failed") == "failed"
                    self.assertTrue(400 <= status < 500 or failed, (method, path, str(bad)[:80], status, answer))
            for wrong in re.findall(r"{(\w+)}", path):
                for name in ("none", "..", "a b", "-", "é", "a" * 200):
                    other = path.replace(f"{{{wrong}}}", urllib.parse.quote(name, safe=""))
                    other = other.replace("{gallery}", gallery).replace("{subject}", subject)
                    if (wrong, name) == ("subject", "none") and "references" in path:
                        continue  # that is how a subject begins
                    status, answer, _ = self.d.ask(method, other, good, key=key)
                    self.assertTrue(400 <= status < 500, (method, other, status, answer))
            if key:
                self.assertEqual(self.d.ask(method, target, good, key=None)[0], 401)
            status, answer, headers = self.d.ask(method, target, good, key=key)
            self.assertIn(str(status), operation["responses"], (method, path, answer))
            content = operation["responses"][str(status)].get("content", {})
            if "application/json" in content:
                self.check(answer, content["application/json"]["schema"], f"{method} {path}")
            self.assertTrue(headers["X-Request-Id"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
