"""ERROR frames: what is said, whether the request's receipt is named, whether the connection survives."""

from failure import check, equal
from harness import case, each_version
from raw import ANY


def lives(broker, wire):
    wire.tell("SEND", {"destination": broker.queue("alive"), "receipt": "alive"}, "x")
    wire.receipt("alive")


def ends(wire, message=None, receipt=None):
    wire.error(message, receipt)
    check(wire.closed(), "the connection stays open")


@case("error.version")
def version(broker):
    wire = broker.raw()
    wire.tell("CONNECT", {"accept-version": "1.3,2.0", "host": "x"})
    ends(wire, "Invalid Protocol version[1.3,2.0], supported versions are: [1.2, 1.1, 1.0]")


@case("error.heart-beat")
def heart_beat(broker):
    for value in ("abc", "1", "1,x"):
        wire = broker.raw()
        wire.tell("CONNECT", {"accept-version": "1.2", "host": "x", "heart-beat": value})
        ends(wire, f"Invalid heart-beat header:{value}")


@case("error.before-connect")
def before_connect(broker):
    for command in ("SEND", "SUBSCRIBE", "BEGIN", "DISCONNECT", "NONSENSE"):
        wire = broker.raw()
        wire.tell(command, {"destination": broker.queue(), "id": "1", "receipt": "1"}, "x")
        # The frame may be refused before its headers are read, and then its receipt is not named.
        got = wire.error(receipt=ANY)
        check("CONNECT or STOMP" in got.headers["message"], f"{got}")
        check(wire.closed(), "the connection stays open")


@case("error.connect-twice")
def connect_twice(broker):
    wire = broker.raw("1.2")
    wire.tell("CONNECT", {"accept-version": "1.2", "host": "x"})
    got = wire.error()
    check("duplicate CONNECT or STOMP frame" in got.headers["message"], f"{got}")
    check(wire.closed(), "the connection stays open")


@case("error.server-command")
def server_command(broker):
    for command in ("MESSAGE", "RECEIPT", "ERROR", "CONNECTED"):
        wire = broker.raw("1.2")
        wire.tell(command, {"receipt": "1"})
        # ActiveMQ refuses it before it looks for a receipt.
        ends(wire, receipt=ANY)


@each_version("error.unknown-command")
def unknown_command(broker, version):
    wire = broker.raw(version)
    wire.tell("FOO", {"receipt": "9"})
    ends(wire, "Unknown STOMP action: FOO", receipt="9")


@case("error.lower-case")
def lower_case(broker):
    wire = broker.raw("1.2")
    wire.tell("send", {"destination": broker.queue()}, "x")
    ends(wire, "Unknown STOMP action: send")


@each_version("error.no-destination")
def no_destination(broker, version):
    wire = broker.raw(version)
    wire.tell("SEND", {"receipt": "1"}, "x")
    wire.error("SEND received without a Destination specified!", receipt="1")
    wire.tell("SEND", {}, "x")
    wire.error("SEND received without a Destination specified!")
    wire.tell("SUBSCRIBE", {"id": "1", "receipt": "2"})
    wire.error("Invalid empty or 'null' Destination header", receipt="2")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": "", "receipt": "3"})
    wire.error("Invalid empty or 'null' Destination header", receipt="3")
    lives(broker, wire)


@case("error.no-subscription-id")
def no_id(broker):
    for version in ("1.1", "1.2"):
        wire = broker.raw(version)
        wire.tell("SUBSCRIBE", {"destination": broker.queue(), "receipt": "1"})
        wire.error("SUBSCRIBE received without a subscription id!", receipt="1")
        wire.tell("UNSUBSCRIBE", {"destination": broker.queue(), "receipt": "2"})
        wire.error("UNSUBSCRIBE received without a subscription id!", receipt="2")
        lives(broker, wire)


@each_version("error.selector")
def selector(broker, version):
    for receipt in ("s", None):
        wire = broker.raw(version)
        headers = {"id": "1", "destination": broker.queue(), "selector": "a = = b"}
        wire.tell("SUBSCRIBE", dict(headers, receipt=receipt) if receipt else headers)
        got = wire.error(receipt=receipt)
        check("a = = b" in got.headers["message"], f"{got}")
        lives(broker, wire)


@case("error.ack-unknown-1.2")
def ack_unknown_12(broker):
    wire = broker.raw("1.2")
    for command in ("ACK", "NACK"):
        wire.tell(command, {"id": "nope", "receipt": "1"})
        # ActiveMQ says "null" instead of the id.
        wire.error((f"Unexpected {command} received for message-id [null]",
                    f"Unexpected {command} received for message-id [nope]"), receipt="1")
    for command in ("ACK", "NACK"):
        wire.tell(command, {"message-id": "x"})
        wire.error((f"{command} received without a ack ", f"{command} received without an ack "))
    lives(broker, wire)


@case("error.ack-unknown-1.1")
def ack_unknown_11(broker):
    wire = broker.raw("1.1")
    for command in ("ACK", "NACK"):
        wire.tell(command, {"subscription": "1", "message-id": "nope", "receipt": "1"})
        wire.error(f"Unexpected {command} received for message-id [nope]", receipt="1")
        wire.tell(command, {"message-id": "nope"})
        wire.error(f"{command} received without a subscription id for acknowledge!")
        wire.tell(command, {"subscription": "1"})
        wire.error(f"{command} received without a message-id to acknowledge!")
    lives(broker, wire)


