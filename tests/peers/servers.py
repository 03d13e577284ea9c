"""Real HTTP/2 servers for the tests to send to, each one a child process on loopback with TLS.

Every server answers ``POST /3/device/<device token>`` with one status, as a rule with 200 and once
it has read the body. A new server is one more row in `RECIPES`.
"""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from os import defpath, environ, geteuid
from pathlib import Path
from string import Template
from typing import Final, NoReturn, final

import pytest
import trustme

from tests.ports import held_port

__all__ = ["RECIPES", "RealServer", "Recipe", "require", "running"]

HOST: Final = "localhost"
ADDRESS: Final = "127.0.0.1"
START_TIMEOUT: Final = 10.0
"""Seconds until a server must accept connections; all of them take well under one."""
STOP_TIMEOUT: Final = 5.0
"""Seconds from SIGTERM to SIGKILL."""
OUTPUT_SHOWN: Final = 4_000
"""Characters of a server's own output that an error shows: the end, where the reason is."""


@final
@dataclass(frozen=True, slots=True)
class RealServer:
    """A server that is running now."""

    name: str
    host: str
    port: int
    ca_pem: str
    """The certificate authority to trust; nothing else trusts it."""
    folder: Path
    """Where it writes: its output, and its access log if its options ask for one."""

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts this server alone and offers ``h2``."""
        context = ssl.create_default_context(cadata=self.ca_pem)
        context.set_alpn_protocols(["h2"])
        return context


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """How to start one kind of server.

    The configuration and the arguments are `string.Template` texts; an argument that comes out
    empty is left out. They may name every option, and
    ``$address``, ``$port``, ``$cert``, ``$key``, ``$pem`` (key and chain in one file), ``$folder``
    and ``$config`` (the path of the written configuration).
    """

    binary: str
    package: str
    """The Debian package that brings the binary."""
    arguments: tuple[str, ...]
    config: str = ""
    config_name: str = "server.conf"
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    """Every option with its default; `running` takes others."""
    build: tuple[str, ...] = ()
    """What the binary is told first, where it makes the server: ``$folder/server``."""
    backend: tuple[str, ...] = ()
    """What listens on ``$backend_port``, where the server only ends TLS: a recipe's name, and
    arguments."""
    answers_early: bool = False
    """Whether it answers before the body is there, and cannot be told otherwise."""
    status: int = 200
    """What it answers to every notification."""
    dialect: Callable[[str], Mapping[str, str]] = lambda _binary: {}
    """Given the binary's path, the template values that depend on the installed version."""


# ── nginx ──

# A plain `return 200` answers before the body is read, and resets the stream. `mirror` reads the
# body first; then `empty_gif` refuses the POST, and the error page is the answer. There is one
# process only, so that one signal ends it.
NGINX: Final = """
daemon off;
master_process off;
pid $folder/nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
http {
    log_format paths '$$request_uri';
    access_log $access_log;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    keepalive_requests $keepalive_requests;
    keepalive_timeout 300s;
    http2_max_concurrent_streams $max_concurrent_streams;
    server {
        listen $address:$port $listen;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $cert;
        ssl_certificate_key $key;
        location /3/device/ {
            mirror /read-the-body;
            empty_gif;
            error_page 405 =200 @answer;
        }
        location /3/device/dead {
            mirror /read-the-body;
            empty_gif;
            error_page 405 =410 @gone;
        }
        location = /read-the-body { internal; return 204; }
        location @answer { return 200; }
        location @gone { return 410 '{"reason":"Unregistered","timestamp":1700000000000}'; }
    }
}
"""

HTTP2_DIRECTIVE_SINCE: Final = (1, 25, 1)
"""From this version on ``listen … http2`` warns, and ``http2 on`` takes its place."""


def nginx_listen(binary: str) -> Mapping[str, str]:
    """Return how this nginx wants HTTP/2 turned on."""
    answer = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", answer)
    if found is None:
        pytest.fail(f"nginx -v says no version: {answer!r}")
    version = tuple(int(number) for number in found.groups())
    return {"listen": "ssl; http2 on" if version >= HTTP2_DIRECTIVE_SINCE else "ssl http2"}


# ── HAProxy ──

HAPROXY: Final = """
global
    stats timeout 30s
    tune.h2.max-concurrent-streams $max_concurrent_streams
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
frontend apns
    bind $address:$port ssl crt $pem alpn h2
    $wait_for_body
    http-request return status 200 if { method POST } { path_beg /3/device/ }
    http-request return status 404
"""

# ── h2o ──

# Debian's h2o is built with mruby. h2o hands a request to its handler once the body is complete.
H2O: Final = """
num-threads: 1
http2-max-concurrent-requests-per-connection: $max_concurrent_streams
http2-idle-timeout: 300
listen:
  host: $address
  port: $port
  ssl:
    certificate-file: $cert
    key-file: $key
    ocsp-update-interval: 0
hosts:
  default:
    paths:
      "/3/device":
        mruby.handler: |
          Proc.new { |env| [200, {}, []] }
"""

