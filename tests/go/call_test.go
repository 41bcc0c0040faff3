package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

func wantResult(t *testing.T, done <-chan outcome, want any) {
	t.Helper()
	if got := receive(t, "the result", done); got.err != nil || got.result != want {
		t.Fatalf("got %v, %v; want %v", got.result, got.err, want)
	}
}

func wantError(t *testing.T, err error, code RPCErrorCode) *RPCError {
	t.Helper()
	var failure *RPCError
	if !errors.As(err, &failure) || failure.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return failure
}

func wantFailure(t *testing.T, done <-chan outcome, code RPCErrorCode) *RPCError {
	t.Helper()
	return wantError(t, receive(t, "the failure", done).err, code)
}

func (c *CentrifugoRPCClient) waiting() int {
	s, err := c.current()
	if err != nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

func TestRequestOnTheWire(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	done := start(t.Context(), c, map[string]any{"limit": 10}, WithTimeout(time.Minute))
	sent := server.next("publish")
	request := sent.request()
	if sent.Publish.Channel != "rpc.requests" || request.Method != "tasks.get" || string(request.Params) != `{"limit":10}` {
		t.Errorf("published %s on %s", sent.Publish.Data, sent.Publish.Channel)
	}
	if request.ReplyTo != "user#7" || request.TimeoutMs <= 30_000 || request.TimeoutMs > 60_000 {
		t.Errorf("reply_to %q, timeout_ms %d", request.ReplyTo, request.TimeoutMs)
	}
	sent.answer(`{}`)
	sent.reply(`"ok"`)
	wantResult(t, done, "ok")

	again := start(t.Context(), c, nil)
	second := server.next("publish").request()
	if len(second.CorrelationID) < 22 || second.CorrelationID == request.CorrelationID {
		t.Errorf("correlation ids %q and %q", request.CorrelationID, second.CorrelationID)
	}
	if second.TimeoutMs > 30_000 {
		t.Errorf("the default timeout is %d ms", second.TimeoutMs)
	}
	c.Disconnect()
	wantFailure(t, again, CodeOutcomeUnknown)
}

func TestTimeoutOfTheContextOutlastsTheDefault(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	done := start(ctx, c, nil)
	sent := server.next("publish")
	if ms := sent.request().TimeoutMs; ms <= 30_000 {
		t.Errorf("timeout_ms is %d under a context of 90 s", ms)
	}
	sent.reply(`1`)
	wantResult(t, done, 1.0)
}

func TestReplyAndAcknowledgementInEitherOrder(t *testing.T) {
	steps := map[string]func(*command){
		"acknowledgement first": func(c *command) { c.answer(`{}`); c.reply(`"ok"`) },
		"reply first":           func(c *command) { c.reply(`"ok"`); c.answer(`{}`) },
		"no acknowledgement":    func(c *command) { c.reply(`"ok"`) },
	}
	for name, answer := range steps {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			done := start(t.Context(), server.connect(), nil)
			answer(server.next("publish"))
			wantResult(t, done, "ok")
		})
	}
}

func TestReplyInTheFrameOfTheAcknowledgement(t *testing.T) {
	server := newFakeServer(t)
	done := start(t.Context(), server.connect(), nil)
	sent := server.next("publish")
	sent.peer.send("%s\n%s", fmt.Sprintf(`{"push":{"channel":"user#7","pub":{"data":{"correlation_id":%q,"result":"ok"}}}}`,
		sent.request().CorrelationID), fmt.Sprintf(`{"id":%d,"publish":{}}`, sent.ID))
	wantResult(t, done, "ok")
}

func TestLateAcknowledgementMeansNothing(t *testing.T) {
	for _, lost := range []error{centrifuge.ErrTimeout, centrifuge.ErrClientDisconnected, context.DeadlineExceeded} {
		s, _ := newFakeServer(t).connect(WithResendInterval(time.Millisecond)).current()
		p := &pendingCall{id: "x", reply: make(chan reply, 1), acks: make(chan error)}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		var sends atomic.Int64
		_, err := s.await(ctx, p, maxResends, func() {
			sends.Add(1)
			p.acks <- lost
		})
		wantError(t, err, CodeTimeout)
		if n := sends.Load(); n != 1 {
			t.Errorf("%v: sent %d times", lost, n)
		}
	}
}

func TestFirstReplyCountsAndPrecedesEveryEnd(t *testing.T) {
	c := newFakeServer(t).connect()
	s, _ := c.current()
	c.Disconnect()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // whichever end is noticed first
		p := &pendingCall{reply: make(chan reply, 1)}
		p.resolve(reply{result: []byte("1")})
		p.resolve(reply{result: []byte("2")})
		if got, err := s.await(ctx, p, maxResends, func() {}); string(got) != "1" || err != nil {
			t.Fatalf("got %s, %v", got, err)
		}
	}
}

