"""What edges may do, in real processes: grants, revocation, and deployments from before there were any."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

from services import Deployment, encoded

BAUTA = os.path.abspath(sys.argv[1])
CLIENT_EXAMPLE = os.path.abspath(sys.argv[3])
SOURCE = pathlib.Path(sys.argv[2])


def photo(name, number):
    return SOURCE / f"examples/people/{name}/{name}_{number:04}.jpg"


class GrantsTest(unittest.TestCase):
    def bauta(self, d, *arguments, check=True):
        done = subprocess.run([BAUTA, "--data", d.data, "--token", d.directory / "token", *map(str, arguments)],
                              capture_output=True, text=True, timeout=120)
        if check:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def grants(self, d):
        return json.loads(self.bauta(d, "--json", "grants", "list").stdout)

    def status_within_a_second(self, d, wanted, method, path, *body):
        until = time.time() + 1
        while time.time() < until:
            status, answer, _ = d.ask(method, path, *body)
            if status == wanted:
                return answer
            time.sleep(0.02)
        self.fail(f"{method} {path} is still answered {status}: {answer}")


class FirstStart(GrantsTest):
    def test_the_edge_of_the_deployment_may_do_everything(self):
        with Deployment(BAUTA) as d:
            self.assertEqual(d.ask("POST", "/v1/galleries", {"gallery": "g"})[0], 201)
            listed = self.grants(d)
            of_edge = [g for g in listed["grants"] if g["edge"] == "edge"]
            self.assertEqual([(g["tenant"], g["gallery"], g["rights"]) for g in of_edge],
                             [("default", "*", ["recognise", "enrol", "erase", "admin"])])
            self.assertEqual(listed["revoked"], [])
            key = d.data / "tls/ca/ca.key"
            self.assertEqual((key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777), (0o600, 0o700))


class Changes(GrantsTest):
    def test_what_is_given_and_taken_holds_within_a_second_and_after_a_restart(self):
        with Deployment(BAUTA) as d:
            for gallery in ("own", "foreign"):
                self.assertEqual(d.ask("POST", "/v1/galleries", {"gallery": gallery})[0], 201)
            self.bauta(d, "grants", "give", "edge", "--gallery", "own", "--rights", "recognise,enrol")
            left = json.loads(self.bauta(d, "--json", "grants", "take", "edge", "--gallery", "*").stdout)["left"]
            self.assertEqual([g["gallery"] for g in left], ["own"])
            refused = self.status_within_a_second(d, 403, "GET", "/v1/galleries/foreign")
            self.assertIn("bauta grants give edge", json.dumps(refused))
            self.assertEqual([g["gallery"] for g in d.ask("GET", "/v1/galleries")[1]["galleries"]], ["own"])
            self.assertEqual(d.ask("GET", "/v1/galleries/own")[0], 200)
            self.assertEqual(d.ask("DELETE", "/v1/galleries/own")[0], 403)
            self.assertEqual(d.stop(), 0)
            d.log.write_text("")
            d.start()
            self.assertEqual(d.ask("DELETE", "/v1/galleries/foreign")[0], 403)
            self.bauta(d, "grants", "give", "edge", "--gallery", "foreign", "--rights", "admin")
            self.status_within_a_second(d, 200, "GET", "/v1/galleries/foreign")

    def test_a_revoked_edge_is_refused_everything_within_a_second(self):
        with Deployment(BAUTA) as d:
            self.assertEqual(d.ask("POST", "/v1/galleries", {"gallery": "g"})[0], 201)
            self.bauta(d, "edges", "revoke", "edge")
            self.status_within_a_second(d, 403, "GET", "/v1/galleries/g")
            for method, path, *body in (("GET", "/v1/galleries"), ("DELETE", "/v1/galleries/g"),
                                        ("POST", "/v1/galleries", {"gallery": "h"}),
                                        ("DELETE", "/v1/galleries/g/subjects/s")):
                self.assertEqual(d.ask(method, path, *body)[0], 403, path)
            again = self.bauta(d, "grants", "give", "edge", "--gallery", "g", "--rights", "enrol", check=False)
            self.assertEqual(again.returncode, 1)
            self.assertIn("revoked", again.stderr)
            self.assertEqual(self.grants(d)["revoked"], ["edge"])
            self.bauta(d, "audit", "verify")

    def test_a_program_of_its_own_needs_a_grant(self):
        with Deployment(BAUTA) as d:
            subprocess.run([BAUTA, "ca", "issue", "--ca", d.data / "tls", "--name", "gate", "--out", d.directory / "gate"],
                           check=True, capture_output=True)
            def walk():
                return subprocess.run(
                    [CLIENT_EXAMPLE, "own", "gate", d.address("auth"), d.address("key"), d.data / "tls/ca.pem",
                     d.directory / "gate/gate.pem", d.directory / "gate/gate.key", d.directory / "gate/keys",
                     photo("Arlecchino", 1), photo("Arlecchino", 5)], capture_output=True, text=True)
            refused = walk()
            self.assertEqual(refused.returncode, 1)
            self.assertIn("grants give gate", refused.stderr)
            self.bauta(d, "grants", "give", "gate", "--gallery", "*", "--rights", "recognise,enrol,erase,admin")
            time.sleep(1)
            through = walk()
            self.assertEqual(through.returncode, 0, through.stderr)


class State(GrantsTest):
    def test_no_start_without_the_list_that_is_on_record(self):
        with Deployment(BAUTA) as d:
            self.assertEqual(d.stop(), 0)
            kept = (d.data / "key/grants").read_bytes()
            for damage, words in ((None, "is missing"), (kept[:40] + b"x" + kept[41:], "changed")):
                (d.data / "key/grants").unlink()
                if damage is not None:
                    (d.data / "key/grants").write_bytes(damage)
                done = subprocess.run([BAUTA, "serve", "--role", "key", "--config", d.config], capture_output=True, text=True,
                                      timeout=60)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, words + "|damaged")
                (d.data / "key/grants").write_bytes(kept)


@unittest.skipUnless(shutil.which("openssl"), "makes certificates as they were before with openssl")
class Upgrade(GrantsTest):
    def as_before(self, d):
        """The directory as it was before roles stood in certificates and before there were grants."""
        tls = d.data / "tls"
        (tls / "ca/ca.key").rename(tls / "ca.key")
        (tls / "ca").rmdir()
        for name, hosts in (("key", "DNS:key"), ("auth", "DNS:auth"), ("edge", "DNS:localhost,IP:127.0.0.1")):
            extensions = d.directory / "extensions"
            extensions.write_text(f"subjectAltName={hosts}\nextendedKeyUsage=clientAuth,serverAuth\n")
            request = subprocess.run(["openssl", "req", "-new", "-key", tls / f"{name}.key", "-subj", f"/CN={name}"],
                                     check=True, capture_output=True).stdout
            subprocess.run(["openssl", "x509", "-req", "-CA", tls / "ca.pem", "-CAkey", tls / "ca.key", "-set_serial", "77",
                            "-days", "30", "-extfile", extensions, "-out", tls / f"{name}.pem"], input=request, check=True,
                           capture_output=True)
        shutil.rmtree(d.data / "key/contracts")
        for file in ("key/grants", "key/grants.lock", "key/decisions.log", "key/decisions.head", "auth/grants",
                     "auth/grants.signers"):
            (d.data / file).unlink(missing_ok=True)

    def test_a_deployment_from_before_goes_on(self):
        with Deployment(BAUTA) as d:
            self.assertEqual(d.ask("POST", "/v1/galleries", {"gallery": "g"})[0], 201)
            image = {"image": encoded(photo("Arlecchino", 1))}
            self.assertEqual(d.ask("POST", "/v1/galleries/g/identify", image)[0], 200)
            self.assertTrue(list((d.data / "key/delivered").glob("*.edge")))
            self.assertEqual(d.stop(), 0)
            self.as_before(d)
            (d.data / "key/delivered/revoked").mkdir(exist_ok=True)
            (d.data / "key/delivered/revoked/stolen").touch()
            d.log.write_text("")
            d.start()
            self.assertEqual(d.ask("POST", "/v1/galleries/g/identify", image)[0], 200)
            self.assertEqual(d.ask("GET", "/v1/galleries")[1]["galleries"][0]["gallery"], "g")
            said = d.log.read_text()
            self.assertIn("edge.pem is issued anew", said)
            self.assertIn("edge 'edge' keeps what it could do before", said)
            listed = self.grants(d)
            self.assertIn(("edge", "default", "*"), [(g["edge"], g["tenant"], g["gallery"]) for g in listed["grants"]])
            self.assertEqual(listed["revoked"], ["stolen"])
            self.assertFalse((d.data / "tls/ca.key").exists())
            self.assertTrue((d.data / "tls/ca/ca.key").exists())
            self.assertEqual(d.stop(), 0)
            d.log.write_text("")
            d.start()
            self.assertNotIn("anew", d.log.read_text())
            self.assertNotIn("keeps what", d.log.read_text())

    def test_a_role_alone_says_how_its_certificate_is_issued_anew(self):
        with Deployment(BAUTA) as d:
            self.assertEqual(d.stop(), 0)
            self.as_before(d)
            command = [BAUTA, "serve", "--role", "key", "--config", d.config]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn("bauta ca issue --name key --replace", done.stderr)
            self.bauta(d, "ca", "issue", "--name", "key", "--replace")
            text = subprocess.run(["openssl", "x509", "-in", d.data / "tls/key.pem", "-noout", "-ext", "subjectAltName"],
                                  check=True, capture_output=True, text=True).stdout
            self.assertIn("URI:bauta://key/key", text)
            self.assertIn("DNS:key", text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
