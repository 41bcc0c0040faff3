package client

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestConnectReturnsWhenSubscribed(t *testing.T) {
	server := newFakeServer(t)
	subscribing := make(chan *command, 1)
	server.onSubscribe = func(c *command) { subscribing <- c }
	c := NewCentrifugoRPCClient(server.address(), "token", "7")
	t.Cleanup(c.Disconnect)
	connected := make(chan error, 1)
	go func() { connected <- c.Connect(t.Context()) }()
	subscribe := receive(t, "the subscription", subscribing)
	if subscribe.Subscribe.Channel != "user#7" {
		t.Errorf("subscribed to %s", subscribe.Subscribe.Channel)
	}
	early := start(t.Context(), c, nil)
	eventually(t, "the call", func() bool { return c.waiting() == 1 })
	select {
	case err := <-connected:
		t.Fatalf("connected before it was subscribed: %v", err)
	default:
	}
	if n := server.count("publish"); n != 0 {
		t.Fatal("a call precedes the subscription")
	}
	subscribe.answer(`{}`)
	if err := receive(t, "the connection", connected); err != nil {
		t.Fatal(err)
	}
	server.next("publish").reply(`"ok"`)
	wantResult(t, early, "ok")
	if err := c.Connect(t.Context()); err != nil || server.count("connect") != 1 {
		t.Errorf("a second Connect: %v, %d connections", err, server.count("connect"))
	}
}

func TestConnectThatFails(t *testing.T) {
	closing := func(code int) func(*fakeServer) {
		return func(s *fakeServer) { s.onConnect = func(c *command) { c.peer.close(code, "go away") } }
	}
	refusing := func(code int) func(*fakeServer) {
		return func(s *fakeServer) { s.onConnect = func(c *command) { c.refuse(code, "go away", false) } }
	}
	forbidding := func(code int) func(*fakeServer) {
		return func(s *fakeServer) { s.onSubscribe = func(c *command) { c.refuse(code, "go away", false) } }
	}
	cases := map[string]struct {
		script func(*fakeServer)
		code   RPCErrorCode
	}{
		"token refused":     {closing(3500), CodeUnauthorized},
		"token expired":     {refusing(109), CodeUnauthorized}, // and there is nothing to fetch a new one with
		"connect refused":   {refusing(101), CodeUnauthorized},
		"channel refused":   {forbidding(103), CodeUnauthorized},
		"too many":          {closing(3504), CodeConnectionError},
		"bad request":       {refusing(107), CodeConnectionError},
		"channel not there": {forbidding(102), CodeConnectionError},
		"nobody listens":    {func(s *fakeServer) { s.Close() }, CodeConnectionError},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			tc.script(server)
			states := make(chan State, 10)
			c := NewCentrifugoRPCClient(server.address(), "token", "7", WithOnError(func(error) {}), WithOnState(func(s State) { states <- s }))
			wantError(t, c.Connect(t.Context()), tc.code)
			for _, want := range []State{StateConnecting, StateDisconnected} {
				if got := receive(t, "the state", states); got != want {
					t.Errorf("state %s, not %s", got, want)
				}
			}
			wantFailure(t, start(t.Context(), c, nil), CodeConnectionError)
		})
	}
}

func TestConnectToNoAddress(t *testing.T) {
	wantError(t, NewCentrifugoRPCClient("http://localhost", "", "7").Connect(t.Context()), CodeConnectionError)
}

func TestConnectEndsWithItsContext(t *testing.T) {
	server := newFakeServer(t)
	server.onConnect = func(*command) {}
	c := NewCentrifugoRPCClient(server.address(), "token", "7")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if failure := wantError(t, c.Connect(ctx), CodeConnectionError); !errors.Is(failure, context.DeadlineExceeded) {
		t.Errorf("%v does not unwrap to the context's error", failure)
	}
	wantFailure(t, start(t.Context(), c, nil), CodeConnectionError)
}

