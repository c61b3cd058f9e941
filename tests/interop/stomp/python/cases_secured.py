"""Users and rights, for a broker where "ann" with "secret" may do everything and "bob" with "other" reads R.> and writes W.>.

These cases need such a broker, so they are not among the others: suite.py runs them alone with --secured.
"""

import time

from failure import check, equal
from harness import WAIT

SECURED = []


def secured(name):
    def register(run):
        SECURED.append((f"secured.{name}", run))
        return run

    return register


def client(broker, user, passcode):
    return broker.client(headers={"login": user, "passcode": passcode})


def refused(who, act, why):
    act()
    error = who.errors.get(timeout=WAIT)
    check(why in error.headers.get("message", ""), f"{error.headers}")
    check("receipt-id" in error.headers, f"no receipt-id: {error.headers}")
    check(not who.disconnected, "the connection ended")


@secured("wrong-password")
def wrong_password(broker):
    for headers in ({"login": "ann", "passcode": "wrong"}, {"login": "nobody", "passcode": "secret"}, {"login": "ann"}, {}):
        wire = broker.raw()
        got = wire.ask("CONNECT", {"accept-version": "1.2", "host": "x", **headers})
        equal(got.command, "ERROR", f"answer to {headers}")
        check("is invalid" in got.headers["message"], f"{got.headers}")
        end = time.monotonic() + WAIT
        while not wire.ended and time.monotonic() < end:
            wire._fill(end)
        check(wire.ended, "the connection stays open")


@secured("rights")
def rights(broker):
    ann = client(broker, "ann", "secret")
    for name in ("R.stomp", "W.stomp", "OTHER.stomp"):
        ann.send(f"/queue/{name}", "x")
    bob = client(broker, "bob", "other")

    def subscribe(destination):
        bob.connection.subscribe(destination, "9", "auto", headers={"receipt": bob.new_receipt()})

    def send(destination):
        bob.connection.send(destination, "x", headers={"receipt": bob.new_receipt()})

    refused(bob, lambda: subscribe("/queue/W.stomp"), "not authorized to read from: queue://W.stomp")
    refused(bob, lambda: subscribe("/queue/>"), "not authorized to read from")
    refused(bob, lambda: subscribe("/queue/R.new.stomp"), "not authorized to create")
    refused(bob, lambda: send("/queue/R.stomp"), "not authorized to write to: queue://R.stomp")
    refused(bob, lambda: send("/queue/W.stomp,/queue/OTHER.stomp"), "not authorized to write to")
    refused(bob, lambda: send("/topic/T"), "not authorized to write to: topic://T")
    bob.send("/queue/W.stomp", "x")
    bob.subscribe("/queue/R.stomp")
    equal(bob.messages.get(timeout=WAIT).body, b"x", "body")


@secured("sender")
def sender(broker):
    ann = client(broker, "ann", "secret")
    ann.send("/queue/W.sender.stomp", "ann")
    bob = client(broker, "bob", "other")
    bob.send_with("/queue/W.sender.stomp", "bob", {"JMSXUserID": "ann"})
    ann.subscribe("/queue/W.sender.stomp")
    for _ in range(2):
        got = ann.messages.get(timeout=WAIT)
        body = got.body.decode() if isinstance(got.body, bytes) else got.body
        equal(got.headers.get("JMSXUserID"), body, "JMSXUserID")
