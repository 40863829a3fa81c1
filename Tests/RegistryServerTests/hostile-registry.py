#!/usr/bin/env python3
"""A registry that misbehaves on purpose, and a token server, for RegistryServerTests. Standard library only.

usage: hostile-registry.py LOG [CERTIFICATE KEY]

Listens on a free port of 127.0.0.1, prints the port, and ends with its standard input. Each request becomes a line of JSON in LOG. What a repository does
is said by its name: /v2/SCENARIO/... . The image behind all of them has two layers; its documents are made here, with nobody else's code.
"""
import base64
import gzip
import hashlib
import io
import json
import random
import socket
import ssl
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
BLOBS = {}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def store(data):
    BLOBS[digest(data)] = data
    return data


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def dump(document):
    return store(json.dumps(document).encode())


def layer(seed, size):
    """A layer as stored, and the digest of its tar stream."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        member = tarfile.TarInfo(f"file{seed}")
        member.size = size
        archive.addfile(member, io.BytesIO(random.Random(seed).randbytes(size)))
    return store(gzip.compress(tar.getvalue(), 1, mtime=0)), digest(tar.getvalue())


LAYERS = [layer(1, 100_000), layer(2, 3_000_000)]
LARGE = LAYERS[1][0]


def image(architecture="amd64", layers=LAYERS, config_type=CONFIG, layer_type=LAYER, **more):
    config = dump({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in layers]}})
    return dump(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(config, config_type),
            "layers": [descriptor(stored, layer_type) for stored, _ in layers],
            **more,
        }
    )


def index(*entries):
    return dump({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)})


def on(os, architecture, **more):
    return {"platform": {"os": os, "architecture": architecture, **more}}


AMD64, ARM64 = image(), image("arm64")
ATTESTATION = image("unknown", [LAYERS[0]])
DEEP_CHAIN = AMD64
for _ in range(8):
    DEEP_CHAIN = index(descriptor(DEEP_CHAIN, INDEX if DEEP_CHAIN != AMD64 else MANIFEST, **on("linux", "amd64")))
SELF = "sha256:" + "5" * 64

DOCUMENTS = {
    "multi": index(
        descriptor(ARM64, MANIFEST, **on("linux", "arm64", variant="v8")),
        descriptor(ATTESTATION, MANIFEST, **on("unknown", "unknown")),
        descriptor(AMD64, MANIFEST, **on("linux", "amd64")),
    ),
    "no-platform": index(
        descriptor(ARM64, MANIFEST, **on("linux", "arm64", variant="v8")), descriptor(AMD64, MANIFEST, **on("windows", "amd64"))
    ),
    "arm-only": ARM64,
    "deep-chain": DEEP_CHAIN,
    "self": index({"mediaType": INDEX, "digest": SELF, "size": 500, **on("linux", "amd64")}),
    "chart": image(config_type="application/vnd.cncf.helm.config.v1+json"),
    "odd-layer": image(layer_type="application/vnd.example.layer.v1.tar+lz4"),
    "many-layers": dump(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(AMD64, CONFIG),
            "layers": [descriptor(LAYERS[0][0], LAYER)] * 5000,
        }
    ),
    "schema1": dump({"schemaVersion": 1, "name": "old", "fsLayers": []}),
    "huge": dump({"schemaVersion": 2, "filler": "x" * (5 << 20)}),
    "deep": store(b"[" * 100_000 + b"]" * 100_000),
    "not-json": store(b"<html>\x1b[2J</html>"),
    "two-faced": dump({**json.loads(AMD64), "manifests": []}),
}
broken = json.loads(AMD64)
broken["layers"].pop()
DOCUMENTS["layer-count"] = dump(broken)
wrong = json.loads(AMD64)
wrong["layers"][1]["size"] += 1000
DOCUMENTS["lying-size"] = dump(wrong)

LOCK = threading.Lock()
COUNTS = {}


def count(key):
    """How often this has been called with `key`."""
    with LOCK:
        COUNTS[key] = COUNTS.get(key, 0) + 1
        return COUNTS[key]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def do_CONNECT(self):
        """A proxy for HTTPS."""
        self.record("")
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            one = threading.Thread(target=pump, args=(other, self.connection), daemon=True)
            one.start()
            pump(self.connection, other)
            one.join(10)
        self.close_connection = True

    def record(self, body):
        entry = {
            "method": self.command,
            "path": self.path,
            "host": self.headers.get("Host"),
            "range": self.headers.get("Range"),
            "authorization": self.headers.get("Authorization"),
            "proxy": self.headers.get("Proxy-Authorization"),
            "body": body,
        }
        with LOCK, open(sys.argv[1], "a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def reply(self, status, body=b"", headers=(), media_type="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message, headers=()):
        self.reply(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), headers)

    def hang_up(self):
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.record(body)
        # As a proxy for HTTP, the whole URL comes.
        path = self.path.split("/", 3)[3] if self.path.startswith("http://") else self.path[1:]
        path, _, query = path.partition("?")
        parts = path.split("/")
        try:
            if parts[0] == "token":
                self.token(parts[1], query, body)
            elif parts[0] == "storage":
                self.blob("storage", parts[1])
            elif parts[0] == "v2" and len(parts) >= 4:
                scenario, kind, reference = "/".join(parts[1:-2]), parts[-2], parts[-1]
                if not self.authorized(scenario):
                    return
                (self.manifest if kind == "manifests" else self.blob)(scenario, reference)
            else:
                self.refuse(404, "NAME_UNKNOWN", "there is nothing here")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    # Authorization

    def authorized(self, scenario):
        own = f"{'https' if TLS else 'http'}://{self.headers['Host']}"
        given = self.headers.get("Authorization") or ""
        if scenario.startswith("bearer"):
            # A token is good for three requests in "bearer-short".
            if scenario == "bearer-short" and given and count(given) > 3:
                given = ""
            if given.startswith("Bearer good-" + scenario):
                return True
            realm = {"bearer-plain": own.replace("https", "http", 1)}.get(scenario, own) + "/token/" + scenario
            challenge = f'Bearer realm="{realm}",service="test, service",scope="repository:{scenario}:pull"'
        elif scenario == "basic":
            if given == "Basic " + base64.b64encode(b"alice:secret").decode():
                return True
            challenge = 'Basic realm="test"'
        elif scenario == "odd-challenge":
            challenge = "Negotiate abc=="
        else:
            return True
        self.refuse(401, "UNAUTHORIZED", "authentication required", [("WWW-Authenticate", challenge)])
        return False

    def token(self, scenario, query, body):
        given = self.headers.get("Authorization") or ""
        if scenario == "bearer-huge":
            return self.reply(200, json.dumps({"token": "x" * (2 << 20)}).encode())
        if scenario == "bearer-deep":
            return self.reply(200, b'{"token":' + b"[" * 1000 + b"]" * 1000 + b"}")
        if scenario == "bearer-header":
            return self.reply(200, json.dumps({"token": "a\r\nX-Injected: 1"}).encode())
        if scenario == "bearer-password" and given != "Basic " + base64.b64encode(b"alice:secret").decode():
            return self.refuse(401, "UNAUTHORIZED", "wrong password")
        if scenario == "bearer-identity" and "refresh_token=refresh%2Bme" not in body:
            return self.refuse(401, "UNAUTHORIZED", "wrong token")
        self.reply(200, json.dumps({"token": f"good-{scenario}-{count('token')}", "expires_in": 60}).encode())

    # Documents

    def manifest(self, scenario, reference):
        if scenario.startswith("status-"):
            status = int(scenario[7:])
            return self.refuse(status, "DENIED", "the reason \x1b[31mred\x1b[0m\u202e\x07", [("Retry-After", "600")] if status == 429 else [])
        if scenario == "busy" and count(scenario) <= 2:
            return self.refuse(503, "UNAVAILABLE", "busy")
        if scenario == "wait" and count(scenario) <= 1:
            return self.refuse(429, "TOOMANYREQUESTS", "slower", [("Retry-After", "2")])
        if scenario == "redirect-loop":
            return self.reply(307, headers=[("Location", self.path)])
        if scenario == "redirect-file":
            return self.reply(307, headers=[("Location", "file:///etc/passwd")])
        if scenario == "silent":
            time.sleep(30)
            return self.hang_up()
        if scenario == "headers":
            self.send_response(200)
            for number in range(500):
                self.send_header(f"X-Filler-{number}", "x" * 1000)
            return self.end_headers()
        if scenario == "no-http":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            return self.hang_up()
        if scenario == "other-manifest" and reference.startswith("sha256:"):
            return self.reply(200, ARM64, media_type=MANIFEST)
        if reference == SELF:
            return self.reply(200, DOCUMENTS["self"], media_type=INDEX)
        data = BLOBS.get(reference) if reference.startswith("sha256:") else DOCUMENTS.get(scenario, AMD64)
        if data is None:
            return self.refuse(404, "MANIFEST_UNKNOWN", "no such manifest")
        media_type = INDEX if b'"manifests"' in data[:200] else MANIFEST
        claimed = SELF if scenario == "lying-header" else digest(data)
        self.reply(200, data, [("Docker-Content-Digest", claimed)], media_type)

    # Blobs

    def blob(self, scenario, reference):
        data = BLOBS.get(reference)
        if data is None:
            return self.refuse(404, "BLOB_UNKNOWN", "no such blob")
        large = data == LARGE
        start = 0
        if self.headers.get("Range") and scenario != "no-range":
            start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
        status = 206 if start else 200
        length = len(data) - start
        if not large:
            return self.send_part(status, data, start, length)
        if scenario.endswith("redirect-away"):
            # The same server by another name.
            return self.reply(307, headers=[("Location", f"http://127.0.0.2:{PORT}/storage/{reference}")])
        if scenario == "redirect-here":
            return self.reply(307, headers=[("Location", f"/v2/good/blobs/{reference}")])
        if scenario == "missing-blob":
            return self.refuse(404, "BLOB_UNKNOWN", "no such blob")
        if scenario == "wrong-digest":
            data = data[:-1] + bytes([data[-1] ^ 1])
        if scenario == "poison":
            # Wrong bytes, then gone: whoever goes on from here gets nothing good.
            data, length = bytes(len(data)), len(data) // 2
            self.send_head(200, data, 0, len(data))
            self.wfile.write(data[:length])
            return self.hang_up()
        if scenario == "short":
            return self.send_part(status, data, start, length - 1000)
        if scenario == "long":
            return self.send_part(status, data + bytes(1000), start, length + 1000)
        if scenario in ("long-chunked", "short-chunked"):
            return self.send_chunked(data + bytes(5_000_000) if scenario == "long-chunked" else data[:-1000])
        if scenario == "wrong-range" and start:
            return self.send_part(status, data, start - 1, length, claim=start - 1)
        if scenario == "no-such-range" and start:
            return self.refuse(416, "RANGE_INVALID", "no such range")
        if scenario in ("closes", "closes-once", "no-range", "wrong-range", "no-such-range"):
            if scenario == "closes" or count(scenario) == 1:
                self.send_head(status, data, start, length)
                # Little enough to be no progress worth the name.
                self.wfile.write(data[start : start + min(length, 500_000)])
                return self.hang_up()
        if scenario == "stalls":
            self.send_head(status, data, start, length)
            # Little: libcurl looks at the average of five seconds.
            self.wfile.write(data[start : start + 1000])
            self.wfile.flush()
            time.sleep(30)
            return self.hang_up()
        if scenario == "slow":
            self.send_head(status, data, start, length)
            for offset in range(start, len(data), 50_000):
                self.wfile.write(data[offset : offset + 50_000])
                self.wfile.flush()
                # Slow at first, so that there is time to kill the client, and quick for who comes back.
                if start == 0:
                    time.sleep(0.2)
            return None
        return self.send_part(status, data, start, length)

    def send_head(self, status, data, start, length, claim=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(length))
        if status == 206:
            self.send_header("Content-Range", f"bytes {claim or start}-{len(data) - 1}/{len(data)}")
        self.end_headers()

    def send_part(self, status, data, start, length, claim=None):
        self.send_head(status, data, start, length, claim)
        if self.command != "HEAD":
            self.wfile.write(data[start : start + length])

    def send_chunked(self, data):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for offset in range(0, len(data), 65536):
            piece = data[offset : offset + 65536]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


def pump(source, target):
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients that go away are what this is about."""


def listen():
    """The same free port on two addresses: redirects lead from one to the other."""
    while True:
        first = Server(("127.0.0.1", 0), Handler)
        try:
            return first, Server(("127.0.0.2", first.server_address[1]), Handler)
        except OSError:
            first.server_close()


TLS = len(sys.argv) > 2
SERVERS = listen()
PORT = SERVERS[0].server_address[1]
if TLS:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    SERVERS[0].socket = context.wrap_socket(SERVERS[0].socket, server_side=True, do_handshake_on_connect=False)
for server in SERVERS:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(PORT, flush=True)
sys.stdin.read()
