// The STOMP cases again with a second client library: go run . [--only PREFIX] [--skip PREFIX]... HOST PORT.
//
// One line per case, `PASS name` or `FAIL name: why`, and `N passed, M failed` at the end. The cases state what
// ActiveMQ Classic 6.3.1 does. What a library cannot say is tested by the Python suite over a bare socket.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// limit is how long a case may take. The library waits for ever in some places after an ERROR.
const limit = 60 * time.Second

type testCase struct {
	name string
	run  func(*broker)
}

var cases []testCase

func add(name string, run func(*broker)) { cases = append(cases, testCase{name, run}) }

// perVersion registers a case once per protocol version, as name.VERSION.
func perVersion(name string, versions []version, run func(*broker, version)) {
	for _, v := range versions {
		v := v
		add(fmt.Sprintf("%s.%s", name, v), func(b *broker) { run(b, v) })
	}
}

func main() {
	var skip []string
	only := flag.String("only", "", "run only the cases whose name starts with this `prefix`")
	flag.Func("skip", "leave out the cases whose name starts with this `prefix`; may be given more than once",
		func(prefix string) error { skip = append(skip, prefix); return nil })
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . [--only PREFIX] [--skip PREFIX]... HOST PORT")
		os.Exit(2)
	}
	address := net.JoinHostPort(flag.Arg(0), flag.Arg(1))
	connectCases()
	messageCases()
	subscribeCases()
	loadCases()
	passed, failed := 0, 0
	for _, c := range cases {
		if !wanted(c.name, *only, skip) {
			continue
		}
		if why := run(c, address); why == "" {
			passed++
			fmt.Printf("PASS go.%s\n", c.name)
		} else {
			failed++
			fmt.Printf("FAIL go.%s: %s\n", c.name, strings.Join(strings.Fields(why), " "))
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

// wanted matches prefixes with the name as it is printed and, so that both suites take the same --skip, without "go.".
func wanted(name, only string, skip []string) bool {
	for _, prefix := range skip {
		if strings.HasPrefix("go."+name, prefix) || strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return strings.HasPrefix("go."+name, only)
}

func run(c testCase, address string) string {
	b := newBroker(address, c.name)
	defer b.close()
	done := make(chan string, 1)
	go func() {
		defer func() {
			why := ""
			if r := recover(); r != nil {
				why = fmt.Sprint(r)
			}
			done <- why
		}()
		c.run(b)
	}()
	select {
	case why := <-done:
		return why
	case <-time.After(limit):
		return fmt.Sprintf("not done within %s", limit)
	}
}
