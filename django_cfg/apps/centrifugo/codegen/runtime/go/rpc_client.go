// Package client calls the typed methods of a Django project through Centrifugo.
//
// A request is published on the channel rpc.requests, its reply arrives on the user's own channel and is matched by correlation
// id. After a reconnect, calls in flight are sent again under their old id, which the server recognises and does not run twice.
package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

const (
	requestChannel     = "rpc.requests"
	replyChannelPrefix = "user#"
	defaultTimeout     = 30 * time.Second
	maxResends         = 3
	maxQueuedEvents    = 1000
	// The SDK does not say when it has delivered the last of the publications missed during a reconnect. This pause lets them
	// answer their calls before those are sent again; its random part spreads the clients that reconnect together.
	recoveryPause = 100 * time.Millisecond
)

// RPCErrorCode says why a call failed. Methods may declare codes beside these.
type RPCErrorCode string

// The codes shared by the server and its clients.
const (
	CodeTimeout            RPCErrorCode = "timeout"
	CodeMethodNotFound     RPCErrorCode = "method_not_found"
	CodeInvalidParams      RPCErrorCode = "invalid_params"
	CodeValidationError    RPCErrorCode = "validation_error"
	CodeUnauthorized       RPCErrorCode = "unauthorized"
	CodeRateLimitExceeded  RPCErrorCode = "rate_limit_exceeded"
	CodeInternalError      RPCErrorCode = "internal_error"
	CodeServiceUnavailable RPCErrorCode = "service_unavailable"
	CodeUserNotConnected   RPCErrorCode = "user_not_connected"
	CodeRoomNotFound       RPCErrorCode = "room_not_found"
	CodeResourceNotFound   RPCErrorCode = "resource_not_found"
	CodeConnectionError    RPCErrorCode = "connection_error"
	CodeRedisError         RPCErrorCode = "redis_error"
	CodePermissionDenied   RPCErrorCode = "permission_denied"
	CodeApplicationError   RPCErrorCode = "application_error"
	CodeCancelled          RPCErrorCode = "cancelled"
	CodeOutcomeUnknown     RPCErrorCode = "outcome_unknown"
	CodeContractMismatch   RPCErrorCode = "contract_mismatch"
)

// Where Centrifugo itself carries one of them, its number is firstNumber plus the position in this list.
var numberedCodes = [...]RPCErrorCode{
	CodeTimeout, CodeMethodNotFound, CodeInvalidParams, CodeValidationError, CodeUnauthorized, CodeRateLimitExceeded,
	CodeInternalError, CodeServiceUnavailable, CodeUserNotConnected, CodeRoomNotFound, CodeResourceNotFound, CodeConnectionError,
	CodeRedisError, CodePermissionDenied, CodeApplicationError, CodeCancelled, CodeOutcomeUnknown, CodeContractMismatch,
}

const firstNumber = 1001

// Centrifugo's own numbers; its 100 does not say whether the command was carried out.
var centrifugoCodes = map[uint32]RPCErrorCode{
	100: CodeOutcomeUnknown, 101: CodePermissionDenied, 103: CodePermissionDenied, 104: CodeMethodNotFound, 106: CodeRateLimitExceeded,
	107: CodeValidationError, 108: CodeServiceUnavailable, 109: CodeUnauthorized, 110: CodeUnauthorized, 111: CodeRateLimitExceeded,
}

// RPCError is every failure of this client, found with errors.As. It unwraps to the context's error where a context ended the call.
type RPCError struct {
	Code       RPCErrorCode   `json:"code"`
	Message    string         `json:"message"`
	Details    map[string]any `json:"details"`
	Retryable  bool           `json:"retryable"`   // the same call may simply be made again
	RetryAfter *float64       `json:"retry_after"` // seconds
	cause      error
}

func (e *RPCError) Error() string { return string(e.Code) + ": " + e.Message }

// Unwrap returns the error of this side that caused it, if any.
func (e *RPCError) Unwrap() error { return e.cause }

