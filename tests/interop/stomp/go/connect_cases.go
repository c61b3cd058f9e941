package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
)

func connectCases() {
	perVersion("connect.version", allVersions, func(b *broker, v version) {
		c := b.connect(v)
		equal(c.Version(), v, "version")
		check(c.Session() != "", "no session")
		check(regexp.MustCompile(`^[^/\s]+/\S+$`).MatchString(c.Server()), "server %q", c.Server())
		equal(c.headers.Get("heart-beat"), "0,0", "heart-beat")
		c.disconnect()
	})
	add("connect.all-versions", func(b *broker) {
		c := b.connect(stomp.V10, stomp.ConnOpt.AcceptVersion(stomp.V11), stomp.ConnOpt.AcceptVersion(stomp.V12))
		equal(c.Version(), stomp.V12, "version")
	})
	add("connect.stomp-command", func(b *broker) {
		c := b.connect(stomp.V12, stomp.ConnOpt.UseStomp, stomp.ConnOpt.Login("a", "b"), stomp.ConnOpt.Host("vhost"))
		c.disconnect()
	})
	add("connect.client-id", func(b *broker) {
		c := b.connect(stomp.V12, stomp.ConnOpt.Header("client-id", b.tag))
		equal(c.Session(), b.tag, "session")
		_, err := b.tryConnect(stomp.V12, stomp.ConnOpt.Header("client-id", b.tag))
		check(err != nil && strings.Contains(err.Error(), "already connected from"), "second connection: %v", err)
	})
	perVersion("heartbeat.both", withNack, func(b *broker, v version) {
		// The library drops the connection when the server's heart-beats do not come. ActiveMQ looks once per
		// interval whether it has sent anything, so up to two intervals pass without a heart-beat.
		c := b.connect(v, stomp.ConnOpt.HeartBeat(2*time.Second, 500*time.Millisecond),
			stomp.ConnOpt.HeartBeatError(time.Second))
		equal(c.headers.Get("heart-beat"), "500,2000", "heart-beat")
		s := c.subscribe(b.queue("q"), stomp.AckAuto)
		time.Sleep(3 * time.Second)
		c.send(b.queue("q"), "still here")
		equal(bodies(s, 1), "still here", "body")
		c.disconnect()
	})
	add("error.bad-selector", func(b *broker) {
		c := b.connect(stomp.V12)
		s, err := c.Subscribe(b.queue("q"), stomp.AckAuto, stomp.SubscribeOpt.Header("selector", "a = = b"))
		must(err)
		select {
		case m := <-s.C:
			check(m != nil && m.Err != nil, "no error")
			// The library takes an ERROR for the end of everything, so the rest is up to the Python suite.
		case <-time.After(wait):
			panic("no ERROR for a bad selector")
		}
	})
}
