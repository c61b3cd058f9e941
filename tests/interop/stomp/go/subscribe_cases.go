package main

import (
	"fmt"
	"time"

	"github.com/go-stomp/stomp/v3"
)

func subscribeCases() {
	perVersion("subscribe.unsubscribe", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		s := c.subscribe(b.queue("q"), stomp.AckAuto)
		c.send(b.queue("q"), "a")
		equal(bodies(s, 1), "a", "before")
		unsubscribe(s)
		c.send(b.queue("q"), "b")
		time.Sleep(quiet / 2)
		equal(left(b, v, b.queue("q")), "b", "left")
	})
	perVersion("subscribe.topic-fan-out", allVersions, func(b *broker, v version) {
		var readers []*stomp.Subscription
		for i := 0; i < 3; i++ {
			readers = append(readers, b.connect(v).subscribe(b.topic("t"), stomp.AckAuto))
		}
		c := b.connect(v)
		for _, body := range []string{"a", "b", "c"} {
			c.send(b.topic("t"), body)
		}
		for _, s := range readers {
			equal(bodies(s, 3), "a b c", "bodies")
		}
	})
	perVersion("subscribe.selector", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		s := c.subscribe(b.queue("q"), stomp.AckAuto, stomp.SubscribeOpt.Header("selector", "num > 2 AND colour = 'red'"))
		for i := 0; i < 5; i++ {
			c.send(b.queue("q"), fmt.Sprint(i), header("num", fmt.Sprint(i)), header("colour", "red"))
		}
		equal(bodies(s, 2), "3 4", "selected")
		equal(left(b, v, b.queue("q")), "0 1 2", "left")
	})
	perVersion("browser.basic", withNack, func(b *broker, v version) {
		c := b.connect(v)
		c.send(b.queue("q"), "a")
		c.send(b.queue("q"), "b")
		s := c.subscribe(b.queue("q"), stomp.AckAuto, stomp.SubscribeOpt.Header("browser", "true"))
		equal(bodies(s, 2), "a b", "bodies")
		equal(next(s).Header.Get("browser"), "end", "end marker")
		unsubscribe(s)
		equal(left(b, v, b.queue("q")), "a b", "left")
	})
	perVersion("durable.backlog", allVersions, func(b *broker, v version) {
		name := stomp.SubscribeOpt.Header("activemq.subscriptionName", b.tag)
		id := stomp.SubscribeOpt.Id("d")
		client := func() (*conn, *stomp.Subscription) {
			c := b.connect(v, stomp.ConnOpt.Header("client-id", b.tag))
			return c, c.subscribe(b.topic("t"), stomp.AckAuto, name, id)
		}
		first, _ := client()
		first.disconnect()
		sender := b.connect(v)
		sender.send(b.topic("t"), "a", header("persistent", "true"))
		sender.send(b.topic("t"), "b", header("persistent", "true"))
		second, s := client()
		equal(bodies(s, 2), "a b", "backlog")
		unsubscribe(s) // the consumer only
		sender.send(b.topic("t"), "c", header("persistent", "true"))
		second.disconnect()
		third, s := client()
		equal(bodies(s, 1), "c", "after the consumer was away")
		third.disconnect()
	})
	add("subscribe.wildcard", func(b *broker) {
		c := b.connect(stomp.V12)
		s := c.subscribe(b.topic("*.x"), stomp.AckAuto)
		c.send(b.topic("a.y"), "no")
		c.send(b.topic("a.x"), "yes")
		m := next(s)
		equal(string(m.Body), "yes", "body")
		equal(m.Destination, b.topic("a.x"), "destination")
	})
	add("send.composite", func(b *broker) {
		c := b.connect(stomp.V12)
		one := c.subscribe(b.queue("a"), stomp.AckAuto)
		two := c.subscribe(b.topic("b"), stomp.AckAuto)
		c.send(b.queue("a")+","+b.topic("b"), "x")
		equal(next(one).Destination, b.queue("a"), "first")
		equal(next(two).Destination, b.topic("b"), "second")
	})
	add("prefetch.one", func(b *broker) {
		one, two := b.connect(stomp.V12), b.connect(stomp.V12)
		limit := stomp.SubscribeOpt.Header("activemq.prefetchSize", "1")
		slow := one.subscribe(b.queue("q"), stomp.AckClientIndividual, limit)
		fast := two.subscribe(b.queue("q"), stomp.AckClientIndividual, limit)
		for i := 0; i < 6; i++ {
			one.send(b.queue("q"), fmt.Sprint(i))
		}
		next(slow)
		for i := 0; i < 5; i++ {
			must(two.Ack(next(fast)))
		}
		nothing(fast)
		nothing(slow)
	})
}
