"""The integration platform in real processes, for its tests: three engines, each a deployment of its own with its own
authority, keys, token and API key, and the storage and linkage servers before them."""
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from services import encoded, free_ports, multipart  # noqa: E402

ENGINES = ("patchnet", "gradients", "textures")
KINDS = {"patchnet": "patchnet", "gradients": "classic", "textures": "texture"}


def wait_for(condition, seconds, what):
    """The condition's value once it is true; returns (value, seconds waited)."""
    start = time.time()
    while True:
        value = condition()
        if value:
            return value, time.time() - start
        if time.time() - start > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Platform:
    """A context manager: `bauta serve` over a temporary directory, as at a first start but for the ports, and for the options
    of the linkage server that are given."""

    def __init__(self, bauta, **linkage_options):
        self.bauta = str(bauta)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bauta-platform-"))
        self.data = self.root / "data"
        self.log = self.root / "log"
        self.processes = {}
        self.ports = {}
        self.linkage_options = linkage_options

    # --- Life

    def __enter__(self):
        try:
            self.configure()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            process.wait(60)
        if not os.environ.get("BAUTA_KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)

    def configure(self):
        """The files of a first start, with a free port for every role of every engine."""
        self.run("config", "init")
        roles = ("key", "auth", "edge", "metrics")
        ports = free_ports(4 * len(ENGINES) + 2)
        self.ports = {engine: dict(zip(roles, ports[4 * i:4 * i + 4])) for i, engine in enumerate(ENGINES)}
        self.ports["storage"], self.ports["linkage"] = ports[-2:]
        moved = {}
        for i, engine in enumerate(ENGINES):
            for role, port in zip(roles, (7443, 7442, 8443, 8445)):
                moved[str(port + 10 * i)] = str(self.ports[engine][role])
        moved["7444"], moved["8444"] = str(self.ports["storage"]), str(self.ports["linkage"])
        for engine in ENGINES:
            file = self.directory(engine) / "bauta.toml"
            file.write_text(re.sub(r"(127\.0\.0\.1|localhost):(\d+)",
                                   lambda m: f"{m[1]}:{moved.get(m[2], m[2])}", file.read_text()))
        file = self.data / "bauta.toml"
        for name, value in self.linkage_options.items():
            file.write_text(re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", file.read_text()))

    def start(self):
        self.start_role("all")

    def start_role(self, role, config=None):
        """One role, or all, of the platform or of an engine's own file; returns when it is ready."""
        with open(self.log, "ab") as log:
            at = log.tell()
            process = subprocess.Popen([self.bauta, "serve", "--role", role, "--config", config or self.data / "bauta.toml"],
                                       stderr=log, stdout=subprocess.DEVNULL)
        self.processes[role if config is None else str(config)] = process
        ports = self.ports[pathlib.Path(config).parent.name if config else "patchnet"]
        ready = {"all": f"https://localhost:{ports['edge']} is ready", "key": "the key service on port", "auth":
                 "the authentication server on port", "edge": "the edge on port"}.get(role, f"the {role} server on port")
        def is_ready():
            said = self.log.read_bytes()[at:].decode(errors="replace")
            if process.poll() is not None:
                raise AssertionError("it did not start:\n" + said[-3000:])
            return ready in said
        wait_for(is_ready, 180, f"{role} is ready")

    def start_engines(self):
        """All engines, without the storage and linkage servers."""
        for role in ("key", "auth", "edge"):
            self.start_role(role)
        for engine in ENGINES[1:]:
            self.start_role("all", self.directory(engine) / "bauta.toml")

    def stop_role(self, role, how=signal.SIGTERM):
        process = self.processes.pop(role)
        process.send_signal(how)
        process.wait(60)

    def run(self, *arguments, check=True, data=None):
        done = subprocess.run([self.bauta, "--data", data or self.data, *map(str, arguments)], capture_output=True, text=True,
                              timeout=300)
        if check and done.returncode != 0:
            raise AssertionError(f"bauta {arguments}: {done.stdout}{done.stderr}")
        return done

    def directory(self, engine):
        return self.data if engine == "patchnet" else self.data / "engines" / engine

    # --- Requests

    def connect(self, port, authority, timeout=60):
        context = ssl.create_default_context(cafile=str(authority))
        return http.client.HTTPSConnection("localhost", port, context=context, timeout=timeout)

    def request(self, port, authority, method, path, body=None, headers=None):
        """(status, document or bytes, headers)."""
        connection = self.connect(port, authority)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            content = reply.read()
            kind = reply.getheader("Content-Type", "")
            return reply.status, json.loads(content) if "json" in kind else content, reply.headers
        finally:
            connection.close()

    def linkage(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        return self.request(self.ports["linkage"], self.data / "tls/ca.pem", method, path, body, headers)

    def operator(self, method, path, body=None):
        return self.linkage(method, path, body, {"Authorization": "Bearer " + self.api_key("patchnet")})

    def api_key(self, engine):
        return (self.directory(engine) / "api-key").read_text()

    def edge(self, engine, method, path, body=None, key=None):
        headers = {"Authorization": "Bearer " + (key or self.api_key(engine)), "Content-Type": "application/json"}
        return self.request(self.ports[engine]["edge"], self.directory(engine) / "tls/ca.pem", method, path,
                            json.dumps(body) if body is not None else None, headers)

    def identify(self, engine, image, gallery="entrance"):
        """What a device at that engine is told: the decision and the subject."""
        status, answer, _ = self.edge(engine, "POST", f"/v1/galleries/{gallery}/identify", {"image": encoded(image)})
        return (answer["decision"], answer["subject"]) if status == 200 else (status, answer)

    def subjects(self, engine, gallery="entrance"):
        status, answer, _ = self.edge(engine, "GET", f"/v1/galleries/{gallery}")
        return (answer["subjects"], answer["references"]) if status == 200 else (0, 0)

    def invite(self):
        url = json.loads(self.run("--json", "invite").stdout)["url"]
        return url.split("#")[1]

    def register(self, images, invitation=None, **attributes):
        parts = [("image", pathlib.Path(image).read_bytes()) for image in images]
        parts += [(name, value.encode()) for name, value in attributes.items()]
        body, headers = multipart(parts)
        status, answer, headers = self.linkage("POST", "/v1/registrations", body, {
            **headers, "Authorization": "Invitation " + (invitation or self.invite())})
        if status != 201:
            return status, answer
        return Person(self, headers["Set-Cookie"].split(";")[0], answer["csrf_token"], answer["receipt"])


class Person:
    """A browser with a session."""

    def __init__(self, platform, cookie, csrf, receipt):
        self.platform, self.cookie, self.csrf, self.receipt = platform, cookie, csrf, receipt

    def ask(self, method, path, body=None, **headers):
        sent = {"Cookie": self.cookie, "X-CSRF-Token": self.csrf, **headers}
        return self.platform.linkage(method, path, body, {name: value for name, value in sent.items() if value is not None})

    def opt_in(self, engine, purpose="entrance"):
        return self.ask("POST", "/v1/me/consents", {"engine": engine, "purpose": purpose, "text": "I agree"})

    def opt_out(self, engine, purpose="entrance"):
        return self.ask("DELETE", f"/v1/me/consents/{engine}/{purpose}")

    def state(self, engine, purpose="entrance"):
        status, me, _ = self.ask("GET", "/v1/me")
        assert status == 200, me
        return next(p["state"] for e in me["engines"] if e["engine"] == engine for p in e["purposes"] if p["purpose"] == purpose)

    def enrolled(self, engine, purpose="entrance", seconds=60):
        def is_enrolled():
            state = self.state(engine, purpose)
            assert state != "failed", "the enrolment failed"
            return state == "enrolled"
        return wait_for(is_enrolled, seconds, f"enrolled at {engine}")[1]