func newError(code RPCErrorCode, cause error, format string, args ...any) *RPCError {
	return &RPCError{Code: code, Message: fmt.Sprintf(format, args...), Retryable: code.retryable(), cause: cause}
}

func (code RPCErrorCode) retryable() bool {
	switch code {
	case CodeTimeout, CodeRateLimitExceeded, CodeServiceUnavailable, CodeConnectionError, CodeRedisError:
		return true
	}
	return false
}

// State of the connection; connected means that the reply channel is subscribed and calls go out.
type State string

// The states that WithOnState reports.
const (
	StateConnecting   State = "connecting"
	StateConnected    State = "connected"
	StateDisconnected State = "disconnected"
)

// Transport is the way of a call through Centrifugo.
type Transport string

const (
	// TransportPublish publishes the request and takes the reply from the user's channel; such a call survives reconnects.
	TransportPublish Transport = "publish"
	// TransportRPC takes Centrifugo's RPC proxy: one hop, but an interrupted call is outcome_unknown, and none waits longer
	// than the constructor's WithTimeout, or 30 s if that is more.
	TransportRPC Transport = "rpc"
)

type callSettings struct {
	timeout   time.Duration
	transport Transport
}

// ClientOption is an option of NewCentrifugoRPCClient.
type ClientOption interface{ applyClient(*CentrifugoRPCClient) }

// CallOption is an option of one call.
type CallOption interface{ applyCall(*callSettings) }

// CommonOption is either: the default of all calls, or the choice for one.
type CommonOption interface {
	ClientOption
	CallOption
}

type commonOption func(*callSettings)

func (o commonOption) applyClient(c *CentrifugoRPCClient) { o(&c.defaults) }
func (o commonOption) applyCall(s *callSettings)          { o(s) }

// WithTimeout limits the wait: of one call beside its context's deadline; in the constructor, where a context has none (default 30 s).
func WithTimeout(timeout time.Duration) CommonOption {
	return commonOption(func(s *callSettings) { s.timeout = timeout })
}

// WithTransport chooses the transport; the default is TransportPublish.
func WithTransport(transport Transport) CommonOption {
	return commonOption(func(s *callSettings) { s.transport = transport })
}

type clientOption func(*CentrifugoRPCClient)

func (o clientOption) applyClient(c *CentrifugoRPCClient) { o(c) }

// WithGetToken fetches a connection token when the constructor's is empty or expired. An *RPCError with CodeUnauthorized ends the
// connection; after another error it is asked again.
func WithGetToken(getToken func(ctx context.Context) (string, error)) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.getToken = getToken })
}

// WithOnState reports the connection's changes in order, on the goroutine of the event handlers.
func WithOnState(handler func(State)) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.onState = handler })
}

// WithOnError reports what is no call's failure: a failed reconnect, a handler's panic, a subscription's end; the default logs with slog.
func WithOnError(handler func(error)) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.onError = handler })
}

// WithMaxRequestBytes sets the largest request to send; the default is 256 KiB less 1 KiB for the frame around it.
func WithMaxRequestBytes(limit int) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.maxRequestBytes = limit })
}

// WithMaxPendingCalls sets how many calls may wait at once; the default is 10,000.
func WithMaxPendingCalls(limit int) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.maxPendingCalls = limit })
}

// WithResendInterval sets how long an accepted call may stay silent before it is sent again; the default is 5 s.
func WithResendInterval(interval time.Duration) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.resendInterval = interval })
}

// CentrifugoRPCClient is one user's connection. Its methods may be used concurrently and from within handlers.
type CentrifugoRPCClient struct {
	url, token, userID string
	defaults           callSettings
	getToken           func(context.Context) (string, error)
	onState            func(State)
	onError            func(error)
	maxRequestBytes    int
	maxPendingCalls    int
	resendInterval     time.Duration

	events    eventQueue
	mu        sync.Mutex
	session   *session // nil while disconnected
	listeners map[string][]*listener
}

