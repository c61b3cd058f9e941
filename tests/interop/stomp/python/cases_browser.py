"""Queue browsers: browser:true shows what is there, takes nothing away and ends with a marker."""

from failure import check, equal
from harness import case, each_version


def end_marker(frame, queue, id):
    equal((frame.headers.get("browser"), frame.headers.get("message-id")), ("end", "0"), "end marker")
    equal((frame.headers.get("destination"), frame.headers.get("subscription")), (queue, id), "end marker")
    equal(sorted(frame.headers), ["browser", "destination", "message-id", "subscription"], "headers of the end marker")
    equal(frame.body or b"", b"", "body of the end marker")


@each_version("browser.basic", ("1.1", "1.2"))
def browser(broker, version):
    client = broker.client(version)
    for number in range(5):
        client.send(broker.queue(), str(number))
    for id in ("one", "two"):  # browsing takes nothing away
        client.subscribe(broker.queue(), id=id, browser="true")
        frames = [client.next() for _ in range(6)]
        equal([frame.body for frame in frames[:5]], [b"0", b"1", b"2", b"3", b"4"], "bodies")
        check(all("browser" not in frame.headers for frame in frames[:5]), "marker on a message")
        end_marker(frames[5], broker.queue(), id)
        client.unsubscribe(id)
    client.subscribe(broker.queue(), id="real")
    got = [client.next() for _ in range(5)]
    check(all("redelivered" not in frame.headers for frame in got), "browsing counts as delivery")


@case("browser.empty")
def browser_empty(broker):
    client = broker.client("1.2")
    client.subscribe(broker.queue(), id="b", browser="true")
    end_marker(client.next(), broker.queue(), "b")
    # The marker was the end: what comes later is not shown.
    client.send(broker.queue(), "late")
    client.quiet()


@case("browser.selector")
def browser_selector(broker):
    client = broker.client("1.2")
    for number in range(6):
        client.send(broker.queue(), str(number), num=number)
    client.subscribe(broker.queue(), id="b", browser="true", selector="num > 3")
    equal([client.next().body for _ in range(2)], [b"4", b"5"], "bodies")
    end_marker(client.next(), broker.queue(), "b")


@case("browser.nack")
def browser_nack(broker):
    wire = broker.raw("1.2")
    wire.tell("SEND", {"destination": broker.queue()}, "x")
    wire.tell("SUBSCRIBE", {"id": "b", "browser": "true", "ack": "client", "destination": broker.queue()})
    got = wire.read()
    wire.read()
    wire.tell("SEND", {"destination": broker.topic(), "receipt": "s"})  # see error.ack-of-auto
    wire.receipt("s")
    wire.tell("NACK", {"id": got.headers["ack"], "receipt": "n"})
    wire.error("Cannot Nack a message on a Queue Browser Subscription.", receipt="n")


@case("browser.1.0")
def browser_10(broker):
    wire = broker.raw("1.0")
    wire.tell("SUBSCRIBE", {"id": "b", "browser": "true", "destination": broker.queue(), "receipt": "1"})
    wire.error("Queue Browser feature only valid for Stomp v1.1+ clients!", receipt="1")
