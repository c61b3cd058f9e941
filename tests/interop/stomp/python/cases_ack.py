"""auto, client and client-individual acknowledgement, redelivery, NACK, prefetch."""

from failure import check, equal
from harness import case, each_version, until


def loaded(broker, version, count, **headers):
    client = broker.client(version)
    for number in range(count):
        client.send(broker.queue(), f"m{number}", **headers)
    return client


@each_version("ack.auto")
def auto(broker, version):
    client = loaded(broker, version, 3)
    client.subscribe(broker.queue())
    equal(client.texts(3), ["m0", "m1", "m2"], "texts")
    client.close()
    again = broker.client(version)
    again.subscribe(broker.queue())
    again.quiet()


@each_version("ack.client-cumulative")
def cumulative(broker, version):
    client = loaded(broker, version, 5)
    client.subscribe(broker.queue(), ack="client")
    frames = [client.next() for _ in range(5)]
    # Only 1.2 has an ack header; 1.0 and 1.1 acknowledge by message-id.
    equal(["ack" in got.headers for got in frames], [version == "1.2"] * 5, "ack header")
    client.ack(frames[2])
    client.close()
    again = broker.client(version)
    again.subscribe(broker.queue())
    equal(again.texts(2), ["m3", "m4"], "left after a cumulative ACK of the third")
    again.quiet()


@each_version("ack.client-individual")
def individual(broker, version):
    client = loaded(broker, version, 4)
    client.subscribe(broker.queue(), ack="client-individual")
    frames = [client.next() for _ in range(4)]
    client.ack(frames[2])
    client.ack(frames[0])
    client.close()
    again = broker.client(version)
    again.subscribe(broker.queue())
    equal(again.texts(2), ["m1", "m3"], "left")
    again.quiet()


@each_version("ack.redelivered")
def redelivered(broker, version):
    client = loaded(broker, version, 3, persistent="true")
    client.subscribe(broker.queue(), ack="client")
    first = [client.next() for _ in range(3)]
    check(all("redelivered" not in got.headers for got in first), "redelivered at the first time")
    client.kill()
    again = broker.client(version)
    again.subscribe(broker.queue(), ack="client")
    second = [again.next() for _ in range(3)]
    equal([got.body for got in second], [b"m0", b"m1", b"m2"], "order")
    equal([got.headers.get("redelivered") for got in second], ["true"] * 3, "redelivered")
    equal([got.headers["message-id"] for got in second], [got.headers["message-id"] for got in first], "message-ids")
    again.ack(second[2])


@each_version("ack.unsubscribe-returns")
def unsubscribe_returns(broker, version):
    client = loaded(broker, version, 2)
    client.subscribe(broker.queue(), id="a", ack="client-individual")
    client.texts(2)
    client.unsubscribe("a")
    client.subscribe(broker.queue(), id="b", ack="auto")
    got = [client.next() for _ in range(2)]
    equal([frame.body for frame in got], [b"m0", b"m1"], "bodies")
    equal([frame.headers.get("redelivered") for frame in got], ["true"] * 2, "redelivered")


@case("ack.twice")
def twice(broker):
    wire = broker.raw("1.2")
    wire.tell("SEND", {"destination": broker.queue()}, "x")
    wire.tell("SUBSCRIBE", {"id": "1", "ack": "client-individual", "destination": broker.queue()})
    ack = wire.read().headers["ack"]
    wire.tell("ACK", {"id": ack, "receipt": "1"})
    wire.receipt("1")
    wire.tell("ACK", {"id": ack, "receipt": "2"})
    # ActiveMQ says "null" instead of the id.
    wire.error(("Unexpected ACK received for message-id [null]", f"Unexpected ACK received for message-id [{ack}]"),
               receipt="2")
    wire.tell("SEND", {"destination": broker.queue(), "receipt": "3"}, "y")
    wire.read()  # the receipt or the message: the connection lives


def dead_letters(broker, client):
    """Watches the shared dead letter queue for messages of this case only."""
    client.subscribe("/queue/ActiveMQ.DLQ", id="dlq", selector=f"tag = '{broker.tag}'")


@each_version("nack.persistent", ("1.1", "1.2"))
def nack(broker, version):
    client = loaded(broker, version, 3, persistent="true", tag=broker.tag)
    client.subscribe(broker.queue(), ack="client-individual")
    frames = [client.next() for _ in range(3)]
    watcher = broker.client(version)
    dead_letters(broker, watcher)
    # A NACK is final: no redelivery, the message goes to the dead letter queue at once.
    client.nack(frames[1])
    dead = watcher.next()
    equal(dead.body, b"m1", "dead letter")
    equal(dead.headers["destination"], "/queue/ActiveMQ.DLQ", "destination")
    equal(dead.headers.get("original-destination"), broker.queue(), "original-destination")
    equal(dead.headers.get("originalExpiration"), "0", "originalExpiration")
    equal(dead.headers["message-id"], frames[1].headers["message-id"], "message-id")
    check("redelivered" not in dead.headers, "redelivered in the dead letter")
    client.ack(frames[0])
    client.ack(frames[2])
    client.close()
    again = broker.client(version)
    again.subscribe(broker.queue())
    again.quiet()