// NewCentrifugoRPCClient prepares a client for the WebSocket address url; Connect opens the connection.
func NewCentrifugoRPCClient(url, token, userID string, opts ...ClientOption) *CentrifugoRPCClient {
	c := &CentrifugoRPCClient{
		url: url, token: token, userID: userID,
		defaults:        callSettings{timeout: defaultTimeout, transport: TransportPublish},
		onState:         func(State) {},
		onError:         func(err error) { slog.Warn("centrifugo client", "error", err) },
		maxRequestBytes: 262144 - 1024,
		maxPendingCalls: 10_000,
		resendInterval:  5 * time.Second,
		listeners:       map[string][]*listener{},
	}
	for _, opt := range opts {
		opt.applyClient(c)
	}
	if c.defaults.timeout <= 0 {
		c.defaults.timeout = defaultTimeout
	}
	return c
}

// Connect returns when the reply channel is subscribed. From then on the client reconnects by itself until Disconnect, or until
// the server ends the connection for good. It fails with unauthorized for a refused token or channel, else connection_error.
func (c *CentrifugoRPCClient) Connect(ctx context.Context) error {
	if !strings.HasPrefix(c.url, "ws://") && !strings.HasPrefix(c.url, "wss://") {
		return newError(CodeConnectionError, nil, "the address %q does not begin with ws:// or wss://", c.url)
	}
	ctx, cancel := c.limit(ctx, callSettings{})
	defer cancel()
	c.mu.Lock()
	s, mine := c.session, c.session == nil
	if mine {
		s = newSession(c)
		c.session = s
		c.changeState(StateConnecting)
		go s.open()
	}
	c.mu.Unlock()
	select {
	case <-s.currentLink().up:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-ctx.Done():
		err := newError(CodeConnectionError, ctx.Err(), "not connected in time: %v, last error: %v", ctx.Err(), s.lastError.Load())
		if mine && s.end(err) {
			s.sdk.Close()
		}
		return err
	}
}

// Disconnect ends every waiting call, with connection_error if it was never sent, else with outcome_unknown. Connect may follow.
func (c *CentrifugoRPCClient) Disconnect() {
	s, err := c.current()
	if err == nil && s.end(newError(CodeConnectionError, nil, "disconnected by the application")) {
		s.sdk.Close()
	}
}

func (c *CentrifugoRPCClient) current() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return nil, newError(CodeConnectionError, nil, "not connected: call Connect first")
	}
	return c.session, nil
}

// Call sends params to method and decodes its result into result, a pointer, or nil to ignore it.
func (c *CentrifugoRPCClient) Call(ctx context.Context, method string, params, result any, opts ...CallOption) error {
	settings := callSettings{transport: c.defaults.transport}
	for _, opt := range opts {
		opt.applyCall(&settings)
	}
	ctx, cancel := c.limit(ctx, settings)
	defer cancel()
	if params == nil {
		params = struct{}{}
	}
	if settings.transport != TransportPublish && settings.transport != TransportRPC {
		return newError(CodeValidationError, nil, "the transport is %q or %q, not %q", TransportPublish, TransportRPC, settings.transport)
	}
	data, err := json.Marshal(params)
	if err != nil {
		return newError(CodeValidationError, err, "the parameters of %s cannot be encoded: %v", method, err)
	}
	reply, err := c.roundTrip(ctx, method, data, settings.transport)
	if err != nil || result == nil {
		return err
	}
	if len(reply) == 0 { // how Centrifugo's RPC writes null
		reply = json.RawMessage("null")
	}
	if err := json.Unmarshal(reply, result); err != nil {
		return newError(CodeValidationError, err, "%s has run, but its result does not fit %T: %v; if the server has changed, generate the clients again", method, result, err)
	}
	return nil
}

