"""SUBSCRIBE: selectors, wildcards, composites, topics, temporary destinations, groups."""

from failure import check, equal
from harness import case, each_version


@each_version("subscribe.unsubscribe")
def unsubscribe(broker, version):
    client, sender = broker.client(version), broker.client(version)
    client.subscribe(broker.queue(), id="a")
    sender.send(broker.queue(), "1")
    equal(client.next().body, b"1", "before")
    client.unsubscribe("a")
    sender.send(broker.queue(), "2")
    client.quiet()
    client.subscribe(broker.queue(), id="b")
    got = client.next()
    equal((got.body, got.headers["subscription"]), (b"2", "b"), "after subscribing again")


@case("subscribe.unsubscribe-by-destination")
def unsubscribe_by_destination(broker):
    # 1.0 needs no id at all, and then its messages carry no subscription header.
    wire = broker.raw("1.0")
    wire.tell("SUBSCRIBE", {"destination": broker.queue()})
    wire.tell("SEND", {"destination": broker.queue()}, "x")
    check("subscription" not in wire.read().headers, "subscription header without an id")
    wire.tell("UNSUBSCRIBE", {"destination": broker.queue(), "receipt": "u"})
    wire.receipt("u")
    wire.tell("SEND", {"destination": broker.queue()}, "y")
    equal(wire.poll(), None, "message after UNSUBSCRIBE")


@each_version("subscribe.receipt-first")
def receipt_first(broker, version):
    # The receipt of SUBSCRIBE comes before the first message.
    wire = broker.raw(version)
    for number in range(20):
        wire.tell("SEND", {"destination": broker.queue()}, str(number))
    wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue(), "receipt": "s"})
    wire.receipt("s")
    equal([wire.read().body for _ in range(20)], [str(number).encode() for number in range(20)], "bodies")


@case("subscribe.same-id")
def same_id(broker):
    # A second SUBSCRIBE with a used id is accepted and both deliver.
    client = broker.client("1.2")
    client.subscribe(broker.queue("a"), id="1")
    client.subscribe(broker.queue("b"), id="1")
    client.send(broker.queue("a"), "a")
    client.send(broker.queue("b"), "b")
    equal(sorted(client.texts(2)), ["a", "b"], "bodies")
    # UNSUBSCRIBE ends the newer one.
    client.unsubscribe("1")
    client.send(broker.queue("a"), "a again")
    client.send(broker.queue("b"), "b again")
    equal(client.next().body, b"a again", "body")
    client.quiet(0.3)


@each_version("subscribe.topic-fan-out")
def fan_out(broker, version):
    readers = [broker.client(version) for _ in range(4)]
    for reader in readers:
        reader.subscribe(broker.topic())
    sender = broker.client(version)
    for number in range(20):
        sender.send(broker.topic(), str(number), receipt=number == 19)
    for reader in readers:
        equal(reader.texts(20), [str(number) for number in range(20)], "bodies")


@case("subscribe.topic-late")
def topic_late(broker):
    client = broker.client("1.2")
    client.send(broker.topic(), "before", persistent="true")
    client.subscribe(broker.topic())
    client.send(broker.topic(), "after")
    equal(client.next().body, b"after", "body")
    client.quiet(0.2)


@case("subscribe.queue-share")
def queue_share(broker):
    readers = [broker.client("1.2") for _ in range(2)]
    for reader in readers:
        reader.subscribe(broker.queue())
        reader.send(broker.topic("sync"))  # see subscribe.priority
    sender = broker.client("1.2")
    for number in range(40):
        sender.send(broker.queue(), str(number), receipt=number == 39)
    got = [reader.drain() for reader in readers]
    equal([len(frames) for frames in got], [20, 20], "messages each")


SELECTORS = (
    ("num > 5", True), ("num = 7", True), ("num = '7'", True), ("num BETWEEN 6 AND 8.5", True),
    ("num IN ('7', '9')", True), ("num LIKE '7%'", True), ("num < 5", False), ("num <> 7", False),
    ("num + 1 = 8", False),  # a string is converted by comparing, not by adding
    ("flag = TRUE", True), ("flag = 'true'", True), ("flag = FALSE", False),
    ("colour = 'red'", True), ("colour LIKE 'r_d'", True), ("colour = 'blue' OR num >= 7", True),
    ("NOT (colour = 'blue')", True), ("missing IS NULL AND num IS NOT NULL", True), ("missing = 'x'", False),
    ("JMSPriority = 8", True), ("JMSPriority > 8", False), ("JMSType = 'order'", True),
    ("JMSCorrelationID = 'c1'", True), ("JMSXGroupID = 'g'", True), ("JMSDeliveryMode = 'NON_PERSISTENT'", True),
)


