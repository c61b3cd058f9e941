"""The case registry, a stomp.py client with bounded waits, and the facts one case may use."""

import queue
import socket
import threading
import time
import uuid

import stomp

import secure
from raw import Raw
from failure import Failure, check

CASES = []
ALL = ("1.0", "1.1", "1.2")
WAIT = 30.0  # how long a thing that must happen may take
QUIET = 0.6  # how long nothing may happen before it counts as "does not happen"


def case(name):
    """Registers run(broker) under a name."""

    def register(run):
        CASES.append((name, run))
        return run

    return register


def each_version(name, versions=ALL):
    """Registers run(broker, version) once per protocol version, as name.VERSION."""

    def register(run):
        for version in versions:
            CASES.append((f"{name}.{version}", lambda broker, v=version: run(broker, v)))
        return run

    return register


class Broker:
    """What a case gets: names nobody else uses and connections that are closed when it ends."""

    def __init__(self, host, port, name):
        self.host, self.port = host, port
        self.tag = f"t{uuid.uuid4().hex[:12]}"
        self.prefix = f"stomp.{name.replace('.', '-')}.{self.tag}"
        self.open = []

    def queue(self, suffix="q"):
        return f"/queue/{self.prefix}.{suffix}"

    def topic(self, suffix="t"):
        return f"/topic/{self.prefix}.{suffix}"

    def raw(self, version=None, headers=None):
        """A bare socket; with a version it is already connected."""
        wire = Raw(self.host, self.port)
        self.open.append(wire)
        if version:
            wire.connect(version, headers)
        return wire

    def client(self, version="1.2", headers=None, heartbeats=(0, 0)):
        client = Client(self.host, self.port, version, headers or {}, heartbeats)
        self.open.append(client)
        return client

    def close(self):
        for thing in self.open:
            try:
                thing.kill()
            except Exception:
                pass