func (c *CentrifugoRPCClient) limit(ctx context.Context, settings callSettings) (context.Context, context.CancelFunc) {
	timeout := settings.timeout
	if _, limited := ctx.Deadline(); timeout <= 0 && !limited {
		timeout = c.defaults.timeout
	}
	if longest := c.longestCommand(); settings.transport == TransportRPC && (timeout <= 0 || timeout > longest) {
		timeout = longest
	}
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// longestCommand becomes the SDK's one ReadTimeout. v0.12.1 gives up on any command after it, and until then keeps a goroutine, a
// timer and the payload of each, answered or not: 3.7 KB and the payload, so 110 MB at a steady 1,000 calls a second and 30 s.
// It must outlast a call over TransportRPC, which would be cut otherwise, and no more than that.
func (c *CentrifugoRPCClient) longestCommand() time.Duration {
	return max(c.defaults.timeout, defaultTimeout)
}

type request struct {
	Method        string          `json:"method"`
	Params        json.RawMessage `json:"params"`
	CorrelationID string          `json:"correlation_id"`
	ReplyTo       string          `json:"reply_to"`
	TimeoutMs     int64           `json:"timeout_ms"`
}

func (c *CentrifugoRPCClient) roundTrip(
	ctx context.Context, method string, params json.RawMessage, transport Transport,
) (json.RawMessage, error) {
	p := &pendingCall{id: rand.Text(), reply: make(chan reply, 1), acks: make(chan error, 1+maxResends)}
	encode := func() ([]byte, error) {
		deadline, _ := ctx.Deadline()
		return json.Marshal(request{method, params, p.id, replyChannelPrefix + c.userID, max(1, time.Until(deadline).Milliseconds())})
	}
	data, err := []byte(params), error(nil)
	if transport == TransportPublish {
		data, err = encode()
	}
	if err != nil || len(data) > c.maxRequestBytes {
		return nil, newError(CodeValidationError, err, "the request of %s has %d bytes, the limit is %d", method, len(data), c.maxRequestBytes)
	}
	s, err := c.current()
	if err == nil {
		err = s.register(p)
	}
	if err != nil {
		return nil, err
	}
	defer s.forget(p)
	// The SDK gets a context that never ends: v0.12.1 may leak the goroutine of a command whose caller left before the connection
	// ended. A command ends with its acknowledgement, the connection, or ReadTimeout.
	if transport == TransportRPC {
		return s.await(ctx, p, 0, func() {
			result, err := s.sdk.RPC(context.Background(), method, params)
			p.resolve(nativeReply(result.Data, err))
		})
	}
	return s.await(ctx, p, maxResends, func() {
		data, err := encode()
		if err == nil {
			_, err = s.sdk.Publish(context.Background(), requestChannel, data)
		}
		p.acks <- err
	})
}

// On hands the data of every push named event to handler, until remove is called. Handlers run in the order of the pushes, one
// after another, away from the connection; while 1,000 events wait for a slow one, more are dropped and reported.
func (c *CentrifugoRPCClient) On(event string, handler func(data json.RawMessage)) (remove func()) {
	l := &listener{handle: handler}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners[event] = append(c.listeners[event], l)
	return func() {
		l.removed.Store(true)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.listeners[event] = slices.DeleteFunc(c.listeners[event], func(other *listener) bool { return other == l })
		if len(c.listeners[event]) == 0 {
			delete(c.listeners, event)
		}
	}
}

type listener struct {
	handle  func(json.RawMessage)
	removed atomic.Bool
}

func (c *CentrifugoRPCClient) deliver(name string, l *listener, data json.RawMessage) {
	c.enqueue("the handler of "+name, maxQueuedEvents, func() {
		if !l.removed.Load() {
			l.handle(data)
		}
	})
}

func (c *CentrifugoRPCClient) push(event string, data json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.listeners[event] {
		c.deliver(event, l, data)
	}
}

type tokenSource func(ctx context.Context) (string, error)

type subscribeSettings struct {
	token  string
	source tokenSource
}

// SubscribeOption is an option of Subscribe.
type SubscribeOption func(*subscribeSettings)

// WithSubscriptionToken gives the token that the server handed out for the channel.
func WithSubscriptionToken(token string) SubscribeOption {
	return func(s *subscribeSettings) { s.token = token }
}

// WithSubscriptionTokenSource fetches a token for the channel when there is none or it has expired. It may make calls.
func WithSubscriptionTokenSource(source func(ctx context.Context) (string, error)) SubscribeOption {
	return func(s *subscribeSettings) { s.source = source }
}

// Subscribe returns when the channel is subscribed, and hands its publications to handler like On, until unsubscribe or Disconnect.
func (c *CentrifugoRPCClient) Subscribe(
	ctx context.Context, channel string, handler func(data json.RawMessage), opts ...SubscribeOption,
) (unsubscribe func(), err error) {
	ctx, cancel := c.limit(ctx, callSettings{})
	defer cancel()
	s, err := c.current()
	if err != nil {
		return nil, err
	}
	config, err := s.subscriptionConfig(ctx, opts)
	if err != nil {
		return nil, err
	}
	sub, err := s.sdk.NewSubscription(channel, config)
	if err != nil {
		return nil, newError(CodeValidationError, err, "cannot subscribe to %s: %v", channel, err)
	}
	l := &listener{handle: handler}
	var settled atomic.Bool
	outcome := make(chan error, 1)
	settle := func(err error) {
		if settled.CompareAndSwap(false, true) {
			outcome <- err
		} else if err != nil && !l.removed.Load() && s.ctx.Err() == nil {
			c.report(err)
		}
	}
	sub.OnSubscribed(func(centrifuge.SubscribedEvent) { settle(nil) })
	sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { settle(refusal(channel, e.Code, e.Reason)) })
	sub.OnPublication(func(e centrifuge.PublicationEvent) { c.deliver(channel, l, e.Data) })
	unsubscribe = sync.OnceFunc(func() {
		l.removed.Store(true)
		_ = sub.Unsubscribe() // fails only when the connection is closed already
		_ = s.sdk.RemoveSubscription(sub)
	})
	if err = sub.Subscribe(); err == nil {
		select {
		case err = <-outcome:
		case <-ctx.Done():
			err = contextError(ctx, "subscribing to "+channel)
		case <-s.ctx.Done():
			err = context.Cause(s.ctx)
		}
	}
	if err != nil {
		unsubscribe()
		return nil, err
	}
	return unsubscribe, nil
}

