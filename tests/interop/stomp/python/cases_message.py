"""What a message keeps on its way: body, headers, escapes, JMS headers, destinations."""

import time

from failure import check, equal
from harness import case, each_version


def roundtrip(broker, version="1.2"):
    client = broker.client(version)
    client.subscribe(broker.queue())
    return client, broker.queue()


@each_version("message.text")
def text(broker, version):
    client, queue = roundtrip(broker, version)
    client.send(queue, "grüße €1 \U0001f600\nsecond line")
    got = client.next()
    equal(got.body.decode(), "grüße €1 \U0001f600\nsecond line", "body")
    # No content-length in, none out: that is how a text message is told from a bytes message.
    check("content-length" not in got.headers, "content-length on a text message")
    equal(got.headers["destination"], queue, "destination")
    check(got.headers["message-id"].startswith("ID:"), f"message-id {got.headers['message-id']}")
    check(abs(int(got.headers["timestamp"]) / 1000 - time.time()) < 600, "timestamp is not now in milliseconds")
    equal(got.headers["priority"], "4", "priority")
    equal(got.headers["expires"], "0", "expires")
    equal(got.headers.get("subscription"), "1", "subscription")
    for name in ("ack", "redelivered", "persistent", "receipt"):
        check(name not in got.headers, f"header {name} in {got.headers}")


@each_version("message.bytes")
def binary(broker, version):
    client, queue = roundtrip(broker, version)
    body = bytes(range(256)) * 4 + b"\0\0\n\0"
    client.send(queue, body, content_length=len(body), content_type="application/octet-stream")
    got = client.next()
    equal(got.body, body, "body")
    equal(got.headers["content-length"], str(len(body)), "content-length")
    equal(got.headers["content-type"], "application/octet-stream", "content-type")


@case("message.empty")
def empty(broker):
    client, queue = roundtrip(broker)
    client.send(queue, "")
    got = client.next()
    equal((got.body or b"", "content-length" in got.headers), (b"", False), "empty text")
    client.send(queue, "", content_length=0)
    got = client.next()
    equal((got.body or b"", got.headers.get("content-length")), (b"", "0"), "empty bytes")


@case("message.large")
def large(broker):
    client, queue = roundtrip(broker)
    body = bytes(i * 31 % 251 for i in range(4096)) * 512
    client.send(queue, body, content_length=len(body))
    check(client.next().body == body, "2 MiB body differs")


@case("message.many-small")
def many_small(broker):
    client, queue = roundtrip(broker)
    for number in range(500):
        client.send(queue, f"n{number}", receipt=False)
    equal(client.texts(500), [f"n{number}" for number in range(500)], "order")


@case("message.pipelined")
def pipelined(broker):
    wire = broker.raw("1.2")
    queue = broker.queue()
    wire.say("".join(f"SEND\ndestination:{queue}\nreceipt:{n}\n\n{n}\0\n\n" for n in range(50)))
    for number in range(50):
        wire.receipt(str(number))


@each_version("message.escapes", ("1.1", "1.2"))
def escapes(broker, version):
    client, queue = roundtrip(broker, version)
    value = "a:b\\c\nd\\n\\c"
    client.send_with(queue, "x", {"odd": value, "plain": "y z"})
    got = client.next()
    equal(got.headers["odd"], value, "escaped header")
    equal(got.headers["plain"], "y z", "plain header")


@case("message.escapes-on-the-wire")
def escapes_wire(broker):
    wire = broker.raw("1.2")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue()})
    wire.tell("SEND", {"destination": broker.queue(), "v": "a\\cb\\nc\\\\d\\re", "unknown": "t\\tt"}, "x")
    got = wire.read()
    equal(got.headers["v"], "a\\cb\\nc\\\\d\\re", "escapes")
    # An unknown escape is kept, not refused as the specification says; on the way out its backslash is escaped.
    equal(got.headers["unknown"], "t\\\\tt", "unknown escape")
    equal(got.headers["message-id"][:4], "ID\\c", "colons of message-id are escaped")


@case("message.escapes-1.0")
def escapes_10(broker):
    # 1.0 knows no escapes: they are read, as there are clients that write them, but never written.
    wire = broker.raw("1.0")
    wire.tell("SUBSCRIBE", {"destination": broker.queue()})
    wire.tell("SEND", {"destination": broker.queue(), "v": "a\\cb\\\\c\\t"}, "x")
    equal(wire.read().headers["v"], "a:b\\c\\t", "value")


@case("message.cr-escape-1.1")
def cr_escape(broker):
    # \r is an escape in 1.2 only.
    wire = broker.raw("1.1")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue()})
    wire.tell("SEND", {"destination": broker.queue(), "v": "a\\re"}, "x")
    equal(wire.read().headers["v"], "a\\\\re", "backslash r")


@case("message.name-escape")
def name_escape(broker):
    # Names of headers are neither unescaped on the way in nor escaped on the way out.
    wire = broker.raw("1.2")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue()})
    wire.tell("SEND", {"destination": broker.queue(), "k\\cey": "1"}, "x")
    equal(wire.read().headers.get("k\\cey"), "1", "header with an escape in its name")


@case("message.spaces")
def spaces(broker):
    # 1.0 trims values, 1.1 and 1.2 keep every space. Names are never trimmed.
    for version, want in (("1.0", "v"), ("1.1", " v "), ("1.2", " v ")):
        wire = broker.raw(version)
        queue = broker.queue(version)
        wire.tell("SUBSCRIBE", {"id": "1", "destination": queue})
        wire.say(f"SEND\ndestination:{queue}\nspaced: v \n\nx\0")
        equal(wire.read().headers["spaced"], want, f"value in {version}")


