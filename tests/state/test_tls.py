"""TLS to a real Redis, through an endpoint that ends it: the redis-server of the wheel is built without."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
import redis

from trident.errors import SetupError
from trident.settings import Settings
from trident.state.connection import connect
from trident.state.store import UserStore

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program to make certificates")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """ca.pem, and server.pem and client.pem with their keys, signed by it; other.pem is a stranger's authority."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        _openssl(folder, *_new(name), "-x509", "-days", "2", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        _openssl(folder, *_new(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


def _new(name: str) -> tuple[str, ...]:
    return ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")


def _openssl(folder: Path, *command: str) -> None:
    subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)


class Endpoint:
    """Ends TLS on a port of 127.0.0.1 and hands the bytes on to a unix socket."""

    def __init__(self, certificates: Path, target: Path, client_certificate: bool) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        if client_certificate:
            self.context.load_verify_locations(certificates / "ca.pem")
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._thread(self._accept)

    @staticmethod
    def _thread(work, *arguments) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._thread(self._serve, self.listener.accept()[0])

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as outside:
            inside = socket.socket(socket.AF_UNIX)
            inside.connect(str(self.target))
            self._thread(self._copy, inside, outside)
            self._copy(outside, inside)

    @staticmethod
    def _copy(source, sink) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=[False, True], ids=["server-only", "client-certificate"])
def endpoint(request, certificates, embedded):
    endpoint = Endpoint(certificates, embedded.socket, request.param)
    endpoint.needs_ours = request.param
    yield endpoint
    endpoint.listener.close()


@pytest.mark.parametrize("by", ["url", "environment"])
def test_state_is_read_over_tls_with_the_certificates_that_were_named(endpoint, certificates, monkeypatch, by):
    files = {"ca": "ca.pem"} | ({"cert": "client.pem", "key": "client.key"} if endpoint.needs_ours else {})
    url = f"rediss://127.0.0.1:{endpoint.port}/0"
    if by == "url":
        options = {"ca": "ssl_ca_certs", "cert": "ssl_certfile", "key": "ssl_keyfile"}
        url += "?" + "&".join(f"{options[name]}={certificates / file}" for name, file in files.items())
    else:
        for name, file in files.items():
            monkeypatch.setenv(f"REDIS_{name.upper()}_FILE", str(certificates / file))
    assert connect(url, 1.0).ping()
    store = UserStore.connect(Settings(redis_url=url, redis_timeout=0.2), "00" * 8, "00" * 8)
    store.record_shown([("u1", 1_700_000_000, [b"a"])], 604_800, 9)
    assert store.read(["u1"], [1_700_000_000], 604_800)[0].shown == (b"a",)
    store.close()


def test_a_server_whose_certificate_nobody_we_trust_signed_is_refused(endpoint, certificates):
    for trusted in ("", f"?ssl_ca_certs={certificates / 'other.pem'}"):
        with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
            connect(f"rediss://127.0.0.1:{endpoint.port}/0{trusted}", 1.0).ping()


def test_a_server_that_wants_our_certificate_refuses_us_without(certificates, embedded):
    endpoint = Endpoint(certificates, embedded.socket, True)
    with pytest.raises(redis.ConnectionError):
        connect(f"rediss://127.0.0.1:{endpoint.port}/0?ssl_ca_certs={certificates / 'ca.pem'}", 1.0).ping()
    endpoint.listener.close()


def test_a_certificate_file_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("REDIS_CA_FILE", "/nowhere/ca.pem")
    with pytest.raises(SetupError, match=r"REDIS_CA_FILE.* there is no file 'ca.pem'"):
        connect("rediss://127.0.0.1:1/0", 1.0)
