package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

type version = stomp.Version

const (
	wait  = 30 * time.Second       // how long a thing that must happen may take
	quiet = 600 * time.Millisecond // how long nothing may happen before it counts as "does not happen"
)

var (
	allVersions = []version{stomp.V10, stomp.V11, stomp.V12}
	withNack    = []version{stomp.V11, stomp.V12}
)

// broker gives a case names nobody else uses and connections that are closed when it ends.
type broker struct {
	address, name, tag string
	mutex              sync.Mutex
	sockets            []net.Conn
}

// conn is a connection with waits of bounded length; a failure panics and ends the case.
type conn struct {
	*stomp.Conn
	b       *broker
	socket  net.Conn
	headers *frame.Header
}

type option = func(*frame.Frame) error

func newBroker(address, name string) *broker {
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		panic(err)
	}
	return &broker{address: address, name: strings.ReplaceAll(name, ".", "-"), tag: "g" + hex.EncodeToString(random)}
}

func (b *broker) queue(suffix string) string {
	return "/queue/stomp.go." + b.name + "." + b.tag + "." + suffix
}
func (b *broker) topic(suffix string) string {
	return "/topic/stomp.go." + b.name + "." + b.tag + "." + suffix
}

func (b *broker) connect(v version, options ...func(*stomp.Conn) error) *conn {
	c, err := b.tryConnect(v, options...)
	must(err)
	return c
}

func (b *broker) tryConnect(v version, options ...func(*stomp.Conn) error) (*conn, error) {
	socket, err := net.DialTimeout("tcp", b.address, wait)
	if err != nil {
		return nil, err
	}
	b.mutex.Lock()
	b.sockets = append(b.sockets, socket)
	b.mutex.Unlock()
	c := &conn{b: b, socket: socket}
	all := append([]func(*stomp.Conn) error{
		stomp.ConnOpt.AcceptVersion(v), stomp.ConnOpt.HeartBeat(0, 0), stomp.ConnOpt.Logger(silent{}),
		stomp.ConnOpt.RcvReceiptTimeout(wait), stomp.ConnOpt.DisconnectReceiptTimeout(wait),
		stomp.ConnOpt.UnsubscribeReceiptTimeout(wait),
		stomp.ConnOpt.ResponseHeaders(func(h *frame.Header) { c.headers = h }),
	}, options...)
	done := make(chan error, 1)
	go func() {
		var err error
		c.Conn, err = stomp.Connect(socket, all...)
		done <- err
	}()
	select {
	case err := <-done:
		return c, err
	case <-time.After(wait):
		socket.Close()
		return nil, fmt.Errorf("no CONNECTED within %s", wait)
	}
}

func (b *broker) close() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, socket := range b.sockets {
		socket.Close()
	}
}

// send waits for the receipt. Without content-length: a text message.
func (c *conn) send(destination, body string, options ...option) {
	must(c.Send(destination, "", []byte(body), append(options, stomp.SendOpt.NoContentLength, stomp.SendOpt.Receipt)...))
}

// sync returns when the broker has worked through all this connection has sent.
func (c *conn) sync() { c.send(c.b.topic("sync"), "") }

func (c *conn) subscribe(destination string, mode stomp.AckMode, options ...option) *stomp.Subscription {
	s, err := c.Subscribe(destination, mode, options...)
	must(err)
	c.sync()
	return s
}

func (c *conn) disconnect() { must(c.Disconnect()) }
func (c *conn) kill()       { c.socket.Close() }

func next(s *stomp.Subscription) *stomp.Message {
	select {
	case m, ok := <-s.C:
		if !ok {
			panic("the subscription was closed")
		}
		if m.Err != nil {
			panic(m.Err.Error())
		}
		return m
	case <-time.After(wait):
		panic(fmt.Sprintf("no message within %s", wait))
	}
}

// unsubscribe waits until the library has closed the channel, which it does on the RECEIPT. Its own wait can
// miss that moment, and then panics after a timeout with the channel already closed.
func unsubscribe(s *stomp.Subscription) {
	go func() {
		defer func() { _ = recover() }()
		_ = s.Unsubscribe()
	}()
	deadline := time.After(wait)
	for {
		select {
		case m, ok := <-s.C:
			if !ok {
				return
			}
			if m.Err != nil {
				panic("UNSUBSCRIBE: " + m.Err.Error())
			}
		case <-deadline:
			panic(fmt.Sprintf("no receipt of UNSUBSCRIBE within %s", wait))
		}
	}
}

func bodies(s *stomp.Subscription, count int) string {
	var got []string
	for i := 0; i < count; i++ {
		got = append(got, string(next(s).Body))
	}
	return strings.Join(got, " ")
}

func nothing(s *stomp.Subscription) {
	select {
	case m := <-s.C:
		if m == nil || m.Err != nil {
			panic("the subscription ended")
		}
		panic(fmt.Sprintf("unexpected message %q", m.Body))
	case <-time.After(quiet):
	}
}

// left is what a fresh automatic consumer of a queue still gets.
func left(b *broker, v version, queue string) string {
	c := b.connect(v)
	defer c.disconnect()
	s := c.subscribe(queue, stomp.AckAuto)
	var got []string
	for {
		select {
		case m := <-s.C:
			if m.Err != nil {
				panic(m.Err.Error())
			}
			got = append(got, string(m.Body))
		case <-time.After(quiet):
			return strings.Join(got, " ")
		}
	}
}

func header(name, value string) option { return stomp.SendOpt.Header(name, value) }

func must(err error) {
	if err != nil {
		panic(err.Error())
	}
}

func check(fact bool, why string, values ...any) {
	if !fact {
		panic(fmt.Sprintf(why, values...))
	}
}

func equal[T comparable](got, want T, what string) {
	check(got == want, "%s: want %v, got %v", what, want, got)
}

type silent struct{}

func (silent) Debugf(string, ...interface{})   {}
func (silent) Infof(string, ...interface{})    {}
func (silent) Warningf(string, ...interface{}) {}
func (silent) Errorf(string, ...interface{})   {}
func (silent) Debug(string)                    {}
func (silent) Info(string)                     {}
func (silent) Warning(string)                  {}
func (silent) Error(string)                    {}
