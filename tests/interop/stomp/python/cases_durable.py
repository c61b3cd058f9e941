"""Durable topic subscriptions: client-id of CONNECT and activemq.subscriptionName of SUBSCRIBE."""

from failure import check, equal
from harness import ALL, case, each_version

NAME = "activemq.subscriptionName"


def subscriber(broker, version, **more):
    # UNSUBSCRIBE of 1.0 takes the subscription name for the client-id, so 1.0 clients use one word for both.
    client = broker.client(version, {"client-id": broker.tag})
    client.subscribe(broker.topic(), id="d", headers={NAME: broker.tag}, **more)
    return client


@each_version("durable.backlog")
def backlog(broker, version):
    subscriber(broker, version).close()
    sender = broker.client(version)
    for number in range(5):
        sender.send(broker.topic(), f"p{number}", persistent="true")
    again = subscriber(broker, version)
    got = [again.next() for _ in range(5)]
    equal([frame.body for frame in got], [f"p{n}".encode() for n in range(5)], "backlog")
    equal(got[0].headers["destination"], broker.topic(), "destination")
    check("redelivered" not in got[0].headers, "redelivered")
    sender.send(broker.topic(), "live", persistent="true")
    equal(again.next().body, b"live", "live")
    again.close()
    last = subscriber(broker, version)
    last.quiet()


@case("durable.non-persistent-backlog")
def non_persistent(broker):
    # Kept as well, as long as the broker runs.
    subscriber(broker, "1.2").close()
    broker.client("1.2").send(broker.topic(), "x")
    equal(subscriber(broker, "1.2").next().body, b"x", "body")


@each_version("durable.kill-keeps")
def kill_keeps(broker, version):
    first = subscriber(broker, version, ack="client")
    sender = broker.client(version)
    for number in range(3):
        sender.send(broker.topic(), str(number), persistent="true")
    frames = [first.next() for _ in range(3)]
    first.ack(frames[0])
    first.kill()
    sender.send(broker.topic(), "3", persistent="true")
    second = subscriber(broker, version)
    equal(second.texts(3), ["1", "2", "3"], "left")


@each_version("durable.remove")
def remove(broker, version):
    client = subscriber(broker, version)
    client.unsubscribe("d")  # the consumer goes, the subscription stays
    client.send(broker.topic(), "kept", persistent="true")
    client.subscribe(broker.topic(), id="d", headers={NAME: broker.tag})
    equal(client.next().body, b"kept", "body")
    client.unsubscribe("d")
    client.unsubscribe("d", {NAME: broker.tag})  # now the subscription goes, too
    client.send(broker.topic(), "lost", persistent="true")
    client.subscribe(broker.topic(), id="d", headers={NAME: broker.tag})
    client.quiet()


@case("durable.remove-in-use")
def remove_in_use(broker):
    wire = broker.raw("1.2", {"client-id": broker.tag})
    wire.tell("SUBSCRIBE", {"id": "d", "destination": broker.topic(), NAME: "s", "receipt": "1"})
    wire.receipt("1")
    wire.tell("UNSUBSCRIBE", {"id": "d", NAME: "s", "receipt": "2"})
    wire.error("Durable consumer is in use", receipt="2")
    wire.tell("UNSUBSCRIBE", {"id": "d", "receipt": "3"})
    wire.receipt("3")
    wire.tell("UNSUBSCRIBE", {"id": "d", NAME: "s", "receipt": "4"})
    wire.receipt("4")
    wire.tell("UNSUBSCRIBE", {"id": "d", NAME: "s", "receipt": "5"})
    got = wire.error(receipt="5")
    check("o durable subscription exists for client" in got.headers["message"], f"{got}")
    check(broker.tag in got.headers["message"] and "subscriptionName" in got.headers["message"], f"{got}")


@case("durable.selector")
def selector(broker):
    subscriber(broker, "1.2", selector="num > 1").close()
    sender = broker.client("1.2")
    for number in range(4):
        sender.send(broker.topic(), str(number), num=number, persistent="true")
    equal(subscriber(broker, "1.2", selector="num > 1").texts(2), ["2", "3"], "selected")


@case("durable.two-names")
def two_names(broker):
    client = broker.client("1.2", {"client-id": broker.tag})
    for name in ("a", "b"):
        client.subscribe(broker.topic(), id=name, headers={NAME: name})
    client.send(broker.topic(), "x", persistent="true")
    equal(sorted(client.next().headers["subscription"] for _ in range(2)), ["a", "b"], "subscriptions")


@case("durable.of-a-queue")
def of_a_queue(broker):
    for version in ALL:
        wire = broker.raw(version)
        wire.tell("SUBSCRIBE", {"id": "1", "destination": broker.queue(), NAME: "s", "receipt": "1"})
        wire.error("Invalid Subscription: cannot durably subscribe to a Queue destination!", receipt="1")


@case("durable.second-active")
def second_active(broker):
    wire = broker.raw("1.2", {"client-id": broker.tag})
    headers = {"destination": broker.topic(), NAME: "s"}
    wire.tell("SUBSCRIBE", {"id": "1", **headers, "receipt": "1"})
    wire.receipt("1")
    wire.tell("SUBSCRIBE", {"id": "2", **headers, "receipt": "2"})
    wire.error(receipt="2")