class Client(stomp.ConnectionListener):
    """stomp.py with what arrives put into queues, so that a case reads top to bottom."""

    def __init__(self, host, port, version, headers, heartbeats):
        self.version = version
        self.messages, self.errors = queue.Queue(), queue.Queue()
        self.receipts, self.receipt_count = set(), 0
        self.changed = threading.Condition()
        self.connected_headers, self.disconnected, self.heartbeats_seen = None, False, 0
        kind = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}[version]
        # Without this stomp.py puts content-length on every SEND, which makes every message a BytesMessage.
        options = dict(host_and_ports=[(host, port)], auto_content_length=False, auto_decode=False,
                       reconnect_attempts_max=1, timeout=WAIT)
        if version != "1.0":
            options.update(heartbeats=heartbeats, heart_beat_receive_scale=3)
        self.connection = kind(**options)
        secure.prepare(self.connection, host, port)
        self.connection.set_listener("case", self)
        self.connection.connect(wait=True, headers=dict(headers))

    # what stomp.py tells
    def on_connected(self, frame):
        self.connected_headers = dict(frame.headers)

    def on_message(self, frame):
        self.messages.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)
        with self.changed:
            self.changed.notify_all()

    def on_receipt(self, frame):
        with self.changed:
            self.receipts.add(frame.headers["receipt-id"])
            self.changed.notify_all()

    def on_heartbeat(self):
        self.heartbeats_seen += 1

    def on_disconnected(self):
        with self.changed:
            self.disconnected = True
            self.changed.notify_all()

    # what a case does
    def new_receipt(self):
        self.receipt_count += 1
        return f"r{self.receipt_count}"

    def confirmed(self, receipt):
        with self.changed:
            done = self.changed.wait_for(lambda: receipt in self.receipts or not self.errors.empty(), WAIT)
        if receipt not in self.receipts:
            raise Failure(f"no receipt: {self.errors.get().headers}" if done else f"no receipt within {WAIT} s")

    def send(self, destination, body="", receipt=True, **headers):
        headers = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        self.send_with(destination, body, headers, receipt)

    def send_with(self, destination, body, headers, receipt=True):
        headers = dict(headers)
        token = self.new_receipt() if receipt else None
        if token:
            headers["receipt"] = token
        self.connection.send(destination, body, headers=headers)
        if token:
            self.confirmed(token)

    def subscribe(self, destination, id="1", ack="auto", receipt=True, headers=None, **more):
        headers = dict(headers or {})
        headers.update({name.replace("_", "-"): value for name, value in more.items()})
        token = self.new_receipt() if receipt else None
        if token:
            headers["receipt"] = token
        self.connection.subscribe(destination, id, ack, headers=headers)
        if token:
            self.confirmed(token)

    def unsubscribe(self, id="1", headers=None):
        headers = dict(headers or {}, receipt=self.new_receipt())
        self.connection.unsubscribe(id=id, headers=headers)
        self.confirmed(headers["receipt"])

    def ack(self, frame, transaction=None, receipt=True):
        self._settle(self.connection.ack, frame, transaction, receipt)

    def nack(self, frame, transaction=None, receipt=True):
        self._settle(self.connection.nack, frame, transaction, receipt)

    def _settle(self, call, frame, transaction, receipt):
        token = self.new_receipt() if receipt else None
        if self.version == "1.2":
            call(frame.headers["ack"], transaction, token)
        elif self.version == "1.1":
            call(frame.headers["message-id"], frame.headers["subscription"], transaction, token)
        else:
            call(frame.headers["message-id"], transaction, token)
        if token:
            self.confirmed(token)

    def begin(self, transaction):
        self._transaction(self.connection.begin, transaction)

    def commit(self, transaction):
        self._transaction(self.connection.commit, transaction)

    def abort(self, transaction):
        self._transaction(self.connection.abort, transaction)

    def _transaction(self, call, transaction):
        token = self.new_receipt()
        call(transaction, receipt=token)
        self.confirmed(token)

    def next(self, wait=WAIT):
        try:
            return self.messages.get(timeout=wait)
        except queue.Empty:
            error = "" if self.errors.empty() else f", but ERROR {self.errors.get().headers}"
            raise Failure(f"no message within {wait} s{error}") from None

    def texts(self, count, wait=WAIT):
        return [self.next(wait).body.decode() for _ in range(count)]

    def quiet(self, wait=QUIET):
        """No message arrives any more."""
        try:
            frame = self.messages.get(timeout=wait)
        except queue.Empty:
            return
        raise Failure(f"unexpected message {frame.body[:60]!r} {frame.headers}")

    def drain(self, wait=QUIET):
        """Everything that comes until it has been quiet for `wait`."""
        got = []
        while True:
            try:
                got.append(self.messages.get(timeout=wait))
            except queue.Empty:
                return got

    def wait_disconnected(self, wait=WAIT):
        with self.changed:
            return self.changed.wait_for(lambda: self.disconnected, wait)

    def close(self):
        token = self.new_receipt()
        self.connection.disconnect(receipt=token)
        self.confirmed(token)
        check(self.wait_disconnected(), "the socket stays open after the receipt of DISCONNECT")

    def kill(self):
        """The socket goes away without DISCONNECT."""
        # Not stomp.py's disconnect_socket: it ends TLS while its own thread reads from it, and a TLS connection that two
        # threads use at once corrupts their memory. What the kernel is told is seen by that thread, which then closes.
        transport = self.connection.transport
        transport.running = False
        held = transport.socket
        if held is not None:
            try:
                socket.socket.shutdown(held, socket.SHUT_RDWR)
            except OSError:  # the other side was quicker
                pass
        check(self.wait_disconnected(), "stomp.py does not see that its socket is gone")


def until(fact, why, wait=WAIT):
    """Waits for fact() to become true."""
    end = time.monotonic() + wait
    while not fact():
        if time.monotonic() > end:
            raise Failure(why)
        time.sleep(0.02)
