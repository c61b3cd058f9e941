package main

import (
	"bytes"
	"strings"

	"github.com/go-stomp/stomp/v3"
)

func messageCases() {
	perVersion("message.text", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		s := c.subscribe(b.queue("q"), stomp.AckAuto)
		c.send(b.queue("q"), "grüße €\n2")
		m := next(s)
		equal(string(m.Body), "grüße €\n2", "body")
		equal(m.Destination, b.queue("q"), "destination")
		_, has := m.Header.Contains("content-length")
		check(!has, "content-length on a text message")
	})
	perVersion("message.bytes", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		s := c.subscribe(b.queue("q"), stomp.AckAuto)
		body := bytes.Repeat([]byte{0, 1, 10, 13, 255, 0}, 1000)
		must(c.Send(b.queue("q"), "application/x-thing", body, stomp.SendOpt.Receipt))
		m := next(s)
		check(bytes.Equal(m.Body, body), "body differs")
		equal(m.ContentType, "application/x-thing", "content-type")
		equal(m.Header.Get("content-length"), "6000", "content-length")
	})
	perVersion("message.escapes", withNack, func(b *broker, v version) {
		c := b.connect(v)
		s := c.subscribe(b.queue("q"), stomp.AckAuto)
		c.send(b.queue("q"), "x", header("odd", "a:b\\c\nd"))
		equal(next(s).Header.Get("odd"), "a:b\\c\nd", "header")
	})
	add("message.jms-headers", func(b *broker) {
		c := b.connect(stomp.V12)
		s := c.subscribe(b.queue("q"), stomp.AckAuto)
		want := map[string]string{"priority": "7", "expires": "32503680000000", "type": "order",
			"correlation-id": "c:1", "reply-to": "/queue/answers", "persistent": "true", "custom": "v"}
		var options []option
		for name, value := range want {
			options = append(options, header(name, value))
		}
		c.send(b.queue("q"), "x", options...)
		m := next(s)
		for name, value := range want {
			equal(m.Header.Get(name), value, name)
		}
	})
	perVersion("ack.client-cumulative", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		for _, body := range []string{"a", "b", "c", "d"} {
			c.send(b.queue("q"), body)
		}
		s := c.subscribe(b.queue("q"), stomp.AckClient)
		next(s)
		m := next(s)
		must(c.Ack(m))
		c.disconnect()
		equal(left(b, v, b.queue("q")), "c d", "left")
	})
	perVersion("ack.client-individual", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		for _, body := range []string{"a", "b", "c", "d"} {
			c.send(b.queue("q"), body, header("persistent", "true"))
		}
		s := c.subscribe(b.queue("q"), stomp.AckClientIndividual)
		next(s)
		must(c.Ack(next(s)))
		next(s)
		must(c.Ack(next(s)))
		c.disconnect()
		equal(left(b, v, b.queue("q")), "a c", "left")
	})
	perVersion("ack.redelivered", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		c.send(b.queue("q"), "a")
		s := c.subscribe(b.queue("q"), stomp.AckClientIndividual)
		equal(next(s).Header.Get("redelivered"), "", "redelivered at first")
		c.kill()
		again := b.connect(v)
		m := next(again.subscribe(b.queue("q"), stomp.AckAuto))
		equal(m.Header.Get("redelivered"), "true", "redelivered")
	})
	perVersion("nack.dead-letter", withNack, func(b *broker, v version) {
		c := b.connect(v)
		c.send(b.queue("q"), "bad", header("persistent", "true"), header("tag", b.tag))
		s := c.subscribe(b.queue("q"), stomp.AckClientIndividual)
		must(c.Nack(next(s)))
		watcher := b.connect(v)
		dead := watcher.subscribe("/queue/ActiveMQ.DLQ", stomp.AckAuto,
			stomp.SubscribeOpt.Header("selector", "tag = '"+b.tag+"'"))
		m := next(dead)
		equal(string(m.Body), "bad", "body")
		equal(m.Header.Get("original-destination"), b.queue("q"), "original-destination")
		c.disconnect()
		equal(left(b, v, b.queue("q")), "", "left")
	})
	perVersion("transaction.send", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		s := c.subscribe(b.queue("q"), stomp.AckAuto)
		lost := c.Begin()
		must(lost.Send(b.queue("q"), "", []byte("lost")))
		must(lost.AbortWithReceipt())
		kept := c.Begin()
		must(kept.Send(b.queue("q"), "", []byte("a")))
		must(kept.Send(b.queue("q"), "", []byte("b")))
		c.sync()
		nothing(s)
		must(kept.CommitWithReceipt())
		equal(bodies(s, 2), "a b", "committed")
	})
	perVersion("transaction.ack", allVersions, func(b *broker, v version) {
		for _, commit := range []bool{true, false} {
			queue := b.queue(map[bool]string{true: "commit", false: "abort"}[commit])
			c := b.connect(v)
			c.send(queue, "a")
			c.send(queue, "b")
			s := c.subscribe(queue, stomp.AckClientIndividual)
			m := next(s)
			next(s)
			tx := c.Begin()
			must(tx.Ack(m))
			want := "b"
			if commit {
				must(tx.CommitWithReceipt())
			} else {
				must(tx.AbortWithReceipt())
				want = "a b"
			}
			c.disconnect()
			equal(left(b, v, queue), want, "left")
		}
	})
	perVersion("temp.request-reply", allVersions, func(b *broker, v version) {
		asker, answerer := b.connect(v), b.connect(v)
		questions := answerer.subscribe(b.queue("q"), stomp.AckAuto)
		answers := asker.subscribe("/temp-queue/mine", stomp.AckAuto)
		asker.send(b.queue("q"), "question", header("reply-to", "/temp-queue/mine"))
		address := next(questions).Header.Get("reply-to")
		check(strings.HasPrefix(address, "/remote-temp-queue/ID:"), "reply-to %q", address)
		answerer.send(address, "answer")
		m := next(answers)
		equal(string(m.Body), "answer", "body")
		equal(m.Destination, "/temp-queue/mine", "destination")
	})
}