@each_version("subscribe.selectors")
def selectors(broker, version):
    client = broker.client(version)
    for number, (text, _) in enumerate(SELECTORS):
        client.subscribe(broker.topic(), id=str(number), selector=text)
    client.send_with(broker.topic(), "x", {
        "num": "7", "flag": "true", "colour": "red", "priority": "8", "type": "order", "correlation-id": "c1",
        "JMSXGroupID": "g",
    })
    got = {SELECTORS[int(frame.headers["subscription"])][0] for frame in client.drain()}
    equal(sorted(got), sorted(text for text, match in SELECTORS if match), "matching selectors")


@case("subscribe.selector-on-queue")
def selector_on_queue(broker):
    client = broker.client("1.2")
    for number in range(6):
        client.send(broker.queue(), str(number), num=number)
    client.subscribe(broker.queue(), id="high", selector="num >= 4")
    equal(client.texts(2), ["4", "5"], "selected")
    client.quiet(0.3)
    client.subscribe(broker.queue(), id="rest")
    equal(client.texts(4), ["0", "1", "2", "3"], "the others stay")


@each_version("subscribe.wildcard")
def wildcard(broker, version):
    client = broker.client(version)
    for kind in ("queue", "topic"):
        base = f"/{kind}/{broker.prefix}"
        client.subscribe(f"{base}.*.x", id=f"{kind}-star")
        client.send(f"{base}.a.x", "yes")
        got = client.next()
        # The message says where it really was sent to.
        equal((got.body, got.headers["destination"]), (b"yes", f"{base}.a.x"), "star")
        client.send(f"{base}.a.b.x", "no")
        client.send(f"{base}.a.y", "no")
        client.quiet(0.3)
        client.unsubscribe(f"{kind}-star")
    base = f"/topic/{broker.prefix}"
    client.subscribe(f"{base}.>", id="rest")
    for name in ("a", "a.b", "a.b.c"):
        client.send(f"{base}.{name}", name)
    equal(client.texts(3), ["a", "a.b", "a.b.c"], "greater-than")


@case("subscribe.wildcard-existing")
def wildcard_existing(broker):
    client = broker.client("1.2")
    for name in ("a", "b"):
        client.send(broker.queue(name), name)
    # Without a receipt: asked for one, ActiveMQ starts with a prefetch of 0, raises it after the RECEIPT and
    # then wakes only the queue of exactly that name, so a wildcard's backlog would wait for the next message.
    client.subscribe(broker.queue("*"), receipt=False)
    equal(sorted(client.texts(2)), ["a", "b"], "bodies")


@each_version("send.composite")
def composite(broker, version):
    client = broker.client(version)
    a, b, t = broker.queue("a"), broker.queue("b"), broker.topic()
    for id, name in (("a", a), ("b", b), ("t", t)):
        client.subscribe(name, id=id)
    client.send(f"{a},{b},{t}", "x")
    got = {frame.headers["subscription"]: frame for frame in (client.next(), client.next(), client.next())}
    client.quiet(0.2)
    for id, name in (("a", a), ("b", b), ("t", t)):
        equal(got[id].headers["destination"], name, "destination")
        check("original-destination" in got[id].headers, "no original-destination")
    equal(len({frame.headers["message-id"] for frame in got.values()}), 1, "distinct message-ids")


@case("subscribe.composite")
def composite_subscribe(broker):
    client = broker.client("1.2")
    client.subscribe(f"{broker.queue('a')},{broker.queue('b')}")
    for name in ("a", "b"):
        client.send(broker.queue(name), name)
        got = client.next()
        equal((got.body.decode(), got.headers["destination"]), (name, broker.queue(name)), "message")


@each_version("temp.request-reply")
def request_reply(broker, version):
    asker, answerer = broker.client(version), broker.client(version)
    answerer.subscribe(broker.queue())
    for kind in ("queue", "topic"):
        mine = f"/temp-{kind}/mine"
        asker.subscribe(mine, id=kind)
        asker.send(broker.queue(), "question", reply_to=mine, correlation_id=kind)
        question = answerer.next()
        # The other side sees a name it can send to.
        address = question.headers["reply-to"]
        check(address.startswith(f"/remote-temp-{kind}/ID:"), f"reply-to {address}")
        answerer.send(address, "answer", correlation_id=question.headers["correlation-id"])
        got = asker.next()
        equal((got.body, got.headers["correlation-id"]), (b"answer", kind), "answer")
        # And its owner sees its own name for it.
        equal((got.headers["destination"], got.headers["subscription"]), (mine, kind), "destination")


