package client

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestUnacknowledgedIsSentAgain(t *testing.T) {
	for _, number := range []int{100, 111} {
		server := newFakeServer(t)
		done := start(t.Context(), server.connect(WithResendInterval(time.Millisecond)), nil)
		first := server.next("publish")
		first.refuse(number, "internal server error", number != 100)
		second := server.next("publish")
		if first.request().CorrelationID != second.request().CorrelationID {
			t.Error("sent again under another id")
		}
		second.reply(`"ok"`)
		wantResult(t, done, "ok")
	}
}

func TestUnacknowledgedToTheEndIsOutcomeUnknown(t *testing.T) {
	server := newFakeServer(t)
	server.onPublish = func(c *command) { c.refuse(100, "internal server error", true) }
	done := start(t.Context(), server.connect(WithResendInterval(time.Millisecond)), nil)
	wantFailure(t, done, CodeOutcomeUnknown)
	if n := server.count("publish"); n != 4 {
		t.Errorf("sent %d times", n)
	}
}

// A server that is overloaded by now says nothing about the copy that it has accepted.
func TestRefusedRepeatLeavesTheFirstCopyRunning(t *testing.T) {
	server := newFakeServer(t)
	done := start(t.Context(), server.connect(WithResendInterval(time.Millisecond)), nil)
	first := server.next("publish")
	first.answer(`{}`)
	for range maxResends {
		server.next("publish").refuse(1008, "overloaded", true)
	}
	first.reply(`"ok"`)
	wantResult(t, done, "ok")
}

func TestSilentCallIsSentAgainAtMostThreeTimes(t *testing.T) {
	server := newFakeServer(t)
	ids := make(chan string, 100)
	server.onPublish = func(c *command) { ids <- c.request().CorrelationID; c.answer(`{}`) }
	done := start(t.Context(), server.connect(WithResendInterval(time.Millisecond)), nil, WithTimeout(time.Second))
	first := receive(t, "the request", ids)
	for range 3 {
		if id := receive(t, "a repeat", ids); id != first {
			t.Errorf("repeated under %q, not %q", id, first)
		}
	}
	wantFailure(t, done, CodeTimeout)
	if n := server.count("publish"); n != 4 {
		t.Errorf("sent %d times", n)
	}
}

func TestUnacknowledgedCallIsNotTakenForSilent(t *testing.T) {
	server := newFakeServer(t)
	done := start(t.Context(), server.connect(WithResendInterval(time.Millisecond)), nil, WithTimeout(300*time.Millisecond))
	wantFailure(t, done, CodeTimeout)
	if n := server.count("publish"); n != 1 {
		t.Errorf("sent %d times before it was accepted", n)
	}
}

func TestReconnectSendsAgainUnderTheSameID(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect(WithOnError(func(error) {}))
	first, second := start(t.Context(), c, 1), start(t.Context(), c, 2)
	ids := map[string]string{}
	for range 2 {
		sent := server.next("publish")
		sent.answer(`{}`)
		ids[sent.request().CorrelationID] = string(sent.request().Params)
	}
	server.socket(1).drop()
	for range 2 {
		again := server.next("publish")
		if again.peer.number != 2 || ids[again.request().CorrelationID] != string(again.request().Params) {
			t.Errorf("socket %d: %s", again.peer.number, again.Publish.Data)
		}
		again.reply(string(again.request().Params))
	}
	wantResult(t, first, 1.0)
	wantResult(t, second, 2.0)
	server.mu.Lock()
	defer server.mu.Unlock()
	if slices.Index(server.trace, "2:subscribe") > slices.Index(server.trace, "2:publish") {
		t.Errorf("sent again before the subscription: %v", server.trace)
	}
}

func TestRecoveredReplyIsNotAskedForAgain(t *testing.T) {
	server := newFakeServer(t)
	replies := make(chan string, 1)
	server.onSubscribe = func(c *command) {
		if !c.Subscribe.Recover {
			c.answer(`{"recoverable":true,"epoch":"e","offset":1}`)
			return
		}
		c.answer(fmt.Sprintf(`{"recoverable":true,"epoch":"e","offset":1,"was_recovering":true,"recovered":true,"publications":[%s]}`, <-replies))
	}
	c := server.connect(WithOnError(func(error) {}))
	done := start(t.Context(), c, nil)
	sent := server.next("publish")
	replies <- fmt.Sprintf(`{"data":{"correlation_id":%q,"result":"ok"},"offset":2}`, sent.request().CorrelationID)
	sent.peer.drop()
	wantResult(t, done, "ok")
	again := start(t.Context(), c, nil)
	server.next("publish").reply(`"ok"`)
	wantResult(t, again, "ok")
	if n := server.count("publish"); n != 2 {
		t.Errorf("%d publishes for two calls", n)
	}
}

func TestReconnectSendsAtMostThreeTimesAgain(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect(WithOnError(func(error) {}), WithTimeout(patience))
	done := start(t.Context(), c, nil)
	var last *command
	for range 4 {
		last = server.next("publish")
		last.peer.drop()
	}
	fifth := server.socket(5)
	other := start(t.Context(), c, "other") // its request comes after any repeat of the first call would
	time.AfterFunc(2*recoveryPause, func() { fifth.publish(`{"correlation_id":%q,"result":"ok"}`, last.request().CorrelationID) })
	wantResult(t, done, "ok")
	server.next("publish").reply(`"other"`)
	wantResult(t, other, "other")
	if n := server.count("publish"); n != 5 {
		t.Errorf("%d publishes, not 4 and 1", n)
	}
}

func TestResubscriptionByTheServer(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	done := start(t.Context(), c, nil)
	sent := server.next("publish")
	sent.answer(`{}`)
	sent.peer.send(`{"push":{"channel":"user#7","unsubscribe":{"code":2500,"reason":"insufficient state"}}}`)
	again := server.next("publish")
	if again.peer != sent.peer || again.request().CorrelationID != sent.request().CorrelationID {
		t.Error("not sent again on the same socket under the same id")
	}
	again.reply(`"ok"`)
	wantResult(t, done, "ok")
}
