// Package client calls the typed methods of a Django project through Centrifugo.
//
// A request is published on the channel rpc.requests, its reply arrives on the caller's own channel user#<user id> and is
// matched by correlation id. The client reconnects by itself and sends calls in flight again under their old id, which the
// server recognises and does not run twice.
package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
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
	maxResends         = 3
	maxQueuedEvents    = 4096
	// A reconnect is followed by the publications missed meanwhile, and the SDK does not say when it has delivered the last one.
	// This pause lets them answer their calls first; its random part keeps many clients from sending again in the same instant.
	recoveryPause = 100 * time.Millisecond
)

// RPCErrorCode says why a call failed. The list is open: a method may declare codes of its own.
type RPCErrorCode string

// The codes of the server and of this client.
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

// Where Centrifugo carries the error itself, its number is 1001 plus the position in this list.
var numberedCodes = [...]RPCErrorCode{
	CodeTimeout, CodeMethodNotFound, CodeInvalidParams, CodeValidationError, CodeUnauthorized, CodeRateLimitExceeded,
	CodeInternalError, CodeServiceUnavailable, CodeUserNotConnected, CodeRoomNotFound, CodeResourceNotFound, CodeConnectionError,
	CodeRedisError, CodePermissionDenied, CodeApplicationError, CodeCancelled, CodeOutcomeUnknown, CodeContractMismatch,
}

const firstNumber = 1001

var retryableCodes = []RPCErrorCode{
	CodeTimeout, CodeRateLimitExceeded, CodeServiceUnavailable, CodeConnectionError, CodeRedisError,
}

// RPCError is every failure of this client; find it with errors.As. Where a context ended the call, it unwraps to the context's error.
type RPCError struct {
	Code       RPCErrorCode
	Message    string
	Details    map[string]any
	Retryable  bool     // the same call may simply be made again
	RetryAfter *float64 // seconds
	cause      error
}

func (e *RPCError) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// Unwrap returns what caused the error on this side, if anything did.
func (e *RPCError) Unwrap() error { return e.cause }

func newError(code RPCErrorCode, cause error, format string, args ...any) *RPCError {
	return &RPCError{Code: code, Message: fmt.Sprintf(format, args...), Retryable: slices.Contains(retryableCodes, code), cause: cause}
}

// State of the connection. Connected means that calls can be made: the reply channel is subscribed.
type State string

// The states given to WithOnState.
const (
	StateConnecting   State = "connecting"
	StateConnected    State = "connected"
	StateDisconnected State = "disconnected"
)

// Transport is the way a call takes through Centrifugo.
type Transport string

const (
	// TransportPublish publishes the request and receives the reply on the user's channel: it survives reconnects.
	TransportPublish Transport = "publish"
	// TransportRPC uses Centrifugo's RPC proxy: one hop, but an interrupted call ends as outcome_unknown, and no call
	// waits longer than the constructor's WithTimeout (30 s where that is less).
	TransportRPC Transport = "rpc"
)

type callSettings struct {
	timeout   time.Duration
	transport Transport
}

// ClientOption configures NewCentrifugoRPCClient.
type ClientOption interface{ applyClient(*CentrifugoRPCClient) }

// CallOption configures one call.
type CallOption interface{ applyCall(*callSettings) }

// CommonOption is the default of all calls in the constructor, and the setting of one call in that call.
type CommonOption interface {
	ClientOption
	CallOption
}

type commonOption func(*callSettings)

func (o commonOption) applyClient(c *CentrifugoRPCClient) { o(&c.defaults) }
func (o commonOption) applyCall(s *callSettings)          { o(s) }

// WithTimeout limits a call: always when given for that call, else only where its context has no deadline. Default: 30 s.
func WithTimeout(timeout time.Duration) CommonOption {
	return commonOption(func(s *callSettings) { s.timeout = timeout })
}

// WithTransport chooses the transport. Default: TransportPublish.
func WithTransport(transport Transport) CommonOption {
	return commonOption(func(s *callSettings) { s.transport = transport })
}

type clientOption func(*CentrifugoRPCClient)

func (o clientOption) applyClient(c *CentrifugoRPCClient) { o(c) }

// WithGetToken fetches a new connection token when the constructor's is empty or has expired. An *RPCError with
// CodeUnauthorized ends the connection; after any other error the client tries again.
func WithGetToken(getToken func(context.Context) (string, error)) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.getToken = getToken })
}

// WithOnState reports changes of the connection, in order, on the goroutine of the event handlers.
func WithOnState(handler func(State)) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.onState = handler })
}

// WithOnError receives what belongs to no call: failed reconnects, panics of handlers, subscriptions that end. Default: slog.
func WithOnError(handler func(error)) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.onError = handler })
}

// WithMaxRequestBytes sets the largest request that is sent. Default: Centrifugo's 256 KiB less 1 KiB for the frame around it.
func WithMaxRequestBytes(limit int) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.maxRequestBytes = limit })
}

// WithMaxPendingCalls sets how many calls may wait for a reply at once. Default: 10,000.
func WithMaxPendingCalls(limit int) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.maxPending = limit })
}