func (s *session) subscriptionConfig(ctx context.Context, opts []SubscribeOption) (config centrifuge.SubscriptionConfig, err error) {
	var settings subscribeSettings
	for _, opt := range opts {
		opt(&settings)
	}
	config.Token = settings.token
	if settings.source != nil {
		config.GetToken = s.deferredToken(settings.source)
		if config.Token == "" {
			config.Token, err = settings.source.fetch(ctx)
		}
	}
	return config, err
}

// session lasts from Connect to Disconnect or the server's final word, over as many sockets as it takes.
type session struct {
	client    *CentrifugoRPCClient
	sdk       *centrifuge.Client
	ctx       context.Context // its cause says why the session ended
	cancel    context.CancelCauseFunc
	lastError atomic.Value

	mu      sync.Mutex
	link    link
	pending map[string]*pendingCall
}

// link is one stretch of being subscribed to the reply channel: up is closed at its begin, down at its end.
type link struct{ up, down chan struct{} }

func newLink() link { return link{make(chan struct{}), make(chan struct{})} }

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func newSession(c *CentrifugoRPCClient) *session {
	s := &session{client: c, link: newLink(), pending: map[string]*pendingCall{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.lastError.Store("none")
	config := centrifuge.Config{
		Token: c.token, ReadTimeout: c.longestCommand() + time.Second, WriteTimeout: 5 * time.Second, HandshakeTimeout: 10 * time.Second,
	}
	if c.getToken != nil {
		config.GetToken = func(centrifuge.ConnectionTokenEvent) (string, error) { return tokenSource(c.getToken).fetch(s.ctx) }
	}
	s.sdk = centrifuge.NewJsonClient(c.url, config)
	// The SDK's read loop waits for these handlers, at times with its lock held: they must neither wait nor call it.
	s.sdk.OnConnecting(func(centrifuge.ConnectingEvent) { s.setLink(false) })
	s.sdk.OnDisconnected(func(e centrifuge.DisconnectedEvent) { s.lost(refusal("the connection", e.Code, e.Reason)) })
	s.sdk.OnError(func(e centrifuge.ErrorEvent) {
		s.lastError.Store(fmt.Sprint(e.Error))
		c.report(e.Error)
	})
	return s
}

func (s *session) open() {
	channel := replyChannelPrefix + s.client.userID
	sub, err := s.sdk.NewSubscription(channel)
	if err == nil {
		sub.OnSubscribed(func(centrifuge.SubscribedEvent) { s.setLink(true) })
		sub.OnSubscribing(func(e centrifuge.SubscribingEvent) {
			if e.Code >= 2500 { // by the server, on a connection that stays
				s.setLink(false)
			}
		})
		sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { s.lost(refusal(channel, e.Code, e.Reason)) })
		sub.OnPublication(s.receive)
		err = errors.Join(sub.Subscribe(), s.sdk.Connect())
	}
	if err != nil { // a first attempt that fails is Connect's failure: the SDK alone would go on trying
		s.lost(newError(CodeConnectionError, err, "cannot connect: %v", err))
	}
}

func (s *session) end(cause error) bool {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.client.session = nil
	s.cancel(cause)
	s.client.changeState(StateDisconnected)
	return true
}

// lost closes the SDK from a goroutine of its own, because Close waits for the handler that calls this.
func (s *session) lost(cause error) {
	if s.end(cause) {
		go s.sdk.Close()
	}
}

func (s *session) currentLink() link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

func (s *session) setLink(up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || closed(s.link.up) == up {
		return
	}
	if up {
		close(s.link.up)
		s.client.changeState(StateConnected)
	} else {
		close(s.link.down)
		s.link = newLink()
		s.client.changeState(StateConnecting)
	}
}

func (s *session) register(p *pendingCall) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) >= s.client.maxPendingCalls {
		return newError(CodeServiceUnavailable, nil, "%d calls are waiting for their replies", len(s.pending))
	}
	s.pending[p.id] = p
	return nil
}

