package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds every wait for something that must happen; it is no measure of how long it takes.
const patience = 20 * time.Second

// fakeServer speaks Centrifugo's JSON protocol and leaves every decision to the test.
type fakeServer struct {
	*httptest.Server
	t           *testing.T
	onConnect   func(*command) // replaced before the client connects, like the next ones
	onSubscribe func(*command)
	onPublish   func(*command)
	inbox       chan *command // everything else, in the order of arrival

	mu    sync.Mutex
	trace []string // kinds of the commands, "<socket>:<kind>"
	peers []*peer
}

// peer is one socket.
type peer struct {
	number int
	ws     *websocket.Conn
	mu     sync.Mutex
}

type command struct {
	peer      *peer
	ID        uint32                  `json:"id"`
	Connect   *struct{ Token string } `json:"connect"`
	Subscribe *struct {
		Channel, Token string
		Recover        bool
	} `json:"subscribe"`
	Unsubscribe *struct{ Channel string } `json:"unsubscribe"`
	Publish     *struct {
		Channel string
		Data    json.RawMessage
	} `json:"publish"`
	RPC *struct {
		Method string
		Data   json.RawMessage
	} `json:"rpc"`
	Refresh *struct{ Token string } `json:"refresh"`
}

func newFakeServer(t *testing.T) *fakeServer {
	s := &fakeServer{t: t, inbox: make(chan *command, 1000)}
	s.onConnect = func(c *command) { c.answer(`{"client":"c","version":"fake"}`) }
	s.onSubscribe = func(c *command) { c.answer(`{}`) }
	s.onPublish = func(c *command) { s.inbox <- c }
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.stop)
	return s
}

func (s *fakeServer) stop() {
	s.mu.Lock()
	for _, p := range s.peers {
		p.drop()
	}
	s.mu.Unlock()
	s.Close()
}

func (s *fakeServer) address() string { return "ws" + strings.TrimPrefix(s.URL, "http") }

func (s *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.Close() }()
	s.mu.Lock()
	p := &peer{number: len(s.peers) + 1, ws: ws}
	s.peers = append(s.peers, p)
	s.mu.Unlock()
	for {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			return
		}
		for line := range bytes.Lines(frame) {
			c := &command{peer: p}
			if err := json.Unmarshal(line, c); err != nil {
				s.t.Errorf("the client sent %q: %v", line, err)
				return
			}
			s.handle(c)
		}
	}
}

func (s *fakeServer) handle(c *command) {
	s.mu.Lock()
	s.trace = append(s.trace, fmt.Sprintf("%d:%s", c.peer.number, c.kind()))
	s.mu.Unlock()
	switch c.kind() {
	case "connect":
		s.onConnect(c)
	case "subscribe":
		s.onSubscribe(c)
	case "publish":
		s.onPublish(c)
	default:
		s.inbox <- c
	}
}

func (s *fakeServer) count(kind string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, entry := range s.trace {
		if strings.HasSuffix(entry, ":"+kind) {
			n++
		}
	}
	return n
}

// next waits for the next command that the test has to answer.
func (s *fakeServer) next(kind string) *command {
	s.t.Helper()
	select {
	case c := <-s.inbox:
		if c.kind() != kind {
			s.t.Fatalf("the client sent %s, not %s", c.kind(), kind)
		}
		return c
	case <-time.After(patience):
		s.t.Fatalf("the client sent no %s", kind)
		return nil
	}
}

// socket waits until the number-th socket is there.
func (s *fakeServer) socket(number int) *peer {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("socket %d", number), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.peers) >= number
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[number-1]
}

func (c *command) kind() string {
	switch {
	case c.Connect != nil:
		return "connect"
	case c.Subscribe != nil:
		return "subscribe"
	case c.Unsubscribe != nil:
		return "unsubscribe"
	case c.Publish != nil:
		return "publish"
	case c.RPC != nil:
		return "rpc"
	case c.Refresh != nil:
		return "refresh"
	}
	return "pong"
}

// answer acknowledges the command with its result object.
func (c *command) answer(result string) { c.peer.send(`{"id":%d,%q:%s}`, c.ID, c.kind(), result) }

func (c *command) refuse(code int, message string, temporary bool) {
	c.peer.send(`{"id":%d,"error":{"code":%d,"message":%q,"temporary":%t}}`, c.ID, code, message, temporary)
}

type wireRequest struct {
	Method        string          `json:"method"`
	Params        json.RawMessage `json:"params"`
	CorrelationID string          `json:"correlation_id"`
	ReplyTo       string          `json:"reply_to"`
	TimeoutMs     int64           `json:"timeout_ms"`
}

func (c *command) request() (r wireRequest) {
	if err := json.Unmarshal(c.Publish.Data, &r); err != nil {
		panic(err)
	}
	return r
}

// reply publishes the handler's result on the user's channel.
func (c *command) reply(result string) {
	c.peer.publish(`{"correlation_id":%q,"result":%s}`, c.request().CorrelationID, result)
}

func (p *peer) publish(data string, args ...any) {
	p.send(`{"push":{"channel":"user#7","pub":{"data":%s}}}`, fmt.Sprintf(data, args...))
}

func (p *peer) send(line string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, line, args...)) // a dropped socket is the test's intention
}

func (p *peer) drop() { _ = p.ws.NetConn().Close() }

func (p *peer) close(code int, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(patience))
}

// connect returns a connected client of user 7, for which no call is silent for too long unless an option says so.
func (s *fakeServer) connect(opts ...ClientOption) *CentrifugoRPCClient {
	s.t.Helper()
	c := NewCentrifugoRPCClient(s.address(), "token", "7", append([]ClientOption{WithResendInterval(time.Hour)}, opts...)...)
	s.t.Cleanup(c.Disconnect)
	if err := c.Connect(s.t.Context()); err != nil {
		s.t.Fatalf("Connect: %v", err)
	}
	return c
}

type outcome struct {
	result any
	err    error
}

// start makes a call in the background.
func start(ctx context.Context, c *CentrifugoRPCClient, params any, opts ...CallOption) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		var result any
		err := c.Call(ctx, "tasks.get", params, &result, opts...)
		done <- outcome{result, err}
	}()
	return done
}

func receive[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}
