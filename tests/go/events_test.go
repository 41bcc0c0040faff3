package client

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
)

func TestHandlersGetPushesInOrderUntilRemoved(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	got := make(chan string, 10)
	removeFirst := c.On("news", func(data json.RawMessage) { got <- "first " + string(data) })
	c.On("news", func(data json.RawMessage) { got <- "second " + string(data) })
	c.On("other", func(json.RawMessage) { got <- "other" })
	want := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if g := receive(t, w, got); g != w {
				t.Errorf("got %s, not %s", g, w)
			}
		}
	}
	p := server.socket(1)
	p.publish(`{"event":"news","data":{"n":1}}`)
	p.publish(`{"event":"news","data":2,"extra":0}`)
	p.publish(`{"event":"nobody's","data":2}`)
	p.publish(`{"event":"other","data":3}`)
	want(`first {"n":1}`, `second {"n":1}`, "first 2", "second 2", "other")
	removeFirst()
	removeFirst()
	p.publish(`{"event":"news"}`)
	want("second ")
	p.drop()
	server.socket(2)
	done := start(t.Context(), c, nil)
	sent := server.next("publish")
	sent.peer.publish(`{"event":"news","data":4}`)
	want("second 4")
	sent.reply(`1`)
	wantResult(t, done, 1.0)
}

func TestHandlerMayCallSubscribeAndDisconnect(t *testing.T) {
	server := newFakeServer(t)
	server.onPublish = func(c *command) { c.reply(`"ok"`); c.answer(`{}`) }
	c := server.connect()
	done := make(chan error, 3)
	c.On("go", func(json.RawMessage) {
		done <- c.Call(t.Context(), "tasks.get", nil, nil)
		_, err := c.Subscribe(t.Context(), "news", func(json.RawMessage) {})
		done <- err
		c.Disconnect()
		done <- nil
	})
	server.socket(1).publish(`{"event":"go"}`)
	for range 3 {
		if err := receive(t, "the handler's step", done); err != nil {
			t.Error(err)
		}
	}
}

func TestPanicsAreContained(t *testing.T) {
	server := newFakeServer(t)
	logger := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(logger) })
	reports := make(chan error, 10)
	c := server.connect(
		WithOnError(func(err error) { reports <- err; panic("the error handler") }),
		WithOnState(func(State) { panic("the state handler's bug") }),
	)
	got := make(chan string, 10)
	c.On("news", func(json.RawMessage) { panic("the event handler's bug") })
	c.On("news", func(data json.RawMessage) { got <- string(data) })
	if _, err := c.Subscribe(t.Context(), "room", func(json.RawMessage) { panic("the channel handler's bug") }); err != nil {
		t.Fatal(err)
	}
	p := server.socket(1)
	p.publish(`{"event":"news","data":1}`)
	p.send(`{"push":{"channel":"room","pub":{"data":1}}}`)
	p.publish(`{"event":"news","data":2}`)
	for _, want := range []string{"1", "2"} {
		if g := receive(t, "the push", got); g != want {
			t.Errorf("got %s, not %s", g, want)
		}
	}
	all := ""
	for range 5 { // connecting, connected, and the three events
		all += receive(t, "a report", reports).Error()
	}
	for _, bug := range []string{"the state handler's bug", "the event handler's bug", "the channel handler's bug"} {
		if !strings.Contains(all, bug) {
			t.Errorf("no report of %s", bug)
		}
	}
	done := start(t.Context(), c, nil)
	server.next("publish").reply(`"ok"`)
	wantResult(t, done, "ok")
}