// WithResendInterval sets how long an accepted call may stay silent before it is sent again. Default: 5 s.
func WithResendInterval(interval time.Duration) ClientOption {
	return clientOption(func(c *CentrifugoRPCClient) { c.resendInterval = interval })
}

// CentrifugoRPCClient is one user's connection. All methods may be used concurrently and from within handlers.
type CentrifugoRPCClient struct {
	url, token, userID string
	defaults           callSettings
	getToken           func(context.Context) (string, error)
	onState            func(State)
	onError            func(error)
	maxRequestBytes    int
	maxPending         int
	resendInterval     time.Duration

	events eventQueue

	mu       sync.Mutex
	session  *session // nil while disconnected
	handlers map[string][]*func(json.RawMessage)
}

// NewCentrifugoRPCClient prepares a client of the WebSocket address url; Connect opens the connection.
func NewCentrifugoRPCClient(url, token, userID string, opts ...ClientOption) *CentrifugoRPCClient {
	c := &CentrifugoRPCClient{
		url: url, token: token, userID: userID,
		defaults:        callSettings{timeout: 30 * time.Second, transport: TransportPublish},
		onState:         func(State) {},
		onError:         func(err error) { slog.Warn("centrifugo client", "error", err) },
		maxRequestBytes: 262144 - 1024,
		maxPending:      10_000,
		resendInterval:  5 * time.Second,
		handlers:        map[string][]*func(json.RawMessage){},
	}
	for _, opt := range opts {
		opt.applyClient(c)
	}
	return c
}

// Connect returns once the reply channel is subscribed. From then on the client reconnects by itself, until Disconnect or
// until the server ends the connection for good. Code: unauthorized for a refused token or channel, else connection_error.
func (c *CentrifugoRPCClient) Connect(ctx context.Context) error {
	ctx, cancel := c.withDeadline(ctx, callSettings{})
	defer cancel()
	c.mu.Lock()
	s := c.session
	opened := s == nil
	if opened {
		if !strings.HasPrefix(c.url, "ws://") && !strings.HasPrefix(c.url, "wss://") {
			c.mu.Unlock()
			return newError(CodeConnectionError, nil, "the address %q does not begin with ws:// or wss://", c.url)
		}
		s = newSession(c)
		c.session = s
		c.changeState(StateConnecting)
	}
	c.mu.Unlock()
	if opened {
		go s.open()
	}
	select {
	case <-s.currentLink().up:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-ctx.Done():
		err := newError(CodeConnectionError, ctx.Err(), "not connected: %v (last error: %v)", ctx.Err(), s.lastError.Load())
		if opened {
			s.end(err)
			s.close()
		}
		return err
	}
}

// Disconnect closes the connection and ends every waiting call: with connection_error if it was never sent, else with outcome_unknown.
func (c *CentrifugoRPCClient) Disconnect() {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s != nil {
		s.end(newError(CodeConnectionError, nil, "disconnected by the application"))
		s.close()
	}
}

// Call sends params to method and decodes the reply into result, a pointer, or nil to ignore it.
func (c *CentrifugoRPCClient) Call(ctx context.Context, method string, params, result any, opts ...CallOption) error {
	settings := callSettings{transport: c.defaults.transport}
	for _, opt := range opts {
		opt.applyCall(&settings)
	}
	ctx, cancel := c.withDeadline(ctx, settings)
	defer cancel()
	data, err := json.Marshal(params)
	if err != nil {
		return newError(CodeValidationError, err, "the parameters of %s cannot be encoded: %v", method, err)
	}
	reply, err := c.roundTrip(ctx, method, data, settings.transport)
	if err != nil || result == nil {
		return err
	}
	if err := json.Unmarshal(reply, result); err != nil {
		return newError(CodeValidationError, err, "the result of %s does not fit %T: %v", method, result, err)
	}
	return nil
}

