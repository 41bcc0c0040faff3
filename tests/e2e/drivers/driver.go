// The Go driver; see README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	client "example.test/clients"
)

type command struct {
	ID              int             `json:"id"`
	Op              string          `json:"op"`
	Client          string          `json:"client"`
	URL             string          `json:"url"`
	Token           string          `json:"token"`
	Tokens          []string        `json:"tokens"`
	UserID          string          `json:"user_id"`
	Timeout         float64         `json:"timeout"`
	Transport       string          `json:"transport"`
	MaxRequestBytes int             `json:"max_request_bytes"`
	Method          string          `json:"method"`
	Params          json.RawMessage `json:"params"`
	Text            string          `json:"text"`
	Event           string          `json:"event"`
	Channel         string          `json:"channel"`
	Of              int             `json:"of"`
}

type driver struct {
	mu      sync.Mutex
	clients map[string]*client.APIClient
	states  map[string][]string
	running map[int]context.CancelFunc
}

func (d *driver) write(line map[string]any) {
	raw, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	os.Stdout.Write(append(raw, '\n'))
}

func described(err error) map[string]any {
	var failure *client.RPCError
	if !errors.As(err, &failure) {
		return map[string]any{"code": "not an RPCError", "message": err.Error()}
	}
	return map[string]any{
		"code": failure.Code, "message": failure.Message, "details": failure.Details,
		"retryable": failure.Retryable, "retry_after": failure.RetryAfter,
	}
}

func (d *driver) client(name string) *client.APIClient {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clients[name]
}

func (d *driver) connect(ctx context.Context, c command) error {
	tokens := c.Tokens
	opts := []client.ClientOption{client.WithOnState(func(s client.State) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.states[c.Client] = append(d.states[c.Client], string(s))
	})}
	if len(tokens) > 0 {
		opts = append(opts, client.WithGetToken(func(context.Context) (string, error) {
			token := tokens[0]
			tokens = tokens[1:]
			return token, nil
		}))
	}
	if c.Timeout > 0 {
		opts = append(opts, client.WithTimeout(seconds(c.Timeout)))
	}
	if c.Transport != "" {
		opts = append(opts, client.WithTransport(client.Transport(c.Transport)))
	}
	if c.MaxRequestBytes > 0 {
		opts = append(opts, client.WithMaxRequestBytes(c.MaxRequestBytes))
	}
	api := client.NewAPIClient(c.URL, c.Token, c.UserID, opts...)
	d.mu.Lock()
	d.clients[c.Client] = api
	d.mu.Unlock()
	return api.Connect(ctx)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (d *driver) call(ctx context.Context, c command, params json.RawMessage) (any, error) {
	var opts []client.CallOption
	if c.Timeout > 0 {
		opts = append(opts, client.WithTimeout(seconds(c.Timeout)))
	}
	if c.Transport != "" {
		opts = append(opts, client.WithTransport(client.Transport(c.Transport)))
	}
	var result any
	err := d.client(c.Client).Call(ctx, c.Method, params, &result, opts...)
	return result, err
}

func (d *driver) many(ctx context.Context, c command) (any, error) {
	var params []json.RawMessage
	if err := json.Unmarshal(c.Params, &params); err != nil {
		return nil, err
	}
	outcomes := make([]map[string]any, len(params))
	var all sync.WaitGroup
	for i, p := range params {
		all.Add(1)
		go func() {
			defer all.Done()
			if result, err := d.call(ctx, c, p); err != nil {
				outcomes[i] = map[string]any{"error": described(err)}
			} else {
				outcomes[i] = map[string]any{"ok": result}
			}
		}()
	}
	all.Wait()
	return outcomes, nil
}

func (d *driver) do(ctx context.Context, c command) (any, error) {
	switch c.Op {
	case "connect":
		return nil, d.connect(ctx, c)
	case "disconnect":
		d.client(c.Client).Disconnect()
	case "call":
		return d.call(ctx, c, c.Params)
	case "many":
		return d.many(ctx, c)
	case "cancel":
		d.mu.Lock()
		defer d.mu.Unlock()
		d.running[c.Of]()
	case "typed":
		result, err := d.client(c.Client).EchoSay(ctx, client.EchoParams{Text: c.Text})
		if err != nil {
			return nil, err
		}
		return map[string]any{"text": result.Text, "number": result.Number, "user_id": result.UserId}, nil
	case "on":
		d.client(c.Client).On(c.Event, func(data json.RawMessage) {
			d.write(map[string]any{"event": c.Event, "client": c.Client, "data": data})
		})
	case "subscribe":
		_, err := d.client(c.Client).Subscribe(ctx, c.Channel, func(data json.RawMessage) {
			d.write(map[string]any{"channel": c.Channel, "client": c.Client, "data": data})
		}, client.WithSubscriptionToken(c.Token))
		return nil, err
	case "state":
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.states[c.Client], nil
	}
	return nil, nil
}

func (d *driver) answer(ctx context.Context, c command) {
	ok, err := d.do(ctx, c)
	if err != nil {
		d.write(map[string]any{"id": c.ID, "error": described(err)})
		return
	}
	d.write(map[string]any{"id": c.ID, "ok": ok})
}

func main() {
	d := &driver{clients: map[string]*client.APIClient{}, states: map[string][]string{}, running: map[int]context.CancelFunc{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		d.mu.Lock()
		d.running[c.ID] = cancel
		d.mu.Unlock()
		go d.answer(ctx, c)
	}
}
