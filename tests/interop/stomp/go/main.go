// The STOMP cases again with a second client library: go run . HOST PORT [PREFIX].
//
// One line per case, `PASS name` or `FAIL name: why`, and `N passed, M failed` at the end. The cases state what
// ActiveMQ Classic 6.3.1 does. What a library cannot say is tested by the Python suite over a bare socket.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"
)

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
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: go run . HOST PORT [PREFIX]")
		os.Exit(2)
	}
	prefix := ""
	if len(os.Args) == 4 {
		prefix = os.Args[3]
	}
	connectCases()
	messageCases()
	subscribeCases()
	loadCases()
	passed, failed := 0, 0
	for _, c := range cases {
		if !strings.HasPrefix("go."+c.name, prefix) {
			continue
		}
		if why := run(c, net.JoinHostPort(os.Args[1], os.Args[2])); why == "" {
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

func run(c testCase, address string) (why string) {
	b := newBroker(address, c.name)
	defer b.close()
	defer func() {
		if r := recover(); r != nil {
			why = fmt.Sprint(r)
		}
	}()
	c.run(b)
	return ""
}