func (s *session) forget(p *pendingCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, p.id)
}

// pendingCall is driven by the goroutine of its caller, so it needs no timer or lock of its own.
type pendingCall struct {
	id    string
	reply chan reply
	acks  chan error
}

type reply struct {
	result json.RawMessage
	err    error
}

func (p *pendingCall) resolve(r reply) {
	select {
	case p.reply <- r:
	default: // answered already
	}
}

// giveUp prefers a reply that has arrived at the same moment.
func (p *pendingCall) giveUp(err error) (json.RawMessage, error) {
	select {
	case r := <-p.reply:
		return r.result, r.err
	default:
		return nil, err
	}
}

// await sends a call once the reply channel is subscribed, and up to resends times again: after a reconnect or a silence.
func (s *session) await(ctx context.Context, p *pendingCall, resends int, send func()) (json.RawMessage, error) {
	link := s.currentLink()
	up, down := link.up, (chan struct{})(nil)
	timer := (<-chan time.Time)(nil)
	sends, accepted := 0, false
	for {
		select {
		case r := <-p.reply:
			return r.result, r.err
		case <-ctx.Done():
			return p.giveUp(contextError(ctx, "the call"))
		case <-s.ctx.Done():
			return p.giveUp(interrupted(context.Cause(s.ctx), sends > 0))
		case <-up:
			up, down = nil, link.down
			timer = time.After(0)
			if sends > 0 {
				timer = time.After(jittered(recoveryPause))
			}
		case <-timer:
			timer = nil
			if !closed(down) {
				sends++
				go send()
			}
		case <-down:
			link = s.currentLink()
			down, timer = nil, nil
			if sends <= resends {
				up = link.up
			}
		case err := <-p.acks: // one lost with the connection, or late, means nothing: the call's own deadline decides
			var refused *centrifuge.Error
			switch {
			case err == nil:
				accepted = true
			case !errors.As(err, &refused):
				continue
			case !temporary(refused), numbered(refused.Code) && sends == 1:
				return p.giveUp(serverError(refused))
			case sends > resends && !accepted: // the refusal of a repeat says nothing about the copies before it
				return p.giveUp(newError(CodeOutcomeUnknown, refused, "sent %d times, not acknowledged: %s", sends, refused.Message))
			}
			if down != nil && timer == nil && sends <= resends { // a timer that runs is shorter: that of a reconnect
				timer = time.After(jittered(s.client.resendInterval))
			}
		}
	}
}

