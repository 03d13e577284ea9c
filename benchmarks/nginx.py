"""nginx on loopback with TLS 1.3, as one process: the server that the senders are compared on.

It reads each request to its end, then answers 200 with the request's ``apns-id``, as APNs does.
"""

import re
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final, final

from loopback import ADDRESS, Authority, free_port, require, running
from machine import first_line

__all__ = ["Nginx", "nginx"]

# `return 200` alone answers before the body is read and resets the stream. `mirror` reads the body
# first; then `empty_gif` refuses the POST, and the error page is the answer. HPACK table and
# windows are nginx's own: 4,096 octets, and a connection window that never closes.
CONFIG: Final = """
daemon off;
master_process off;
pid $folder/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    http2_max_concurrent_streams $max_concurrent_streams;
    map $$http_apns_id $$answer_id {
        default $$http_apns_id;
        "" eabeae54-14a8-11e5-b60b-1697f925ec7b;
    }
    server {
        listen $address:$status_port;
        location = /status { stub_status; }
    }
    server {
        listen $address:$port $listen;
        ssl_protocols TLSv1.3;
        ssl_certificate $cert;
        ssl_certificate_key $key;
        location /3/device/ {
            mirror /read-the-body;
            empty_gif;
            error_page 405 =200 @answer;
        }
        location = /read-the-body { internal; return 204; }
        location @answer { add_header apns-id $$answer_id; return 200; }
    }
}
"""

HTTP2_DIRECTIVE_SINCE: Final = (1, 25, 1)
"""From this version on ``listen … http2`` warns, and ``http2 on`` takes its place."""


@final
@dataclass(frozen=True, slots=True)
class Nginx:
    """An nginx that runs now."""

    port: int
    status_port: int
    version: str

    def accepted_connections(self) -> int:
        """Return how many connections it has accepted for `port`, by its own count."""
        with urllib.request.urlopen(f"http://{ADDRESS}:{self.status_port}/status") as answer:
            numbers = re.findall(r"\d+", answer.read().decode())
        # "Active connections: A / server accepts handled requests / B C D": B counts the readers
        # of this page too; each reading is one connection, so differences are off by one.
        return int(numbers[1])


@contextmanager
def nginx(
    folder: Path, authority: Authority, *, max_concurrent_streams: int = 1_000
) -> Generator[Nginx]:
    """Run nginx, which writes into ``folder``. Raises RuntimeError if there is none or it fails."""
    binary = require("nginx", "nginx")
    version = version_of(binary)
    server = Nginx(free_port(), free_port(), "nginx " + ".".join(map(str, version)))
    config = folder / "nginx.conf"
    config.write_text(
        Template(CONFIG).substitute(
            folder=folder,
            max_concurrent_streams=max_concurrent_streams,
            address=ADDRESS,
            port=server.port,
            status_port=server.status_port,
            listen="ssl; http2 on" if version >= HTTP2_DIRECTIVE_SINCE else "ssl http2",
            cert=authority.cert,
            key=authority.key,
        )
    )
    command = (binary, "-p", str(folder), "-e", "stderr", "-c", str(config))
    with running(command, server.port, folder):
        yield server


def version_of(binary: str) -> tuple[int, ...]:
    """Return the version of an nginx."""
    said = first_line(binary, "-v")
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    if found is None:
        raise RuntimeError(f"nginx -v says no version: {said!r}")
    return tuple(int(number) for number in found.groups())
