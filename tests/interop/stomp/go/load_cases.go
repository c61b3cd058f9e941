package main

import (
	"fmt"
	"time"

	"github.com/go-stomp/stomp/v3"
)

func loadCases() {
	for _, persistent := range []string{"false", "true"} {
		persistent := persistent
		add("load.ten-by-ten.persistent-"+persistent, func(b *broker) { tenByTen(b, persistent) })
	}
}

// Nothing is lost and nothing comes twice.
func tenByTen(b *broker, persistent string) {
	const each = 300
	got := make(chan string, 20*each)
	for i := 0; i < 10; i++ {
		c := b.connect(stomp.V12)
		s := c.subscribe(b.queue("q"), stomp.AckClientIndividual, stomp.SubscribeOpt.Header("activemq.prefetchSize", "20"))
		go func() {
			for m := range s.C {
				if m.Err != nil || c.Ack(m) != nil {
					return
				}
				got <- string(m.Body)
			}
		}()
	}
	failed := make(chan error, 10)
	for i := 0; i < 10; i++ {
		c, producer := b.connect(stomp.V12), i
		go func() {
			for n := 0; n < each; n++ {
				options := []option{stomp.SendOpt.NoContentLength, header("persistent", persistent)}
				if n%50 == 49 {
					options = append(options, stomp.SendOpt.Receipt)
				}
				if err := c.Send(b.queue("q"), "", []byte(fmt.Sprintf("%d-%d", producer, n)), options...); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	seen := map[string]bool{}
	end := time.After(wait)
	for len(seen) < 10*each {
		select {
		case body := <-got:
			check(!seen[body], "%s came twice", body)
			seen[body] = true
		case err := <-failed:
			must(err)
		case <-end:
			panic(fmt.Sprintf("only %d of %d messages arrived", len(seen), 10*each))
		}
	}
	select {
	case body := <-got:
		panic(body + " came after all had arrived")
	case <-time.After(quiet):
	}
}
