"""BEGIN, COMMIT and ABORT around SEND, ACK and NACK."""

from failure import check, equal
from harness import case, each_version


@each_version("transaction.send-commit")
def send_commit(broker, version):
    client, reader = broker.client(version), broker.client(version)
    reader.subscribe(broker.queue())
    client.begin("t")
    client.send(broker.queue(), "a", transaction="t")
    client.send(broker.queue(), "b", transaction="t")
    client.send(broker.queue(), "outside")
    equal(reader.next().body, b"outside", "what is outside does not wait")
    reader.quiet(0.4)
    client.commit("t")
    got = [reader.next() for _ in range(2)]
    equal([frame.body for frame in got], [b"a", b"b"], "committed")
    check("transaction" not in got[0].headers, "the transaction header is passed on")
    reader.quiet(0.2)


@each_version("transaction.send-abort")
def send_abort(broker, version):
    client = broker.client(version)
    client.subscribe(broker.queue())
    client.begin("t")
    client.send(broker.queue(), "a", transaction="t", persistent="true")
    client.abort("t")
    client.quiet()
    # The name is free again.
    client.begin("t")
    client.send(broker.queue(), "b", transaction="t")
    client.commit("t")
    equal(client.next().body, b"b", "body")


@case("transaction.disconnect-aborts")
def disconnect_aborts(broker):
    client = broker.client("1.2")
    client.begin("t")
    client.send(broker.queue(), "lost", transaction="t", persistent="true")
    client.kill()
    reader = broker.client("1.2")
    reader.subscribe(broker.queue())
    reader.quiet()


def left(broker, version):
    reader = broker.client(version)
    reader.subscribe(broker.queue())
    return [(got.body.decode(), got.headers.get("redelivered")) for got in reader.drain()]


@each_version("transaction.ack-commit")
def ack_commit(broker, version):
    client = broker.client(version)
    for number in range(4):
        client.send(broker.queue(), f"m{number}", persistent="true")
    client.subscribe(broker.queue(), ack="client")
    frames = [client.next() for _ in range(4)]
    client.begin("t")
    client.ack(frames[1], transaction="t")  # cumulative: m0 and m1
    client.commit("t")
    client.close()
    equal(left(broker, version), [("m2", "true"), ("m3", "true")], "left")


@each_version("transaction.ack-commit-individual")
def ack_commit_individual(broker, version):
    client = broker.client(version)
    for number in range(4):
        client.send(broker.queue(), f"m{number}", persistent="true")
    client.subscribe(broker.queue(), ack="client-individual")
    frames = [client.next() for _ in range(4)]
    client.begin("t")
    client.ack(frames[3], transaction="t")
    client.ack(frames[1], transaction="t")
    client.commit("t")
    client.close()
    equal(left(broker, version), [("m0", "true"), ("m2", "true")], "left")


@each_version("transaction.ack-abort")
def ack_abort(broker, version):
    client = broker.client(version)
    for number in range(2):
        client.send(broker.queue(), f"m{number}")
    client.subscribe(broker.queue(), ack="client")
    frames = [client.next() for _ in range(2)]
    client.begin("t")
    client.ack(frames[1], transaction="t")
    client.abort("t")
    # Nothing is sent to this subscription a second time ...
    client.quiet()
    client.close()
    # ... the messages come back when it goes away.
    equal([body for body, _ in left(broker, version)], ["m0", "m1"], "left")


@each_version("transaction.ack-after-abort", ("1.1", "1.2"))
def ack_after_abort(broker, version):
    # After ABORT the same ids can be acknowledged again.
    client = broker.client(version)
    for number in range(2):
        client.send(broker.queue(), f"m{number}")
    client.subscribe(broker.queue(), ack="client")
    frames = [client.next() for _ in range(2)]
    client.begin("t")
    client.ack(frames[1], transaction="t")
    client.abort("t")
    client.begin("u")
    client.ack(frames[1], transaction="u")
    client.commit("u")
    client.close()
    equal(left(broker, version), [], "left")


@case("transaction.consume-and-produce")
def consume_and_produce(broker):
    client = broker.client("1.2")
    client.send(broker.queue("in"), "x", persistent="true")
    client.subscribe(broker.queue("in"), id="in", ack="client-individual")
    client.subscribe(broker.queue("out"), id="out")
    got = client.next()
    client.begin("t")
    client.send(broker.queue("out"), "answer", transaction="t", persistent="true")
    client.ack(got, transaction="t")
    client.quiet(0.3)
    client.commit("t")
    equal(client.next().body, b"answer", "answer")
    client.close()
    again = broker.client("1.2")
    again.subscribe(broker.queue("in"))
    again.quiet()


@case("transaction.two-at-once")
def two_at_once(broker):
    client = broker.client("1.2")
    client.subscribe(broker.queue())
    client.begin("t")
    client.begin("u")
    client.send(broker.queue(), "t1", transaction="t")
    client.send(broker.queue(), "u1", transaction="u")
    client.commit("u")
    equal(client.next().body, b"u1", "first")
    client.quiet(0.3)
    client.commit("t")
    equal(client.next().body, b"t1", "second")


@each_version("transaction.errors", ("1.0", "1.2"))
def errors(broker, version):
    wire = broker.raw(version)
    dest = broker.queue()
    # ActiveMQ says "committing" of ABORT, too.
    for number, (command, headers, message) in enumerate((
        ("BEGIN", {}, "Must specify the transaction you are beginning"),
        ("BEGIN", {"transaction": "t"}, None),
        ("BEGIN", {"transaction": "t"}, "The transaction was already started: t"),
        ("COMMIT", {"transaction": "u"}, "Invalid transaction id: u"),
        ("ABORT", {"transaction": "u"}, "Invalid transaction id: u"),
        ("COMMIT", {}, "Must specify the transaction you are committing"),
        ("ABORT", {}, ("Must specify the transaction you are aborting",
                       "Must specify the transaction you are committing")),
        ("SEND", {"destination": dest, "transaction": "u"}, "Invalid transaction id: u"),
        ("COMMIT", {"transaction": "t"}, None),
        ("COMMIT", {"transaction": "t"}, "Invalid transaction id: t"),
    )):
        wire.tell(command, {**headers, "receipt": str(number)})
        if message:
            wire.error(message, receipt=str(number))
        else:
            wire.receipt(str(number))