func (c *CentrifugoRPCClient) withDeadline(ctx context.Context, settings callSettings) (context.Context, context.CancelFunc) {
	timeout := settings.timeout
	if _, limited := ctx.Deadline(); timeout <= 0 && !limited {
		timeout = c.defaults.timeout
	}
	if settings.transport == TransportRPC && (timeout <= 0 || timeout > c.longestCommand()) {
		timeout = c.longestCommand()
	}
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// The SDK gives up on any command after one fixed ReadTimeout, and holds a goroutine, a timer and the command for all of that
// time, answered or not (about 3.5 KB besides the payload: a steady 1,000 calls a second hold 30,000 of them). So it must
// outlast a call of the RPC transport, and no more than that.
func (c *CentrifugoRPCClient) longestCommand() time.Duration {
	return max(c.defaults.timeout, 30*time.Second)
}

func (c *CentrifugoRPCClient) roundTrip(ctx context.Context, method string, params json.RawMessage, transport Transport) (json.RawMessage, error) {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil {
		return nil, newError(CodeConnectionError, nil, "not connected: Connect comes before %s", method)
	}
	p := &pendingCall{id: rand.Text(), reply: make(chan reply, 1), acks: make(chan error, 1+maxResends)}
	request := func() []byte {
		deadline, _ := ctx.Deadline()
		return encodeRequest(request{method, params, p.id, replyChannelPrefix + c.userID, max(1, time.Until(deadline).Milliseconds())})
	}
	size := len(method) + len(params)
	if transport == TransportPublish {
		size = len(request())
	}
	if size > c.maxRequestBytes {
		return nil, newError(CodeValidationError, nil, "the request of %s has %d bytes, more than the %d that the server accepts", method, size, c.maxRequestBytes)
	}
	if err := s.register(p); err != nil {
		return nil, err
	}
	defer s.forget(p)
	// The commands below get no context that ends: v0.12.1 leaks a goroutine when a caller has left and the connection is
	// lost while it writes. They end with the acknowledgement, the connection or ReadTimeout.
	if transport == TransportRPC {
		return s.await(ctx, p, 0, func() {
			result, err := s.sdk.RPC(context.Background(), method, params)
			p.resolve(nativeReply(result.Data, err))
		})
	}
	return s.await(ctx, p, maxResends, func() {
		_, err := s.sdk.Publish(context.Background(), requestChannel, request())
		p.acks <- err
	})
}

// On hands every push of that name to handler until remove is called. Handlers run one after another, in the order of the
// pushes, on a goroutine of their own; up to 4,096 pushes wait for a slow one, more are dropped and reported.
func (c *CentrifugoRPCClient) On(event string, handler func(data json.RawMessage)) (remove func()) {
	entry := &handler
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handlers[event] = append(slices.Clip(c.handlers[event]), entry)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		rest := slices.DeleteFunc(slices.Clone(c.handlers[event]), func(h *func(json.RawMessage)) bool { return h == entry })
		if c.handlers[event] = rest; len(rest) == 0 {
			delete(c.handlers, event)
		}
	}
}

func (c *CentrifugoRPCClient) push(event string, data json.RawMessage) {
	c.mu.Lock()
	handlers := c.handlers[event]
	c.mu.Unlock()
	for _, handler := range handlers {
		c.enqueue("the handler of "+event, func() {
			c.mu.Lock()
			active := slices.Contains(c.handlers[event], handler)
			c.mu.Unlock()
			if active {
				(*handler)(data)
			}
		})
	}
}

type subscribeSettings struct {
	token  string
	source func(context.Context) (string, error)
}

// SubscribeOption configures one subscription.
type SubscribeOption func(*subscribeSettings)

// WithSubscriptionToken sets the token that the server handed out for the channel.
func WithSubscriptionToken(token string) SubscribeOption {
	return func(s *subscribeSettings) { s.token = token }
}

// WithSubscriptionTokenSource fetches the token for the channel at first, and again when it expires. The source may make calls.
func WithSubscriptionTokenSource(source func(ctx context.Context) (string, error)) SubscribeOption {
	return func(s *subscribeSettings) { s.source = source }
}

// Subscribe hands the publications of another channel to handler, on the goroutine of the event handlers, until unsubscribe or
// Disconnect. It returns when the channel is subscribed. A channel can be subscribed once at a time.
func (c *CentrifugoRPCClient) Subscribe(
	ctx context.Context, channel string, handler func(data json.RawMessage), opts ...SubscribeOption,
) (unsubscribe func(), err error) {
	var settings subscribeSettings
	for _, opt := range opts {
		opt(&settings)
	}
	ctx, cancel := c.withDeadline(ctx, callSettings{})
	defer cancel()
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil {
		return nil, newError(CodeConnectionError, nil, "not connected: Connect comes before Subscribe")
	}
	config := centrifuge.SubscriptionConfig{Token: settings.token}
	if settings.source != nil {
		if config.Token == "" {
			if config.Token, err = c.fetchToken(ctx, settings.source); err != nil {
				return nil, newError(CodeUnauthorized, err, "no token for %s: %v", channel, err)
			}
		}
		config.GetToken = s.deferredToken(settings.source)
	}
	sub, err := s.sdk.NewSubscription(channel, config)
	if err != nil {
		return nil, newError(CodeValidationError, err, "cannot subscribe %s: %v", channel, err)
	}
	var ended, settled atomic.Bool
	outcome := make(chan error, 1)
	settle := func(err error) {
		if settled.CompareAndSwap(false, true) {
			outcome <- err
		} else if err != nil && !ended.Load() {
			c.report(err)
		}
	}
	sub.OnPublication(func(e centrifuge.PublicationEvent) {
		c.enqueue("the handler of "+channel, func() {
			if !ended.Load() {
				handler(e.Data)
			}
		})
	})
	sub.OnSubscribed(func(centrifuge.SubscribedEvent) { settle(nil) })
	sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { settle(refused(channel, e.Code, e.Reason)) })
	unsubscribe = sync.OnceFunc(func() {
		ended.Store(true)
		_ = sub.Unsubscribe() // fails only when the whole client is closed
		_ = s.sdk.RemoveSubscription(sub)
	})
	if err = sub.Subscribe(); err == nil {
		select {
		case err = <-outcome:
		case <-ctx.Done():
			err = contextError(ctx.Err(), "subscribing "+channel)
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