func jittered(d time.Duration) time.Duration { return d + mathrand.N(max(d, 0)/2+1) }

// message is what arrives on the reply channel: a reply or a push.
type message struct {
	CorrelationID string          `json:"correlation_id"`
	Result        json.RawMessage `json:"result"`
	Error         json.RawMessage `json:"error"`
	Event         string          `json:"event"`
	Data          json.RawMessage `json:"data"`
}

func (s *session) receive(e centrifuge.PublicationEvent) {
	defer s.client.contain("receiving a message")
	var m message
	_ = json.Unmarshal(e.Data, &m) // what is no message, or a field of an unexpected type, counts as empty
	if e.Info != nil {             // only what clients publish carries info: a forged reply
		return
	}
	s.mu.Lock()
	p := s.pending[m.CorrelationID]
	s.mu.Unlock()
	switch {
	case p != nil:
		p.resolve(m.reply())
	case m.CorrelationID == "": // other ids are those of the user's other connections
		s.client.push(m.Event, m.Data)
	}
}

func (m *message) reply() reply {
	if m.Error == nil || string(m.Error) == "null" {
		return reply{result: m.Result}
	}
	var wire struct {
		RPCError
		Retryable *bool `json:"retryable"`
	}
	_ = json.Unmarshal(m.Error, &wire) // likewise
	code := cmp.Or(wire.Code, CodeInternalError)
	failure := newError(code, nil, "%s", cmp.Or(wire.Message, strings.ReplaceAll(string(code), "_", " ")))
	failure.Details, failure.RetryAfter = wire.Details, wire.RetryAfter
	if wire.Retryable != nil {
		failure.Retryable = *wire.Retryable
	}
	return reply{err: failure}
}

func nativeReply(result []byte, err error) reply {
	var refused *centrifuge.Error
	switch {
	case err == nil:
		return reply{result: result}
	case errors.As(err, &refused):
		return reply{err: serverError(refused)}
	default:
		return reply{err: interrupted(err, true)}
	}
}

func temporary(e *centrifuge.Error) bool { return e.Temporary || e.Code == 100 }

func numbered(number uint32) bool {
	return number >= firstNumber && number < firstNumber+uint32(len(numberedCodes))
}

func serverError(e *centrifuge.Error) *RPCError {
	code := cmp.Or(centrifugoCodes[e.Code], CodeInternalError)
	if numbered(e.Code) {
		code = numberedCodes[e.Code-firstNumber]
	}
	failure := newError(code, e, "%s", e.Message)
	failure.Retryable = e.Temporary && code != CodeOutcomeUnknown
	return failure
}

// refusal explains why the connection or a subscription has ended; number 1 is the SDK's own for a token that cannot be had.
func refusal(what string, number uint32, reason string) *RPCError {
	switch number {
	case 1, 101, 103, 109, 110, 3500, 3507:
		return newError(CodeUnauthorized, nil, "%s was refused: %s (%d)", what, reason, number)
	}
	return newError(CodeConnectionError, nil, "%s has ended: %s (%d)", what, reason, number)
}