func TestEventsOfASlowHandlerAreBounded(t *testing.T) {
	server := newFakeServer(t)
	reports := make(chan error, 10)
	c := server.connect(WithOnError(func(err error) { reports <- err }))
	release, running := make(chan struct{}), make(chan struct{}, 1)
	var handled atomic.Int64
	c.On("news", func(json.RawMessage) {
		select {
		case running <- struct{}{}:
		default:
		}
		<-release
		handled.Add(1)
	})
	p := server.socket(1)
	p.publish(`{"event":"news"}`)
	receive(t, "the first push", running)
	for range 40 {
		p.send("%s", strings.TrimSpace(strings.Repeat(`{"push":{"channel":"user#7","pub":{"data":{"event":"news"}}}}`+"\n", maxQueuedEvents/20)))
	}
	done := start(t.Context(), c, nil) // a handler that waits keeps no reply from its call
	server.next("publish").reply(`"ok"`)
	wantResult(t, done, "ok")
	close(release)
	if report := receive(t, "the report", reports); !strings.Contains(report.Error(), "dropped") {
		t.Errorf("reported %v", report)
	}
	eventually(t, "the end of the queue", func() bool { return handled.Load() == 1+maxQueuedEvents })
	if len(reports) != 0 {
		t.Errorf("%d more reports", len(reports))
	}
}

func TestSubscribe(t *testing.T) {
	server := newFakeServer(t)
	tokens := make(chan string, 10)
	server.onSubscribe = func(c *command) {
		tokens <- c.Subscribe.Token
		c.answer(`{}`)
	}
	c := server.connect()
	receive(t, "the reply channel", tokens)
	got := make(chan string, 10)
	unsubscribe, err := c.Subscribe(t.Context(), "data.1", func(data json.RawMessage) { got <- string(data) }, WithSubscriptionToken("jwt"))
	if err != nil || receive(t, "the token", tokens) != "jwt" {
		t.Fatal(err)
	}
	_, err = c.Subscribe(t.Context(), "data.1", func(json.RawMessage) {})
	wantError(t, err, CodeValidationError)
	server.socket(1).send(`{"push":{"channel":"data.1","pub":{"data":[1],"info":{"client":"x","user":"6"}}}}`)
	if g := receive(t, "the publication", got); g != "[1]" {
		t.Errorf("got %s", g)
	}
	unsubscribe()
	unsubscribe()
	if left := server.next("unsubscribe"); left.Unsubscribe.Channel != "data.1" {
		t.Errorf("unsubscribed %s", left.Unsubscribe.Channel)
	} else {
		left.answer(`{}`)
	}
	if _, err = c.Subscribe(t.Context(), "data.1", func(json.RawMessage) {}); err != nil {
		t.Errorf("subscribing again: %v", err)
	}
}