@case("message.repeated-header")
def repeated(broker):
    wire = broker.raw("1.2")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue()})
    wire.say(f"SEND\ndestination:{broker.queue()}\nfoo:first\nfoo:second\n\nx\0")
    got = wire.read()
    equal([line for line in got.lines if line.startswith("foo")], ["foo:first"], "repeated header: the first wins")


@case("message.crlf")
def crlf(broker):
    wire = broker.raw("1.2")
    queue = broker.queue()
    wire.say(f"SEND\r\ndestination:{queue}\r\nreceipt:1\r\n\r\nx\0\r\n")
    wire.receipt("1")
    wire.say(f"SUBSCRIBE\r\nid:1\r\ndestination:{queue}\r\n\r\n\0")
    got = wire.read()
    equal((got.body, got.headers["destination"]), (b"x", queue), "message")


@case("message.header-without-colon")
def without_colon(broker):
    # Not refused: the whole line is the name and the value is empty.
    wire = broker.raw("1.2")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue()})
    wire.say(f"SEND\ndestination:{broker.queue()}\nfoo\nreceipt:1\n\nx\0")
    frames = {got.command: got for got in (wire.read(), wire.read())}
    equal(frames["MESSAGE"].headers.get("foo"), "", "foo")


@case("message.jms-headers")
def jms_headers(broker):
    client, queue = roundtrip(broker)
    expires = str(int(time.time() * 1000) + 600_000)
    headers = {
        "priority": "9", "expires": expires, "type": "order", "correlation-id": "c:1", "persistent": "true",
        "reply-to": broker.queue("answers"), "JMSXGroupID": "g", "custom": "yes",
    }
    client.send_with(queue, "x", headers)
    got = client.next()
    for name in ("priority", "expires", "type", "correlation-id", "persistent", "reply-to", "custom"):
        equal(got.headers.get(name), headers[name], name)
    # ActiveMQ does not show JMSXGroupID, a field of its own inside the broker, to a STOMP consumer.
    equal(got.headers.get("JMSXGroupID", "g"), "g", "JMSXGroupID")


@case("message.sanitized-headers")
def sanitized(broker):
    # A sender cannot speak for the broker; "ack" alone passes through as a property of an auto subscription.
    client, queue = roundtrip(broker)
    client.send_with(queue, "x", {"message-id": "mine", "subscription": "other", "redelivered": "true",
                                  "JMSXUserID": "root", "timestamp": "5"})
    got = client.next()
    check(got.headers["message-id"].startswith("ID:"), "message-id was taken from the sender")
    equal(got.headers["subscription"], "1", "subscription")
    check("redelivered" not in got.headers, "redelivered was taken from the sender")
    check("JMSXUserID" not in got.headers, "JMSXUserID was taken from the sender")
    equal(got.headers["timestamp"], "5", "timestamp is the sender's when he gives one")


@case("message.priority-bounds")
def priority_bounds(broker):
    client, queue = roundtrip(broker)
    for given, want in (("55", "9"), ("-3", "0"), ("0", "0")):
        client.send(queue, "x", priority=given)
        equal(client.next().headers["priority"], want, f"priority {given}")


@case("message.persistent-flag")
def persistent(broker):
    client, queue = roundtrip(broker)
    for value, want in (("true", "true"), ("false", None), ("yes", None)):
        client.send(queue, "x", persistent=value)
        equal(client.next().headers.get("persistent"), want, f"persistent:{value}")


@case("message.expired")
def expired(broker):
    client, queue = roundtrip(broker)
    client.send(queue, "old", expires="1000")
    client.send(queue, "new")
    equal(client.next().body, b"new", "body")
    client.quiet()


@case("message.expires-waiting")
def expires_waiting(broker):
    client = broker.client("1.2")
    client.send(broker.queue(), "short", expires=int(time.time() * 1000) + 700)
    client.send(broker.queue(), "long")
    time.sleep(1.2)
    client.subscribe(broker.queue())
    equal(client.next().body, b"long", "body")
    client.quiet()


@case("message.amq-msg-type")
def amq_msg_type(broker):
    client, queue = roundtrip(broker)
    client.send(queue, "abc", **{"amq_msg_type": "bytes"})
    got = client.next()
    equal((got.headers.get("content-length"), got.body), ("3", b"abc"), "bytes without content-length in")
    equal(got.headers.get("amq-msg-type"), "bytes", "amq-msg-type stays as a property")
    # With amq-msg-type:text the content-length of the sender stays as a property, too.
    client.send(queue, "abc", **{"amq_msg_type": "text", "content_length": 3})
    got = client.next()
    equal((got.headers.get("content-length"), got.body), ("3", b"abc"), "text with content-length")


@case("message.plain-destination")
def plain_destination(broker):
    # Without a known prefix the name is a queue.
    client = broker.client("1.2")
    client.subscribe("/queue/" + broker.prefix)
    client.send(broker.prefix, "x")
    equal(client.next().headers["destination"], "/queue/" + broker.prefix, "destination")


@case("message.foreign-reply-to")
def foreign_reply_to(broker):
    client, queue = roundtrip(broker)
    client.send(queue, "x", reply_to="whatever you like")
    equal(client.next().headers["reply-to"], "whatever you like", "reply-to")
