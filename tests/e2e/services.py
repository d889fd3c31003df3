"""A deployment of real processes with real TLS on loopback, for the end-to-end tests."""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import uuid


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Deployment:
    """`bauta serve` over a temporary directory, with all roles; a context manager."""

    def __init__(self, bauta, **edge_options):
        self.bauta = bauta
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="bauta-services-"))
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.process = None
        self.ports = dict(zip(("edge", "auth", "key"), free_ports(3)))
        self.edge_options = edge_options
        self.users = {}
        self.keys = {role: role + "-key" for role in ("recognise", "enrol", "admin")}

    @property
    def config(self):
        return self.data / "bauta.toml"

    def write_config(self):
        self.data.mkdir(exist_ok=True)
        self.data.chmod(0o711)
        options = {"listen": self.address("edge"), "auth_service": self.address("auth"),
                   "key_service": self.address("key"), **self.edge_options}
        lines = [f'[common]\ntoken = "{self.directory}/token"\n[key]\nlisten = "{self.address("key")}"\n'
                 f'user = "{self.users.get("key", "")}"\n'
                 f'[auth]\nlisten = "{self.address("auth")}"\nkey_service = "{self.address("key")}"\n'
                 f'user = "{self.users.get("auth", "")}"\n[edge]\nuser = "{self.users.get("edge", "")}"\n']
        lines += [f"{name} = {json.dumps(value)}\n" for name, value in options.items()]
        for role, key in self.keys.items():
            digest = hashlib.sha256(key.encode()).hexdigest()
            lines.append(f'[[edge.api_keys]]\nname = "{role}"\nrole = "{role}"\nsha256 = "{digest}"\n')
        self.config.write_text("".join(lines))

    def address(self, role):
        return f"127.0.0.1:{self.ports[role]}"

    def __enter__(self):
        self.write_config()
        self.start()
        return self

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([self.bauta, "serve", "--config", self.config],
                                            stderr=log, stdout=subprocess.DEVNULL)
        deadline = time.time() + 120
        while "is ready" not in self.log.read_text():
            if self.process.poll() is not None or time.time() > deadline:
                raise AssertionError("the deployment did not start:\n" + self.log.read_text())
            time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        return self.process.returncode

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def pid(self, role):
        """The process of a role now, or None while it is not there."""
        found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
                               capture_output=True, text=True).stdout
        for line in found.splitlines():
            number, arguments = line.strip().split(None, 1)
            if ("bauta-auth" in arguments) if role == "auth" else (f"--role {role}" in arguments):
                return int(number)
        return None

    def kill(self, role):
        os.kill(self.pid(role), signal.SIGKILL)

    def tls(self):
        return ssl.create_default_context(cafile=str(self.data / "tls/ca.pem"))

    def connect(self, timeout=60):
        return http.client.HTTPSConnection("localhost", self.ports["edge"], context=self.tls(), timeout=timeout)

    def ask(self, method, path, body=None, key="admin", headers=None, connection=None, timeout=60):
        """Returns (status, document or text, headers)."""
        own = connection or self.connect(timeout)
        sent = {"Authorization": "Bearer " + self.keys.get(key, key)} if key else {}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        try:
            own.request(method, path, body, sent)
            reply = own.getresponse()
            text = reply.read()
            kind = reply.getheader("Content-Type", "")
            return reply.status, json.loads(text) if "json" in kind else text, reply.headers
        finally:
            if not connection:
                own.close()

    def ask_quietly(self, method, path, **options):
        """The status, or 0 when there is no answer."""
        try:
            return self.ask(method, path, **options)[0]
        except OSError:
            return 0

    def enrol(self, gallery, subject, images, **options):
        return self.ask("POST", f"/v1/galleries/{gallery}/subjects",
                        {"subject": subject, "images": [encoded(image) for image in images]}, **options)

    def identify(self, gallery, image, **options):
        return self.ask("POST", f"/v1/galleries/{gallery}/identify", {"image": encoded(image)}, **options)


def encoded(path):
    return base64.b64encode(pathlib.Path(path).read_bytes()).decode()


def multipart(parts):
    """[(name, bytes)] -> (body, headers)."""
    boundary = uuid.uuid4().hex
    body = b"".join(b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="f"\r\n\r\n%s\r\n'
                    % (boundary.encode(), name.encode(), content) for name, content in parts)
    return (body + b"--%s--\r\n" % boundary.encode(),
            {"Content-Type": "multipart/form-data; boundary=" + boundary})
