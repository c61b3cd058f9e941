"""CONNECT, versions, heart-beats, DISCONNECT."""

import re
import time

from failure import check, equal
from harness import case, each_version, until


@each_version("connect.version")
def version(broker, version):
    got = broker.raw().connect(version)
    equal(got.headers.get("version"), version, "version")
    check(re.match(r"^[^/\s]+/\S+$", got.headers.get("server", "")), f"server: {got.headers.get('server')!r}")
    check(got.headers.get("session"), "no session")
    # Sent to 1.0 clients too, although 1.0 knows neither version nor heart-beat.
    equal(got.headers.get("heart-beat"), "0,0", "heart-beat")
    equal(got.body, b"", "body")


@each_version("connect.library")
def library(broker, version):
    client = broker.client(version)
    equal(client.connected_headers["version"], version, "version")
    client.close()


@case("connect.highest")
def highest(broker):
    wire = broker.raw()
    got = wire.ask("CONNECT", {"accept-version": "1.0,1.2,1.1", "host": "x"})
    equal(got.headers.get("version"), "1.2", "version")


@case("connect.stomp-command")
def stomp_command(broker):
    got = broker.raw().ask("STOMP", {"accept-version": "1.1", "host": "x"})
    equal((got.command, got.headers.get("version")), ("CONNECTED", "1.1"), "answer to STOMP")


@case("connect.no-host")
def no_host(broker):
    # The specification requires host from 1.1 on; the broker does not.
    got = broker.raw().ask("CONNECT", {"accept-version": "1.2"})
    equal(got.command, "CONNECTED", "command")


@case("connect.client-id")
def client_id(broker):
    got = broker.raw().connect("1.2", {"client-id": broker.tag, "login": "a", "passcode": "b"})
    equal(got.headers.get("session"), broker.tag, "session is the client-id")


@case("connect.client-id-taken")
def client_id_taken(broker):
    broker.raw("1.2", {"client-id": broker.tag})
    second = broker.raw()
    second.tell("CONNECT", {"accept-version": "1.2", "host": "x", "client-id": broker.tag})
    got = second.error()
    check(f"Client: {broker.tag} already connected from" in got.body.decode(), f"{got}")
    check(second.closed(), "the second connection stays open")


@case("connect.client-id-again")
def client_id_again(broker):
    for _ in range(3):
        wire = broker.raw("1.1", {"client-id": broker.tag})
        wire.tell("DISCONNECT", {"receipt": "bye"})
        wire.receipt("bye")
        check(wire.closed(), "open after DISCONNECT")


@case("connect.client-id-after-receipt")
def client_id_after_receipt(broker):
    # Whoever has the receipt of DISCONNECT may come back at once, not only when the socket has ended.
    for _ in range(20):
        wire = broker.raw("1.2", {"client-id": broker.tag})
        wire.tell("DISCONNECT", {"receipt": "bye"})
        wire.receipt("bye")


@case("connect.escapes")
def connect_escapes(broker):
    # The specification knows no escapes in CONNECT; clients that write them are understood all the same.
    got = broker.raw().connect("1.2", {"client-id": f"{broker.tag}\\cx"})
    equal(got.lines.count(f"session:{broker.tag}:x"), 1, f"session of {got}")


@case("connect.request-id")
def request_id(broker):
    # An older habit: CONNECT may ask for an answer id. request-id wins over receipt.
    got = broker.raw().ask("CONNECT", {"request-id": "r7", "receipt": "r8"})
    equal(got.headers.get("response-id"), "r7", "response-id")
    equal(got.headers.get("receipt-id"), "r7", "receipt-id")
    got = broker.raw().ask("CONNECT", {"accept-version": "1.2", "receipt": "r8"})
    equal((got.headers.get("response-id"), got.headers.get("receipt-id")), ("r8", "r8"), "ids")


@case("connect.split")
def split(broker):
    wire = broker.raw()
    for byte in b"\n\nCONNECT\naccept-version:1.2\nhost:x\n\n\0":
        wire.say(bytes([byte]))
        time.sleep(0.002)
    equal(wire.read().command, "CONNECTED", "command")


@each_version("disconnect.receipt")
def disconnect_receipt(broker, version):
    wire = broker.raw(version)
    wire.tell("DISCONNECT", {"receipt": "77"})
    wire.receipt("77")
    check(wire.closed(), "the socket stays open")


@case("disconnect.plain")
def disconnect_plain(broker):
    wire = broker.raw("1.2")
    wire.tell("DISCONNECT")
    equal(wire.poll(5), None, "nothing is said")
    check(wire.closed(), "the socket stays open")


@each_version("heartbeat.header", ("1.0", "1.1", "1.2"))
def heartbeat_header(broker, version):
    # The client's "can send, wants" comes back swapped as it is: the broker adds nothing of its own.
    wire = broker.raw()
    headers = {"heart-beat": "30000,40000"}
    if version != "1.0":
        headers["accept-version"] = version
    got = wire.ask("CONNECT", headers)
    equal(got.headers.get("heart-beat"), "40000,30000", "heart-beat")


@each_version("heartbeat.server", ("1.1", "1.2"))
def heartbeat_server(broker, version):
    wire = broker.raw()
    got = wire.connect(version, {"heart-beat": "0,500"})
    equal(got.headers.get("heart-beat"), "500,0", "heart-beat")
    # ActiveMQ looks once per interval whether it has sent anything: up to two intervals pass between heart-beats.
    until(lambda: wire.poll(0.1) is None and wire.newlines >= 4, "not four heart-beats of 500 ms", 5)
    check(not wire.ended, "closed although the client promised no heart-beats")


@each_version("heartbeat.silent", ("1.1", "1.2"))
def heartbeat_silent(broker, version):
    wire = broker.raw(version, {"heart-beat": "500,0"})
    begun = time.monotonic()
    # ActiveMQ sends no ERROR frame before the end, but one does no harm.
    wire.refused(wait=6)
    check(wire.closed(1), "a silent client is not closed within 6 s of promising 500 ms")
    check(time.monotonic() - begun > 0.4, "closed before the interval was over")


@case("heartbeat.alive")
def heartbeat_alive(broker):
    wire = broker.raw("1.2", {"heart-beat": "500,0"})
    for _ in range(20):
        wire.say("\n")
        equal(wire.poll(0.15), None, "frame")
        check(not wire.ended, "closed although heart-beats came")
    wire.tell("SEND", {"destination": broker.queue(), "receipt": "1"}, "x")
    wire.receipt("1")
    check(wire.closed(6), "open after the heart-beats stopped")


@case("heartbeat.frames-count")
def heartbeat_frames(broker):
    # Any bytes count as a heart-beat, not only newlines.
    wire = broker.raw("1.2", {"heart-beat": "500,0"})
    for number in range(15):
        wire.tell("SEND", {"destination": broker.topic(), "receipt": str(number)}, "x")
        wire.receipt(str(number))
        time.sleep(0.2)


@case("heartbeat.library")
def heartbeat_library(broker):
    client = broker.client("1.2", heartbeats=(1000, 1000))
    equal(client.connected_headers["heart-beat"], "1000,1000", "heart-beat")
    until(lambda: client.heartbeats_seen >= 3, "not three heart-beats", 8)
    client.send(broker.queue(), "still here")
    client.close()
