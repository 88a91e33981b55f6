"""Crowds of clients on one daemon.

    crowd.py idle PORT N      N connections that stay open, asked twice each
    crowd.py beyond PORT N    N at once, more than the daemon has files for
    crowd.py slow PORT N S    N that send a byte now and then for S seconds,
                              beside one that asks as clients do
"""
import json
import resource
import select
import socket
import sys
import time
import urllib.request

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(port):
    s = socket.socket()
    s.settimeout(20)
    s.connect(("127.0.0.1", port))
    return s


def ask(s):
    s.sendall(REQUEST)
    got = b""
    while not got.endswith(b"}"):
        part = s.recv(4096)
        if not part:
            break
        got += part
    return got.startswith(b"HTTP/1.1 200")


def sample(port):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/sample",
        json.dumps({"length": 5}).encode(),
        {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status == 200


def idle(port, n):
    crowd = []
    for _ in range(n):
        crowd.append(connect(port))
        assert ask(crowd[-1]), f"connection {len(crowd)} was not answered"
    assert sample(port)
    again = sum(ask(s) for s in crowd)
    print(f"{n} connections, {again} answered again")
    assert again == n


def beyond(port, n):
    rest = [connect(port) for _ in range(n)]
    for s in rest:
        s.sendall(REQUEST)
    answered = 0
    for _ in range(400):
        ready = select.select(rest, [], [], 0.05)[0]
        for s in ready:
            assert s.recv(4096).startswith(b"HTTP/1.1 200")
            s.close()
        answered += len(ready)
        rest = [s for s in rest if s not in set(ready)]
        if not rest:
            break
    print(f"{answered} of {n} were answered, as others left")
    assert answered == n
    assert ask(connect(port)) and sample(port)


def slow(port, n, seconds):
    crowd = [connect(port) for _ in range(n)]
    for s in crowd:
        s.sendall(b"POST /sample HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        for s in crowd:
            try:
                s.send(b"x")
            except OSError:
                pass  # the daemon had enough of it
        for _ in range(20):
            begun = time.monotonic()
            assert sample(port)
            took.append(time.monotonic() - begun)
            time.sleep(0.02)
    # It did not wait for their heads as it would for a body.
    for s in crowd:
        try:
            while s.recv(4096):
                pass
        except ConnectionError:
            pass
    took.sort()
    print(f"{n} slow clients for {seconds} s: {len(took)} requests, p50 "
          f"{took[len(took) // 2] * 1e3:.1f} ms, p99 "
          f"{took[len(took) * 99 // 100] * 1e3:.1f} ms")


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    {"idle": idle, "beyond": beyond, "slow": slow}[sys.argv[1]](
        *map(int, sys.argv[2:]))