@case("nack.non-persistent")
def nack_non_persistent(broker):
    # The default dead letter strategy takes persistent messages only: this one is gone.
    client = loaded(broker, "1.2", 1, tag=broker.tag)
    client.subscribe(broker.queue(), ack="client-individual")
    got = client.next()
    watcher = broker.client("1.2")
    dead_letters(broker, watcher)
    client.nack(got)
    watcher.quiet()
    client.quiet(0.1)


@case("nack.client-mode")
def nack_client_mode(broker):
    # Not cumulative, also in mode client: only the named message is refused.
    client = loaded(broker, "1.2", 3, persistent="true", tag=broker.tag)
    client.subscribe(broker.queue(), ack="client")
    frames = [client.next() for _ in range(3)]
    watcher = broker.client("1.2")
    dead_letters(broker, watcher)
    client.nack(frames[1])
    equal(watcher.next().body, b"m1", "dead letter")
    watcher.quiet(0.3)
    client.close()
    again = broker.client("1.2")
    again.subscribe(broker.queue())
    equal(again.texts(2), ["m0", "m2"], "left")


@case("prefetch.one")
def prefetch_one(broker):
    client = loaded(broker, "1.2", 6)
    one, two = broker.client("1.2"), broker.client("1.2")
    for consumer in (one, two):
        consumer.subscribe(broker.queue(), ack="client-individual", headers={"activemq.prefetchSize": "1"})
    got = [one.next(), two.next()]
    equal(sorted(frame.body for frame in got), [b"m0", b"m1"], "one each")
    one.quiet(0.3)
    two.quiet(0.3)
    # The slow one keeps its single message; the other one takes all the rest.
    rest = []
    two.ack(got[1])
    for _ in range(4):
        frame = two.next()
        rest.append(frame.body)
        two.ack(frame)
    equal(rest, [b"m2", b"m3", b"m4", b"m5"], "the rest")
    one.quiet(0.3)
    one.ack(got[0])


@each_version("prefetch.one-cumulative", ("1.1", "1.2"))
def prefetch_one_client(broker, version):
    client = loaded(broker, version, 4)
    client.subscribe(broker.queue(), ack="client", headers={"activemq.prefetchSize": "2"})
    first = [client.next(), client.next()]
    client.quiet(0.3)
    client.ack(first[1])
    equal(client.texts(2), ["m2", "m3"], "after the ACK")


def count_unacked(broker, suffix, ack):
    # The consumer is there first: a backlog that is older than its consumer is paged in by steps of 200
    # which each wait for an ACK, and that is nothing to rely on.
    sender, consumer = broker.client("1.2"), broker.client("1.2")
    consumer.subscribe(broker.queue(suffix), ack=ack)
    for number in range(1100):
        sender.send(broker.queue(suffix), str(number), receipt=number == 1099)
    until(lambda: consumer.messages.qsize() >= 1000, "fewer than 1000 come without an ACK")
    return consumer


@case("prefetch.default-queue")
def prefetch_default(broker):
    for ack in ("client", "client-individual"):
        consumer = count_unacked(broker, ack, ack)
        frames = consumer.drain()
        equal(len(frames), 1000, f"unacknowledged messages of mode {ack}")
        for frame in frames if ack == "client-individual" else frames[-1:]:
            consumer.ack(frame, receipt=False)
        equal(len([consumer.next() for _ in range(100)]), 100, "the rest after the ACK")


@case("prefetch.auto-flows")
def prefetch_auto(broker):
    # In mode auto the broker acknowledges while it writes, so the prefetch does not hold anything back.
    consumer = count_unacked(broker, "q", "auto")
    equal(len(consumer.drain()), 1100, "messages")


@case("prefetch.default-durable")
def prefetch_durable(broker):
    client, sender = broker.client("1.2", {"client-id": broker.tag}), broker.client("1.2")
    client.subscribe(broker.topic(), ack="client", headers={"activemq.subscriptionName": "s"})
    for number in range(130):
        sender.send(broker.topic(), str(number), receipt=number == 129, persistent="true")
    frames = client.drain()
    equal(len(frames), 100, "unacknowledged messages of a durable subscription")
    client.ack(frames[-1])
    client.texts(30)


@case("prefetch.default-topic")
def prefetch_topic(broker):
    # 32766: nothing here comes near.
    client, sender = broker.client("1.2"), broker.client("1.2")
    client.subscribe(broker.topic(), ack="client")
    for number in range(2500):
        sender.send(broker.topic(), str(number), receipt=number == 2499)
    equal(len(client.texts(2500)), 2500, "unacknowledged messages of a topic subscription")