func TestRefusedRequest(t *testing.T) {
	cases := map[int]RPCErrorCode{
		1001: CodeTimeout, 1002: CodeMethodNotFound, 1008: CodeServiceUnavailable, 1018: CodeContractMismatch,
		101: CodePermissionDenied, 103: CodePermissionDenied, 104: CodeMethodNotFound, 106: CodeRateLimitExceeded,
		107: CodeValidationError, 108: CodeServiceUnavailable, 109: CodeUnauthorized, 110: CodeUnauthorized,
		102: CodeInternalError, 1019: CodeInternalError, 1999: CodeInternalError,
	}
	server := newFakeServer(t)
	c := server.connect()
	for _, transport := range []Transport{TransportPublish, TransportRPC} {
		for number, code := range cases {
			done := start(t.Context(), c, nil, WithTransport(transport))
			receive(t, "the request", server.inbox).refuse(number, "no such luck", false)
			failure := wantFailure(t, done, code)
			if !strings.Contains(failure.Error(), "no such luck") || number > 1000 && failure.Retryable && number < 1019 {
				t.Errorf("%d over %s became %+v", number, transport, failure)
			}
		}
	}
	if n := server.count("publish"); n != len(cases) {
		t.Errorf("%d publishes for %d calls", n, len(cases))
	}
}

func TestTemporaryIsRetryable(t *testing.T) {
	server := newFakeServer(t)
	done := start(t.Context(), server.connect(), nil)
	server.next("publish").refuse(1008, "draining", true)
	if !wantFailure(t, done, CodeServiceUnavailable).Retryable {
		t.Error("a temporary error is not retryable")
	}
}

func TestDeadline(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	WithTimeout(time.Millisecond).applyClient(c) // not before Connect, which it limits too
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for name, done := range map[string]<-chan outcome{
		"constructor": start(t.Context(), c, nil),
		"call":        start(t.Context(), c, nil, WithTimeout(2*time.Millisecond)),
		"context":     start(short, c, nil, WithTimeout(time.Hour)),
		"rpc":         start(t.Context(), c, nil, WithTransport(TransportRPC)),
	} {
		failure := wantFailure(t, done, CodeTimeout)
		if !errors.Is(failure, context.DeadlineExceeded) || !failure.Retryable {
			t.Errorf("%s: %+v", name, failure)
		}
	}
	if n := c.waiting(); n != 0 {
		t.Errorf("%d calls still wait", n)
	}
}

func TestCancelledCall(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	ctx, cancel := context.WithCancel(t.Context())
	done := start(ctx, c, nil)
	sent := server.next("publish")
	cancel()
	failure := wantFailure(t, done, CodeCancelled)
	if !errors.Is(failure, context.Canceled) || failure.Retryable || c.waiting() != 0 {
		t.Errorf("%+v, %d calls wait", failure, c.waiting())
	}
	sent.answer(`{}`)
	sent.reply(`"late"`)
	again := start(t.Context(), c, nil)
	server.next("publish").reply(`"ok"`)
	wantResult(t, again, "ok")
}

func TestOversizedRequestIsNotSent(t *testing.T) {
	server := newFakeServer(t)
	server.onPublish = func(c *command) { c.reply(`"ok"`) }
	for _, transport := range []Transport{TransportPublish, TransportRPC} {
		c := server.connect(WithMaxRequestBytes(500), WithTransport(transport))
		failure := wantFailure(t, start(t.Context(), c, strings.Repeat("x", 500)), CodeValidationError)
		size := map[Transport]string{TransportPublish: "6", TransportRPC: "502"}[transport]
		if !strings.Contains(failure.Message, "500") || !strings.Contains(failure.Message, size) {
			t.Errorf("%s: %q names not both sizes", transport, failure.Message)
		}
		c.Disconnect()
	}
	c := server.connect()
	wantFailure(t, start(t.Context(), c, strings.Repeat("x", 262144)), CodeValidationError)
	wantResult(t, start(t.Context(), c, strings.Repeat("x", 260_000)), "ok")
	if n := server.count("publish") + server.count("rpc"); n != 1 {
		t.Errorf("%d requests sent", n)
	}
}

func TestPendingCap(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect(WithMaxPendingCalls(2))
	first, second := start(t.Context(), c, nil), start(t.Context(), c, nil)
	a, b := server.next("publish"), server.next("publish")
	wantFailure(t, start(t.Context(), c, nil), CodeServiceUnavailable)
	wantFailure(t, start(t.Context(), c, nil, WithTransport(TransportRPC)), CodeServiceUnavailable)
	a.reply(`1`)
	b.reply(`1`)
	wantResult(t, first, 1.0)
	wantResult(t, second, 1.0)
	third := start(t.Context(), c, nil)
	server.next("publish").reply(`3`)
	wantResult(t, third, 3.0)
}

func TestTwoHundredConcurrentCalls(t *testing.T) {
	server := newFakeServer(t)
	var mu sync.Mutex
	var held []*command
	server.onPublish = func(c *command) {
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, c); len(held) < 200 {
			return
		}
		rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for i, h := range held {
			if i%2 == 0 {
				h.answer(`{}`)
			}
			h.reply(string(h.request().Params))
		}
	}
	c := server.connect()
	var calls [200]<-chan outcome
	for i := range calls {
		calls[i] = start(t.Context(), c, i)
	}
	for i, done := range calls {
		wantResult(t, done, float64(i))
	}
	if n := c.waiting(); n != 0 {
		t.Errorf("%d calls still wait", n)
	}
}