# ── Caddy ──

# Go's net/http underneath: it answers before the body is there, and then resets the stream.
CADDY: Final = """
{
    admin off
    auto_https off
    storage file_system $folder/storage
    log {
        level WARN
    }
}
https://localhost:$port {
    bind $address
    tls $cert $key
    respond /3/device/* 200
}
"""

# ── Apache ──

APACHE: Final = """
ServerRoot $folder
ServerName localhost
PidFile $folder/apache.pid
DefaultRuntimeDir $folder
ErrorLog /dev/stderr
LogLevel warn
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
Listen $address:$port
Protocols h2
H2MaxSessionStreams $max_concurrent_streams
MaxKeepAliveRequests 0
SSLEngine on
SSLCertificateFile $cert
SSLCertificateKeyFile $key
RewriteEngine on
RewriteRule ^/3/device/ - [R=200]
"""

# ── lighttpd ──

# It wants content-length with every POST, which HTTP/2 does not (RFC 9113 Section 8.1.1), and which
# we leave out: it refuses all, with a page and an empty DATA frame to end it.
LIGHTTPD: Final = """
server.modules = ("mod_openssl", "mod_rewrite")
server.document-root = "$folder"
server.port = $port
server.bind = "$address"
server.max-keep-alive-requests = 1000000
ssl.engine = "enable"
ssl.pemfile = "$pem"
url.rewrite-once = ("^/3/device/" => "/cert.pem")
"""

# ── Node.js ──

NODE: Final = """
const fs = require('node:fs');
const server = require('node:http2').createSecureServer({
  cert: fs.readFileSync('$cert'),
  key: fs.readFileSync('$key'),
  settings: {
    headerTableSize: $header_table_size,
    maxConcurrentStreams: $max_concurrent_streams,
  },
});
server.on('stream', (stream) => {
  stream.resume();
  // Who leaves with a request half sent ends it too, and an answer to that ends the process.
  stream.on('end', () => {
    if (!stream.destroyed) stream.respond({ ':status': 200 }, { endStream: true });
  });
  stream.on('error', () => {});
});
server.listen($port, '$address');
"""

# ── Go ──

GO: Final = """
package main

import (
	"io"
	"log"
	"net/http"
)

func main() {
	http.HandleFunc("/3/device/", func(_ http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
	})
	log.Fatal(http.ListenAndServeTLS("$address:$port", "$cert", "$key", nil))
}
"""

# ── hitch ──


def hitch_user(_binary: str) -> Mapping[str, str]:
    """Return as whom hitch serves: it refuses to do so as root."""
    return {"user": "nobody" if geteuid() == 0 else ""}


RECIPES: Final[Mapping[str, Recipe]] = {
    "nginx": Recipe(
        binary="nginx",
        package="nginx",
        arguments=("-p", "$folder", "-e", "stderr", "-c", "$config"),
        config=NGINX,
        options={
            "keepalive_requests": 1_000_000,  # the default, 1000, would end each connection early
            "max_concurrent_streams": 128,
            "access_log": "off",  # or "paths.log paths": one request path a line
        },
        dialect=nginx_listen,
    ),
    "nghttpd": Recipe(
        binary="nghttpd",
        package="nghttp2-server",
        arguments=(
            *("--address", "$address", "--echo-upload"),
            *("--max-concurrent-streams", "$max_concurrent_streams"),
            *("--header-table-size=$header_table_size", "$verbose"),
            *("$port", "$key", "$cert"),
        ),
        options={
            "max_concurrent_streams": 100,
            "header_table_size": 4_096,
            "verbose": "",  # or "-v": every frame and field, in its output
        },
    ),
    "haproxy": Recipe(
        binary="haproxy",
        package="haproxy",
        arguments=("-db", "-f", "$config"),
        config=HAPROXY,
        options={
            "max_concurrent_streams": 100,
            "wait_for_body": "option http-buffer-request",  # or "": it answers early, then resets
        },
    ),
    "h2o": Recipe(
        binary="h2o",
        package="h2o",
        arguments=("--mode", "worker", "--conf", "$config"),
        config=H2O,
        options={"max_concurrent_streams": 100},
    ),
    "caddy": Recipe(
        binary="caddy",
        package="caddy",
        arguments=("run", "--adapter", "caddyfile", "--config", "$config"),
        config=CADDY,
        answers_early=True,
    ),
    "apache": Recipe(
        binary="apache2",
        package="apache2-bin",
        arguments=("-D", "FOREGROUND", "-f", "$config"),
        config=APACHE,
        answers_early=True,
        options={"max_concurrent_streams": 100},
    ),
    "lighttpd": Recipe(
        binary="lighttpd",
        package="lighttpd lighttpd-mod-openssl",
        arguments=("-D", "-f", "$config"),
        config=LIGHTTPD,
        status=411,
        answers_early=True,
    ),
    "node": Recipe(
        binary="node",
        package="nodejs",
        arguments=("$config",),
        config=NODE,
        config_name="server.js",
        options={"max_concurrent_streams": 100, "header_table_size": 4_096},
    ),
    "go": Recipe(
        binary="go",
        package="golang-go",
        arguments=(),
        config=GO,
        config_name="server.go",
        build=("build", "-o", "$folder/server", "$config"),
    ),
    "hitch": Recipe(
        binary="hitch",
        package="hitch",
        arguments=(
            *("--frontend", "[$address]:$port", "--backend", "[$address]:$backend_port"),
            *("--alpn-protos", "h2", "--user=$user", "--quiet", "$pem"),
        ),
        dialect=hitch_user,
        backend=("nghttpd", "--address", "$address", "--echo-upload", "--no-tls", "$backend_port"),
    ),
}


