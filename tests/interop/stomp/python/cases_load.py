"""Many producers and consumers at once: nothing is lost and nothing comes twice."""

import threading

from failure import check, equal
from harness import case, until

EACH = 200


def produce(broker, destination, number, headers):
    sender = broker.client("1.2")
    for count in range(EACH):
        sender.send_with(destination, f"{number}-{count}", headers, receipt=count % 50 == 49 or count == EACH - 1)


def run(broker, destination, ack, headers):
    consumers = [broker.client("1.2") for _ in range(10)]
    got, taken = [], threading.Lock()
    for consumer in consumers:

        def take(frame, consumer=consumer):
            if ack != "auto":
                consumer.ack(frame, receipt=False)
            with taken:
                got.append((frame.body.decode(), consumer))

        consumer.on_message = take
        consumer.subscribe(destination, ack=ack, headers={"activemq.prefetchSize": "10"})
    producers = [threading.Thread(target=produce, args=(broker, destination, n, headers), daemon=True) for n in range(10)]
    for producer in producers:
        producer.start()
    want = {f"{number}-{count}" for number in range(10) for count in range(EACH)}
    until(lambda: len(got) >= len(want), f"only some of {len(want)} messages arrived", 60)
    for producer in producers:
        producer.join(10)
    for consumer in consumers:
        consumer.close()
    bodies = [body for body, _ in got]
    equal(len(bodies), len(want), "number of messages")
    equal(set(bodies), want, "messages")
    check(len({id(consumer) for _, consumer in got}) == 10, "a consumer got nothing at all")
    after = broker.client("1.2")
    after.subscribe(destination)
    after.quiet()


@case("load.ten-by-ten-auto")
def auto(broker):
    run(broker, broker.queue(), "auto", {})


@case("load.ten-by-ten-client")
def client(broker):
    run(broker, broker.queue(), "client", {})


@case("load.ten-by-ten-individual-persistent")
def individual(broker):
    run(broker, broker.queue(), "client-individual", {"persistent": "true"})


@case("load.order-per-producer")
def order(broker):
    reader = broker.client("1.2")
    reader.subscribe(broker.queue())
    threads = [threading.Thread(target=produce, args=(broker, broker.queue(), n, {}), daemon=True) for n in range(5)]
    for thread in threads:
        thread.start()
    seen = {}
    for text in reader.texts(5 * EACH, 20):
        number, count = text.split("-")
        equal(int(count), seen.get(number, -1) + 1, f"next message of producer {number}")
        seen[number] = int(count)


@case("load.crash-redelivers-each-once")
def crash(broker):
    sender = broker.client("1.2")
    for number in range(100):
        sender.send(broker.queue(), str(number), receipt=number == 99, persistent="true")
    left = {str(number) for number in range(100)}
    while left:
        client = broker.client("1.2")
        client.subscribe(broker.queue(), ack="client-individual", headers={"activemq.prefetchSize": "20"})
        for _ in range(min(10, len(left))):
            frame = client.next()
            check(frame.body.decode() in left, f"{frame.body!r} was acknowledged and comes again")
            client.ack(frame)
            left.discard(frame.body.decode())
        client.kill()
    after = broker.client("1.2")
    after.subscribe(broker.queue())
    after.quiet()