func contextError(ctx context.Context, what string) *RPCError {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return newError(CodeTimeout, ctx.Err(), "%s has missed its deadline", what)
	}
	return newError(CodeCancelled, ctx.Err(), "%s was cancelled", what)
}

func interrupted(cause error, sent bool) *RPCError {
	if sent {
		return newError(CodeOutcomeUnknown, cause, "sent but not answered: %v", cause)
	}
	return newError(CodeConnectionError, cause, "not sent: %v", cause)
}

func (source tokenSource) fetch(ctx context.Context) (token string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the token source panicked: %v", p)
		}
		if err == nil {
			return
		}
		failure := newError(CodeConnectionError, err, "no token: %v", err)
		var cause *RPCError
		if errors.As(err, &cause) {
			failure.Code, failure.Retryable = cause.Code, cause.Retryable
		}
		if failure.Code == CodeUnauthorized || failure.Code == CodePermissionDenied {
			failure.cause = errors.Join(centrifuge.ErrUnauthorized, err) // which the SDK takes for final
		}
		err = failure
	}()
	return source(ctx)
}

// deferredToken never waits: on a reconnect the SDK asks from its read loop with its lock held, where a source that makes a call
// would wait for itself. The first question starts the source and fails; the SDK's retry collects the answer.
func (s *session) deferredToken(source tokenSource) func(centrifuge.SubscriptionTokenEvent) (string, error) {
	type answer struct {
		token string
		err   error
	}
	var asked atomic.Bool
	answers := make(chan answer, 1)
	return func(centrifuge.SubscriptionTokenEvent) (string, error) {
		select {
		case a := <-answers:
			asked.Store(false)
			return a.token, a.err
		default:
		}
		if asked.CompareAndSwap(false, true) {
			go func() {
				token, err := source.fetch(s.ctx)
				if err != nil {
					s.client.report(err)
				}
				answers <- answer{token, err}
			}()
		}
		return "", errors.New("the token is on its way")
	}
}

// eventQueue keeps handlers in order and away from the SDK. Its goroutine lives only while there is something to run.
type eventQueue struct {
	mu            sync.Mutex
	jobs          []func()
	running, full bool
}

func (q *eventQueue) run() {
	for {
		q.mu.Lock()
		if len(q.jobs) == 0 {
			q.running, q.full = false, false
			q.mu.Unlock()
			return
		}
		job := q.jobs[0]
		q.jobs = q.jobs[1:]
		q.mu.Unlock()
		job()
	}
}

func (c *CentrifugoRPCClient) enqueue(what string, limit int, handler func()) {
	job := func() {
		defer c.contain(what)
		handler()
	}
	q := &c.events
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) >= limit {
		if q.full {
			return
		}
		q.full = true
		job = func() { c.tell(fmt.Errorf("%d events wait for a slow handler, further ones are dropped", limit)) }
	}
	q.jobs = append(q.jobs, job)
	if !q.running {
		q.running = true
		go q.run()
	}
}

// changeState drops nothing: there are few changes, and the last one must be seen.
func (c *CentrifugoRPCClient) changeState(state State) {
	c.enqueue("the state handler", math.MaxInt, func() { c.onState(state) })
}

func (c *CentrifugoRPCClient) report(err error) {
	c.enqueue("the error handler", maxQueuedEvents, func() { c.tell(err) })
}

func (c *CentrifugoRPCClient) tell(err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("centrifugo client: the error handler panicked", "panic", p, "error", err)
		}
	}()
	c.onError(err)
}

func (c *CentrifugoRPCClient) contain(what string) {
	if p := recover(); p != nil {
		c.report(fmt.Errorf("%s panicked: %v\n%s", what, p, debug.Stack()))
	}
}
