"""Requests that were damaged at random, to a real daemon, which is to live.

    garbage.py PORT SECONDS SEED
"""
import random
import socket
import sys
import time


def post(path, kind, body):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}"
            f"\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


SEEDS = [
    post("/sample", "application/json", '{"length": 5, "stream": true}'),
    post("/v1/completions", "application/json",
         '{"max_tokens":3,"prompt":["a",[1,2]],"n":2,"logprobs":1}'),
    post("/v1/completions", "application/json\r\nIdempotency-Key: k",
         '{"max_tokens":3,"prompt":["O me",[1]],"stream":true,"echo":true,'
         '"logprobs":2,"stream_options":{"include_usage":true}}'),
    post("/v1/sessions", "application/json", '{"prompt": "ROMEO", "ttl": 1}'),
    post("/v1/files", "multipart/form-data; boundary=x",
         '--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n'
         'fine-tune\r\n--x\r\nContent-Disposition: form-data; name="file"; '
         'filename="a"\r\n\r\nO me!\r\n--x--\r\n'),
    b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
    b"chunked\r\nContent-Type: application/json\r\n\r\n10\r\n"
    b"{\"text\": \"O me\"}\r\n0\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n"
    b"\r\nGET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/sessions?limit=2&after=x HTTP/1.1\r\nHost: localhost\r\n"
    b"Idempotency-Key: k\r\nX-Request-Id: a\r\n\r\n",
    b"DELETE /v1/sessions/a%20b HTTP/1.0\r\nHost: localhost\r\n"
    b"Connection: keep-alive\r\n\r\n",
    b"GET http://localhost/v1/streams/strm_a HTTP/1.1\r\nHost: localhost\r\n"
    b"Last-Event-ID: 5\r\n\r\n",
]
WORDS = [b"\r\n", b"\0", b"\r", b"\n", b"Content-Length: 5\r\n", b"%00", b"{",
         b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n", b"]",
         b"\xff\xfe", b"\"", b": ", b"Host: a\r\n", b"-1", b"1e999",
         b"Expect: 100-continue\r\n", b"A" * 5000, b"[" * 3000]


def damaged(rng):
    d = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(0, 6)):
        i = rng.randrange(len(d) + 1)
        kind = rng.randrange(5)
        if kind < 2 and d:
            d[i % len(d)] = rng.randrange(256)
        elif kind == 2:
            d[i:i] = rng.choice(WORDS)
        elif kind == 3:
            del d[i:i + rng.randint(1, 20)]
        else:
            d[i:i] = d[i // 2:i // 2 + rng.randint(1, 60)]
    return bytes(d)


def send(port, rng, what):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.settimeout(0.1)
        try:
            s.sendall(what)
            if rng.random() < 0.5:
                s.shutdown(socket.SHUT_WR)
            if rng.random() < 0.7:
                s.recv(4096)
        except (socket.timeout, ConnectionError, BrokenPipeError):
            pass  # it may well hang up


def main(port, seconds, seed):
    rng = random.Random(seed)
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        what = damaged(rng)
        try:
            send(port, rng, what)
        except OSError as e:
            print(f"after {n} requests of seed {seed}: {e}\n{what!r}")
            return 1
        n += 1
    print(f"{n} requests")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