func TestSubscribeThatFails(t *testing.T) {
	server := newFakeServer(t)
	server.onSubscribe = func(c *command) {
		switch c.Subscribe.Channel {
		case "user#7":
			c.answer(`{}`)
		case "forbidden":
			c.refuse(103, "permission denied", false)
		case "unknown":
			c.refuse(102, "unknown channel", false)
		}
	}
	c := server.connect()
	ignore := func(json.RawMessage) {}
	for channel, code := range map[string]RPCErrorCode{"forbidden": CodeUnauthorized, "unknown": CodeConnectionError} {
		for range 2 { // a failed attempt leaves nothing behind
			_, err := c.Subscribe(t.Context(), channel, ignore)
			wantError(t, err, code)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Subscribe(ctx, "silent", ignore)
	wantError(t, err, CodeCancelled)
	_, err = c.Subscribe(t.Context(), "room", ignore, WithSubscriptionTokenSource(func(context.Context) (string, error) { panic("a bug") }))
	wantError(t, err, CodeConnectionError)
	refusing := func(context.Context) (string, error) {
		return "", &RPCError{Code: CodePermissionDenied, Message: "not yours"}
	}
	_, err = c.Subscribe(t.Context(), "room", ignore, WithSubscriptionTokenSource(refusing))
	wantError(t, err, CodePermissionDenied)
}

func TestSubscriptionEndedByTheServerIsReported(t *testing.T) {
	server := newFakeServer(t)
	reports := make(chan error, 1)
	c := server.connect(WithOnError(func(err error) { reports <- err }))
	if _, err := c.Subscribe(t.Context(), "room", func(json.RawMessage) {}); err != nil {
		t.Fatal(err)
	}
	server.socket(1).send(`{"push":{"channel":"room","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`)
	if report := receive(t, "the report", reports); !strings.Contains(report.Error(), "room") {
		t.Errorf("reported %v", report)
	}
}

// A subscription token is naturally fetched by a call, also when it has expired while the client was away.
func TestSubscriptionTokenFromACall(t *testing.T) {
	server := newFakeServer(t)
	tokens := make(chan string, 10)
	server.onSubscribe = func(c *command) {
		switch {
		case c.Subscribe.Channel == "user#7":
			c.answer(`{}`)
			return
		case c.peer.number > 1 && c.Subscribe.Token == "token 1":
			c.refuse(109, "token expired", false)
		default:
			c.answer(`{}`)
		}
		tokens <- c.Subscribe.Token
	}
	var issued atomic.Int64
	server.onPublish = func(c *command) { c.answer(`{}`); c.reply(fmt.Sprintf(`"token %d"`, issued.Add(1))) }
	c := server.connect(WithOnError(func(error) {}))
	got := make(chan string, 1)
	_, err := c.Subscribe(t.Context(), "room", func(data json.RawMessage) { got <- string(data) },
		WithSubscriptionTokenSource(func(ctx context.Context) (token string, err error) {
			err = c.Call(ctx, "rooms.token", nil, &token)
			return token, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	server.socket(1).drop()
	for _, want := range []string{"token 1", "token 1", "token 2"} {
		if token := receive(t, want, tokens); token != want {
			t.Errorf("subscribed with %s, not %s", token, want)
		}
	}
	server.socket(2).send(`{"push":{"channel":"room","pub":{"data":1}}}`)
	receive(t, "the publication", got)
}

// The server asks for new tokens everywhere: the SDK then wants the channel's before its reading can go on.
func TestSubscriptionTokenFromACallAfterInvalidation(t *testing.T) {
	server := newFakeServer(t)
	tokens := make(chan string, 10)
	server.onSubscribe = func(c *command) {
		c.answer(`{}`)
		if c.Subscribe.Channel != "user#7" {
			tokens <- c.Subscribe.Token
		}
	}
	var issued atomic.Int64
	server.onPublish = func(c *command) { c.reply(fmt.Sprintf(`"token %d"`, issued.Add(1))) }
	fresh := func(context.Context) (string, error) { return "fresh", nil }
	c := server.connect(WithOnError(func(error) {}), WithGetToken(fresh))
	_, err := c.Subscribe(t.Context(), "room", func(json.RawMessage) {}, WithSubscriptionTokenSource(
		func(ctx context.Context) (token string, err error) {
			err = c.Call(ctx, "rooms.token", nil, &token)
			return token, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	server.socket(1).close(3014, "state invalidated")
	for _, want := range []string{"token 1", "token 2"} {
		if token := receive(t, want, tokens); token != want {
			t.Errorf("subscribed with %q, not %s", token, want)
		}
	}
}

func TestRemovedHandlerGetsNoWaitingEvent(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	var calls atomic.Int64
	running, release, last := make(chan struct{}), make(chan struct{}), make(chan struct{})
	remove := c.On("news", func(json.RawMessage) {
		calls.Add(1)
		running <- struct{}{}
		<-release
	})
	c.On("last", func(json.RawMessage) { close(last) })
	p := server.socket(1)
	p.publish(`{"event":"news"}`)
	p.publish(`{"event":"news"}`)
	p.publish(`{"event":"last"}`)
	receive(t, "the first event", running)
	eventually(t, "the waiting events", func() bool {
		c.events.mu.Lock()
		defer c.events.mu.Unlock()
		return len(c.events.jobs) == 2
	})
	remove()
	close(release)
	receive(t, "the last event", last)
	if n := calls.Load(); n != 1 {
		t.Errorf("called %d times", n)
	}
}