func TestCallWaitsForTheReconnect(t *testing.T) {
	server := newFakeServer(t)
	states := make(chan State, 20)
	c := server.connect(WithOnError(func(error) {}), WithOnState(func(s State) { states <- s }))
	for _, want := range []State{StateConnecting, StateConnected} {
		if got := receive(t, "the state", states); got != want {
			t.Fatalf("state %s, not %s", got, want)
		}
	}
	server.socket(1).drop()
	if got := receive(t, "the state", states); got != StateConnecting {
		t.Fatalf("state %s after the drop", got)
	}
	short := start(t.Context(), c, nil, WithTimeout(time.Millisecond))
	wantFailure(t, short, CodeTimeout)
	done := start(t.Context(), c, nil)
	server.next("publish").reply(`"ok"`)
	wantResult(t, done, "ok")
	c.Disconnect()
	for _, want := range []State{StateConnected, StateDisconnected} {
		if got := receive(t, "the state", states); got != want {
			t.Fatalf("state %s, not %s", got, want)
		}
	}
}

// The end of a connection: what was sent has an unknown outcome, what was not has failed.
func TestEndOfTheConnection(t *testing.T) {
	ends := map[string]func(*CentrifugoRPCClient, *peer){
		"by the application":  func(c *CentrifugoRPCClient, _ *peer) { c.Disconnect() },
		"by the server":       func(_ *CentrifugoRPCClient, p *peer) { p.close(3503, "force disconnect") },
		"by the server, 4500": func(_ *CentrifugoRPCClient, p *peer) { p.close(4500, "enough") },
		"by a push": func(_ *CentrifugoRPCClient, p *peer) {
			p.send(`{"push":{"disconnect":{"code":3504,"reason":"connection limit"}}}`)
		},
		"by the loss of the reply channel": func(_ *CentrifugoRPCClient, p *peer) {
			p.send(`{"push":{"channel":"user#7","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			states := make(chan State, 10)
			c := server.connect(WithOnState(func(s State) { states <- s }))
			sent := start(t.Context(), c, nil)
			end(c, server.next("publish").peer)
			if failure := wantFailure(t, sent, CodeOutcomeUnknown); failure.Retryable {
				t.Error("an unknown outcome is retryable")
			}
			for _, want := range []State{StateConnecting, StateConnected, StateDisconnected} {
				if got := receive(t, "the state", states); got != want {
					t.Errorf("state %s, not %s", got, want)
				}
			}
			wantFailure(t, start(t.Context(), c, nil), CodeConnectionError)
			if _, err := c.Subscribe(t.Context(), "news", nil); err != nil {
				wantError(t, err, CodeConnectionError)
			} else {
				t.Error("subscribed while disconnected")
			}
			if err := c.Connect(t.Context()); err != nil {
				t.Fatalf("Connect again: %v", err)
			}
			again := start(t.Context(), c, nil)
			server.next("publish").reply(`"ok"`)
			wantResult(t, again, "ok")
		})
	}
}

func TestCallsThatWereNeverSent(t *testing.T) {
	ends := map[string]func(*CentrifugoRPCClient, *command){
		"by the application": func(c *CentrifugoRPCClient, _ *command) { c.Disconnect() },
		"by the server":      func(_ *CentrifugoRPCClient, connect *command) { connect.peer.close(3500, "invalid token") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			connects := make(chan *command, 1)
			welcome := server.onConnect
			server.onConnect = func(c *command) {
				if c.peer.number == 1 {
					welcome(c)
				} else {
					connects <- c
				}
			}
			c := server.connect(WithOnError(func(error) {}))
			sent := start(t.Context(), c, nil)
			server.next("publish").peer.drop()
			connect := receive(t, "the reconnect", connects)
			unsent := []<-chan outcome{start(t.Context(), c, nil), start(t.Context(), c, nil, WithTransport(TransportRPC))}
			eventually(t, "the calls", func() bool { return c.waiting() == 3 })
			end(c, connect)
			for _, done := range unsent {
				if !wantFailure(t, done, CodeConnectionError).Retryable {
					t.Error("what was never sent is not retryable")
				}
			}
			wantFailure(t, sent, CodeOutcomeUnknown)
		})
	}
}

func TestTheConstructorsTokenComesFirst(t *testing.T) {
	server := newFakeServer(t)
	tokens := make(chan string, 10)
	server.onConnect = func(c *command) {
		tokens <- c.Connect.Token
		if c.Connect.Token == "fresh" {
			c.answer(`{"client":"c","expires":true,"ttl":1}`)
		} else {
			c.refuse(109, "token expired", false)
		}
	}
	fetched := make(chan string, 2)
	fetched <- "fresh"
	fetched <- "fresher"
	server.connect(WithOnError(func(error) {}), WithGetToken(func(context.Context) (string, error) { return <-fetched, nil }))
	for _, want := range []string{"token", "fresh"} {
		if got := receive(t, "the token", tokens); got != want {
			t.Errorf("connected with %s, not %s", got, want)
		}
	}
	refresh := server.next("refresh")
	if refresh.Refresh.Token != "fresher" {
		t.Errorf("refreshed with %s", refresh.Refresh.Token)
	}
	refresh.answer(`{"expires":false}`)
}

func TestTokenSourceThatFails(t *testing.T) {
	sources := map[string]struct {
		source func(context.Context) (string, error)
		code   RPCErrorCode
		text   string
	}{
		"error": {func(context.Context) (string, error) { return "", errors.New("no network") }, CodeConnectionError, "no network"},
		"panic": {func(context.Context) (string, error) { panic("a bug") }, CodeConnectionError, "a bug"},
		"final": {func(context.Context) (string, error) { return "", &RPCError{Code: CodeUnauthorized} }, CodeUnauthorized, "unauthorized"},
	}
	for name, tc := range sources {
		t.Run(name, func(t *testing.T) {
			c := NewCentrifugoRPCClient(newFakeServer(t).address(), "", "7", WithOnError(func(error) {}), WithGetToken(tc.source))
			if failure := wantError(t, c.Connect(t.Context()), tc.code); !strings.Contains(failure.Error(), tc.text) {
				t.Errorf("%v does not say why", failure)
			}
		})
	}
}

// goroutines maps ids to stacks; ids, because goroutines of earlier tests may still be ending.
func goroutines() map[string]string {
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	found := map[string]string{}
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		found[strings.Fields(stack)[1]] = stack
	}
	return found
}

func TestNoGoroutineIsLeft(t *testing.T) {
	ends := map[string]func(*fakeServer, *CentrifugoRPCClient, context.CancelFunc){
		"by the application": func(_ *fakeServer, c *CentrifugoRPCClient, _ context.CancelFunc) {},
		"by the server": func(s *fakeServer, c *CentrifugoRPCClient, _ context.CancelFunc) {
			s.socket(1).close(3503, "enough")
			eventually(s.t, "the end of the connection", func() bool { _, err := c.current(); return err != nil })
		},
		"of the calls first": func(s *fakeServer, c *CentrifugoRPCClient, cancel context.CancelFunc) {
			cancel()
			eventually(s.t, "the end of the calls", func() bool { return c.waiting() == 0 })
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			before := goroutines()
			server := newFakeServer(t)
			c := server.connect()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var calls []<-chan outcome
			for i := range 200 {
				calls = append(calls, start(ctx, c, i, WithTransport([]Transport{TransportPublish, TransportRPC}[i%2])))
			}
			for i := range 200 {
				if sent := receive(t, "the request", server.inbox); sent.Publish != nil && i%3 == 0 {
					sent.answer(`{}`)
					sent.reply(`1`)
				}
			}
			end(server, c, cancel)
			c.Disconnect()
			c.Disconnect()
			for _, done := range calls {
				receive(t, "the end of the call", done)
			}
			server.stop()
			var left string
			defer func() {
				if t.Failed() {
					t.Log(left)
				}
			}()
			eventually(t, "the end of all goroutines", func() bool {
				left = ""
				for id, stack := range goroutines() {
					// The SDK's own wait for a command that it has sent in the instant of the end: it lasts one ReadTimeout.
					waiting := strings.Contains(stack, "[select]") && strings.Contains(stack, "sendAsync")
					if _, old := before[id]; !old && !waiting {
						left += stack + "\n\n"
					}
				}
				return left == ""
			})
		})
	}
}

func TestFailedReconnectIsReported(t *testing.T) {
	server := newFakeServer(t)
	reports := make(chan error, 100)
	server.connect(WithOnError(func(err error) { reports <- err }))
	_ = server.Listener.Close()
	server.socket(1).drop()
	if report := receive(t, "the report", reports); !strings.Contains(report.Error(), "refused") {
		t.Errorf("reported %v", report)
	}
}

func TestNoSocketIsLeft(t *testing.T) {
	server := newFakeServer(t)
	gone := make(chan error, 1)
	c := server.connect()
	p := server.socket(1)
	go func() {
		for {
			_, err := p.ws.UnderlyingConn().Write(nil)
			if errors.Is(err, net.ErrClosed) {
				gone <- err
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	c.Disconnect()
	receive(t, "the end of the socket", gone)
}
