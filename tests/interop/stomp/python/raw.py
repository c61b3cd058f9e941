"""A bare STOMP socket: says exactly the bytes it is told and cuts what comes back into frames."""

import select
import socket
import time

import secure
from failure import Failure, check, equal

WAIT = 30.0
ANY = object()
UNESCAPE = {"\\n": "\n", "\\c": ":", "\\\\": "\\", "\\r": "\r"}


class Frame:
    def __init__(self, command, lines, body):
        self.command, self.lines, self.body = command, lines, body
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers.setdefault(name, value)

    def __repr__(self):
        return f"{self.command} {self.headers} {self.body[:80]!r}"


def frame(command, headers=None, body=b""):
    """The bytes of a frame; header values are taken as they are, unescaped."""
    lines = [command] + [f"{name}:{value}" for name, value in (headers or {}).items()]
    return ("\n".join(lines) + "\n\n").encode() + (body.encode() if isinstance(body, str) else body) + b"\0"


class Raw:
    def __init__(self, host, port):
        plain = socket.create_connection((host, port), timeout=WAIT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = secure.wrap(plain, host)
        self.input, self.ended, self.newlines = b"", False, 0

    def say(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def tell(self, command, headers=None, body=b""):
        self.say(frame(command, headers, body))

    def ask(self, command, headers=None, body=b"", wait=WAIT):
        self.tell(command, headers, body)
        return self.read(wait)

    def connect(self, version, headers=None):
        more = dict(headers or {})
        if version != "1.0":
            more = {"accept-version": version, "host": "localhost", **more}
        got = self.ask("CONNECT", more)
        equal(got.command, "CONNECTED", f"answer to CONNECT {more}")
        return got

    def _fill(self, end):
        left = end - time.monotonic()
        if left <= 0 or self.ended:
            return False
        # What comes over TLS may be no data at all, so the socket alone does not tell.
        if secure.files is None and not select.select([self.socket], [], [], left)[0]:
            return False
        self.socket.settimeout(max(left, 0.001) if secure.files else WAIT)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except ConnectionResetError:
            data = b""
        finally:
            self.socket.settimeout(WAIT)
        self.ended = not data
        self.input += data
        return bool(data)

    def _cut(self):
        """The next frame of what has arrived; newlines between frames are counted as heart-beats."""
        while self.input[:1] in (b"\n", b"\r"):
            self.newlines += self.input[:1] == b"\n"
            self.input = self.input[1:]
        head, found, rest = self.input.partition(b"\n\n")
        if not found:
            return None
        command, *lines = head.decode().split("\n")
        length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), None)
        if length is None:
            length = rest.find(b"\0")
            if length < 0:
                return None
        if len(rest) <= length:
            return None
        equal(rest[length : length + 1], b"\0", "byte after the body")
        self.input = rest[length + 1 :]
        if self.input[:1] == b"\n":  # the broker ends a frame with NUL and a newline: not a heart-beat
            self.input = self.input[1:]
        return Frame(command, lines, rest[:length])

    def poll(self, wait=0.6):
        """The next frame, or None when none comes in time or the socket ends."""
        end = time.monotonic() + wait
        while True:
            got = self._cut()
            if got or not self._fill(end):
                return got or self._cut()

    def read(self, wait=WAIT):
        got = self.poll(wait)
        if got is None:
            raise Failure("the socket was closed" if self.ended else f"no frame within {wait} s")
        return got

    def closed(self, wait=WAIT):
        """True when the broker ends the connection in time; frames still coming are dropped."""
        end = time.monotonic() + wait
        while not self.ended and self._fill(end):
            pass
        self._cut()
        return self.ended

    def error(self, message=None, receipt=None, wait=WAIT):
        """Reads an ERROR frame and checks its headers. `message` is the beginning of the unescaped text, or several
        of which one must be it; details may follow. `receipt` is what receipt-id must say, ANY for whatever."""
        return self._check_error(self.read(wait), message, receipt)

    def refused(self, receipt=None, wait=WAIT):
        """True when an ERROR frame comes, which names the receipt; False when the connection ends without a word."""
        got = self.poll(wait)
        if got is None:
            check(self.ended, f"neither an ERROR nor the end of the connection within {wait} s")
            return False
        self._check_error(got, None, receipt)
        return True

    def _check_error(self, got, message, receipt):
        equal(got.command, "ERROR", f"command of {got}")
        equal(got.headers.get("content-type"), "text/plain", "content-type of ERROR")
        check("message" in got.headers, f"ERROR without a message header: {got}")
        if receipt is not ANY:
            equal(got.headers.get("receipt-id"), receipt, "receipt-id of ERROR")
        text = got.headers["message"]
        for escaped, plain in UNESCAPE.items():
            text = text.replace(escaped, plain)
        if message is not None:
            check(text.startswith(message), f"message of ERROR: want {message!r}, got {text!r}")
        check(text.encode() in got.body, f"the body of ERROR does not say {text!r}")
        return got

    def receipt(self, id, wait=WAIT):
        got = self.read(wait)
        equal((got.command, got.headers.get("receipt-id")), ("RECEIPT", id), "answer")
        return got

    def kill(self):
        self.socket.close()