@case("temp.private-names")
def temp_private(broker):
    # The same /temp-queue/ name of two connections is two queues.
    one, two = broker.client("1.2"), broker.client("1.2")
    one.subscribe("/temp-queue/same")
    two.subscribe("/temp-queue/same")
    one.send("/temp-queue/same", "one")
    equal(one.next().body, b"one", "body")
    two.quiet(0.3)


@case("group.sticks")
def group(broker):
    readers = [broker.client("1.2") for _ in range(3)]
    for reader in readers:
        reader.subscribe(broker.queue())
    sender = broker.client("1.2")
    for number in range(30):
        sender.send(broker.queue(), f"{number % 5}", JMSXGroupID=f"g{number % 5}", receipt=number == 29)
    owners = {}
    for place, reader in enumerate(readers):
        for frame in reader.drain():
            owners.setdefault(frame.body, []).append(place)
    equal(sorted(len(places) for places in owners.values()), [6] * 5, "messages per group")
    check(all(len(set(places)) == 1 for places in owners.values()), f"a group has several consumers: {owners}")


@case("group.first-for-consumer")
def group_first(broker):
    one, two = broker.client("1.2"), broker.client("1.2")
    one.subscribe(broker.queue(), ack="client-individual")
    sender = broker.client("1.2")
    sender.send(broker.queue(), "a", JMSXGroupID="g")
    sender.send(broker.queue(), "b", JMSXGroupID="g")
    flags = [one.next().headers.get("JMSXGroupFirstForConsumer") for _ in range(2)]
    equal(flags, ["true", None], "JMSXGroupFirstForConsumer at the first owner")
    two.subscribe(broker.queue(), ack="client-individual")
    two.quiet(0.3)
    one.unsubscribe()
    got = [two.next() for _ in range(2)]
    equal([frame.body for frame in got], [b"a", b"b"], "bodies at the next owner")
    equal(got[0].headers.get("JMSXGroupFirstForConsumer"), "true", "JMSXGroupFirstForConsumer at the next owner")


@case("group.close")
def group_close(broker):
    one, two = broker.client("1.2"), broker.client("1.2")
    one.subscribe(broker.queue())
    two.subscribe(broker.queue())
    sender = broker.client("1.2")
    for number, sequence in enumerate((1, 2, -1)):
        sender.send(broker.queue(), f"a{number}", JMSXGroupID="a", JMSXGroupSeq=str(sequence))
    sender.send(broker.queue(), "b", JMSXGroupID="b")
    owner, other = (one, two) if (first := one.drain()) else (two, one)
    equal([frame.body for frame in first or two.drain()][:3], [b"a0", b"a1", b"a2"], "the group at its owner")
    other.drain()
    sender.send(broker.queue(), "c", JMSXGroupID="c")
    sender.send(broker.queue(), "again", JMSXGroupID="a", receipt=True)
    equal(len(one.drain()) + len(two.drain()), 2, "messages after the close")


@case("subscribe.exclusive")
def exclusive(broker):
    one, two = broker.client("1.2"), broker.client("1.2")
    for reader in (one, two):
        reader.subscribe(broker.queue(), headers={"activemq.exclusive": "true"})
    one.send(broker.queue(), "0")
    for number in range(1, 10):
        one.send(broker.queue(), str(number))
    equal(sorted((len(one.drain()), len(two.drain()))), [0, 10], "messages each")


@case("subscribe.priority")
def consumer_priority(broker):
    low, high = broker.client("1.2"), broker.client("1.2")
    low.subscribe(broker.queue(), headers={"activemq.priority": "1"})
    high.subscribe(broker.queue(), headers={"activemq.priority": "10"})
    # A round trip: ActiveMQ raises the prefetch of a new consumer from 0 only after its RECEIPT.
    high.send(broker.topic("sync"))
    for number in range(10):
        low.send(broker.queue(), str(number))
    equal((len(low.drain()), len(high.drain())), (0, 10), "messages of low and high")


@case("subscribe.retroactive-header")
def retroactive(broker):
    # Accepted; the default recovery policy of a topic keeps nothing unless it is configured.
    client = broker.client("1.2")
    client.subscribe(broker.topic(), headers={"activemq.retroactive": "true", "activemq.dispatchAsync": "false",
                                              "activemq.maximumPendingMessageLimit": "10"})
    client.send(broker.topic(), "x")
    equal(client.next().body, b"x", "body")


@case("subscribe.no-local")
def no_local(broker):
    one, two = broker.client("1.2"), broker.client("1.2")
    one.subscribe(broker.topic(), headers={"activemq.noLocal": "true"})
    one.send(broker.topic(), "own")
    two.send(broker.topic(), "foreign")
    equal(one.next().body, b"foreign", "body")
    one.quiet(0.2)