@case("error.ack-unknown-1.0")
def ack_unknown_10(broker):
    wire = broker.raw("1.0")
    wire.tell("ACK", {"message-id": "nope", "receipt": "1"})
    wire.error("Unexpected ACK received for message-id [nope]", receipt="1")
    wire.tell("ACK", {"receipt": "2"})
    wire.error("ACK received without a message-id to acknowledge!", receipt="2")
    wire.tell("NACK", {"message-id": "nope"})
    wire.error("NACK received but connection is in v1.0 mode.")
    lives(broker, wire)


@case("error.ack-of-auto")
def ack_of_auto(broker):
    # An auto subscription tracks nothing, so an ACK of its message is unexpected.
    wire = broker.raw("1.1")
    wire.tell("SEND", {"destination": broker.queue(), "receipt": "0"}, "x")
    wire.receipt("0")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue()})
    id = wire.read().headers["message-id"]
    # A round trip first: when an ERROR is provoked in the very moment a MESSAGE went out, ActiveMQ at times
    # repeats the bytes of that MESSAGE before the ERROR (nothing to copy; seen in 8 of 100 tries under load).
    lives(broker, wire)
    wire.tell("ACK", {"subscription": "1", "message-id": id, "receipt": "1"})
    wire.error(f"Unexpected ACK received for message-id [{id}]".replace("\\c", ":"), receipt="1")
    lives(broker, wire)


@case("error.ack-malformed-id")
def ack_malformed(broker):
    # Of an existing subscription, and not shaped like a message-id: ActiveMQ ends the connection without an ERROR.
    wire = broker.raw("1.1")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue(), "receipt": "0"})
    wire.receipt("0")
    wire.tell("ACK", {"subscription": "1", "message-id": "nope", "receipt": "1"})
    if wire.refused(receipt="1"):
        lives(broker, wire)


@case("error.unsubscribe-unknown")
def unsubscribe_unknown(broker):
    wire = broker.raw("1.2")
    wire.tell("UNSUBSCRIBE", {"id": "9", "receipt": "1"})
    wire.error("No subscription matched.", receipt="1")
    lives(broker, wire)
    wire = broker.raw("1.0")
    wire.tell("UNSUBSCRIBE", {"receipt": "1"})
    wire.error("Must specify the subscriptionId or the destination you are unsubscribing from", receipt="1")
    lives(broker, wire)


@case("error.content-length")
def content_length(broker):
    for value, message in (
        ("2", "content-length bytes were read and there was no trailing null byte"),
        ("xx", "Specified content-length is not a valid integer"),
        ("-1", "Specified content-length may not be negative"),
        ("104857601", "The maximum data length was exceeded"),
    ):
        wire = broker.raw("1.2")
        wire.tell("SEND", {"destination": broker.queue(), "content-length": value, "receipt": "1"}, "abcdef")
        # No receipt-id: the frame was not read to its end.
        ends(wire, message)


@case("error.limits")
def limits(broker):
    wire = broker.raw("1.2")
    wire.tell("SEND", {"destination": broker.queue(), "long": "x" * 10300}, "x")
    ends(wire, "The maximum header length was exceeded")
    wire = broker.raw("1.2")
    wire.tell("SEND", {"destination": broker.queue(), **{f"h{n}": "1" for n in range(1005)}}, "x")
    ends(wire, "The maximum number of headers was exceeded")
    wire = broker.raw()
    wire.say("X" * 1100 + "\n\n\0")
    # Or it is seen at once that this is no login.
    ends(wire, ("The maximum command length was exceeded", "not a STOMP login"))


@case("error.within-limits")
def within_limits(broker):
    wire = broker.raw("1.2")
    wire.tell("SEND", {"destination": broker.queue(), "long": "x" * 10000, "receipt": "1"}, "x")
    wire.receipt("1")
    wire.tell("SEND", {"destination": broker.queue(), **{f"h{n}": "1" for n in range(900)}, "receipt": "2"}, "x")
    wire.receipt("2")


@case("error.message-type")
def message_type(broker):
    wire = broker.raw("1.2")
    wire.tell("SEND", {"destination": broker.queue(), "amq-msg-type": "map", "receipt": "1"}, "x")
    wire.error("Unsupported message type 'map'", receipt="1")
    lives(broker, wire)


@case("error.not-a-number")
def not_a_number(broker):
    # Numbers that are none are refused; ActiveMQ ends the connection without an ERROR frame.
    for name in ("priority", "expires", "timestamp"):
        wire = broker.raw("1.2")
        wire.tell("SEND", {"destination": broker.queue(), name: "abc", "receipt": "1"}, "x")
        if wire.refused(receipt="1"):
            lives(broker, wire)


@case("error.empty-destination")
def empty_destination(broker):
    # Of SEND, unlike SUBSCRIBE: ActiveMQ ends the connection without an ERROR frame.
    wire = broker.raw("1.2")
    wire.tell("SEND", {"destination": "", "receipt": "1"}, "x")
    if wire.refused(receipt="1"):
        lives(broker, wire)


@case("error.keeps-subscriptions")
def keeps_subscriptions(broker):
    wire = broker.raw("1.2")
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue()})
    wire.tell("ACK", {"id": "nope"})
    wire.error()
    wire.tell("SEND", {"destination": broker.queue()}, "x")
    equal(wire.read().body, b"x", "message after an ERROR")