def require(name: str) -> str:
    """Return the path of a server's binary, or end the test.

    Fails where ``APNS_REQUIRE_PEERS=1`` promises that the servers are there; skips elsewhere.
    """
    recipe = RECIPES[name]
    # Debian keeps servers in sbin, which is not on the PATH of an ordinary user.
    search = environ.get("PATH", defpath) + ":/usr/local/sbin:/usr/sbin"
    if path := shutil.which(recipe.binary, path=search):
        return path
    reason = f"{recipe.binary} is not installed; on Debian: apt install {recipe.package}"
    if environ.get("APNS_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running(name: str, folder: Path, /, **options: object) -> Generator[RealServer]:
    """Run the server that `RECIPES` calls ``name``, in an empty folder of its own.

    Enters once it accepts connections, and has ended the process when it leaves. ``options``
    replace the defaults of the recipe. Calls `require`.
    """
    recipe = RECIPES[name]
    if strange := options.keys() - recipe.options.keys():
        pytest.fail(f"{name} has no option {', '.join(sorted(strange))}")
    binary = require(name)
    with held_port() as port, held_port() as port_behind:
        yield from _running(name, binary, folder, port, port_behind, options)


def _running(
    name: str,
    binary: str,
    folder: Path,
    port: int,
    port_behind: int,
    options: Mapping[str, object],
) -> Generator[RealServer]:
    recipe, ca = RECIPES[name], authority()
    config = folder / recipe.config_name
    values = {
        **recipe.options,
        **options,
        **recipe.dialect(binary),
        **write_certificate(ca, folder),
        "address": ADDRESS,
        "port": port,
        "folder": folder,
        "config": config,
        "backend_port": port_behind,
    }

    def filled(texts: tuple[str, ...]) -> list[str]:
        return [one for text in texts if (one := Template(text).substitute(values))]

    config.write_text(Template(recipe.config).substitute(values))
    if recipe.build:
        # Go wants a folder for what it compiles, and asks HOME or these for it: there may be none.
        places = {"GOCACHE": str(folder / "built")}
        if environ.keys() & {"HOME", "XDG_CACHE_HOME"}:
            places = {}
        command = [binary, *filled(recipe.build)]
        subprocess.run(command, cwd=folder, env=places | environ, check=True)
        binary = str(folder / "server")
    with ExitStack() as processes:
        if recipe.backend:
            behind, *arguments = filled(recipe.backend)
            processes.enter_context(
                _process(behind, [require(behind), *arguments], port_behind, folder)
            )
        processes.enter_context(_process(name, [binary, *filled(recipe.arguments)], port, folder))
        yield RealServer(name, HOST, port, ca.cert_pem.bytes().decode(), folder)


@contextmanager
def _process(name: str, command: list[str], port: int, folder: Path) -> Generator[None]:
    """Run one process until the block is left; enters once its port answers."""
    output = folder / f"{name}.log"
    with (
        output.open("wb") as sink,
        subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            wait_until_it_accepts(name, process, port, output)
            yield
        finally:
            stop(process)


@cache
def authority() -> trustme.CA:
    """Return the throw-away authority of this run; one is enough for every server."""
    return trustme.CA()


def write_certificate(ca: trustme.CA, folder: Path) -> Mapping[str, Path]:
    """Write a certificate for `HOST` and `ADDRESS`; the keys are the names that recipes use."""
    leaf = ca.issue_cert(HOST, ADDRESS)
    files = {name: folder / f"{name}.pem" for name in ("cert", "key", "pem")}
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    files["cert"].write_bytes(chain)
    files["key"].write_bytes(leaf.private_key_pem.bytes())
    files["pem"].write_bytes(leaf.private_key_pem.bytes() + chain)
    return files


def wait_until_it_accepts(
    name: str, process: subprocess.Popen[bytes], port: int, output: Path
) -> None:
    """Return once the port answers; fail with the server's own words if it never does."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            did_not_start(f"{name} ended with status {process.returncode}", output)
        try:
            socket.create_connection((ADDRESS, port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    did_not_start(f"{name} accepts nothing after {START_TIMEOUT:g} s", output)


def did_not_start(what: str, output: Path) -> NoReturn:
    """Fail the test with what happened and the end of what the server said."""
    pytest.fail(f"{what}; it said:\n{output.read_text(errors='replace')[-OUTPUT_SHOWN:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process: asked first, then made to."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
