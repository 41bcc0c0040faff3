package client

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestForgedAndForeignMessagesAreDropped(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	pushes := make(chan string, 10)
	c.On("news", func(data json.RawMessage) { pushes <- string(data) })
	done := start(t.Context(), c, nil)
	sent := server.next("publish")
	id := sent.request().CorrelationID
	forge := func(data string) {
		sent.peer.send(`{"push":{"channel":"user#7","pub":{"data":%s,"info":{"client":"x","user":"6"}}}}`, data)
	}
	forge(fmt.Sprintf(`{"correlation_id":%q,"result":"forged"}`, id))
	forge(`{"event":"news","data":"forged"}`)
	for _, data := range []string{`[1]`, `"text"`, `17`, `null`, `true`, `{}`, `{"correlation_id":5,"result":1}`, `{"event":{}}`,
		`{"correlation_id":"unknown","result":"foreign"}`, `{"correlation_id":"unknown","event":"news","data":"foreign"}`} {
		sent.peer.publish("%s", data)
	}
	sent.peer.publish(`{"event":"news","data":"true"}`)
	if got := receive(t, "the push", pushes); got != `"true"` {
		t.Errorf("the handler got %s", got)
	}
	sent.reply(`"true"`)
	wantResult(t, done, "true")
}

func TestDuplicateRepliesAreDropped(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect()
	done := start(t.Context(), c, nil)
	first := server.next("publish")
	first.reply(`1`)
	first.reply(`2`)
	first.reply(`3`)
	wantResult(t, done, 1.0)
	again := start(t.Context(), c, nil)
	second := server.next("publish")
	first.reply(`4`)
	second.reply(`5`)
	wantResult(t, again, 5.0)
}

func TestErrorReply(t *testing.T) {
	cases := []struct {
		reply string
		want  RPCError
	}{
		{`"error":{"code":"application_error","message":"Task 999 not found","details":null,"retryable":false,"retry_after":null}`,
			RPCError{Code: CodeApplicationError, Message: "Task 999 not found"}},
		{`"error":{"code":"task_locked","message":"locked","details":{"by":"ann"},"retryable":true,"retry_after":1.5}`,
			RPCError{Code: "task_locked", Message: "locked", Details: map[string]any{"by": "ann"}, Retryable: true}},
		{`"error":{"code":"timeout","message":"late"}`, RPCError{Code: CodeTimeout, Message: "late", Retryable: true}},
		{`"error":{"code":"timeout","message":"late","retryable":false}`, RPCError{Code: CodeTimeout, Message: "late"}},
		{`"result":1,"error":{"code":"internal_error","message":"m","new":1}`, RPCError{Code: CodeInternalError, Message: "m"}},
		{`"error":"text"`, RPCError{Code: CodeInternalError, Message: "internal error"}},
		{`"error":{"code":7,"message":"m","details":[]}`, RPCError{Code: CodeInternalError, Message: "m"}},
	}
	server := newFakeServer(t)
	c := server.connect()
	for _, tc := range cases {
		done := start(t.Context(), c, nil)
		sent := server.next("publish")
		sent.peer.publish(`{"correlation_id":%q,%s}`, sent.request().CorrelationID, tc.reply)
		got := wantFailure(t, done, tc.want.Code)
		if got.Retryable != tc.want.Retryable || fmt.Sprint(got.Details) != fmt.Sprint(tc.want.Details) {
			t.Errorf("%s became %+v", tc.reply, got)
		}
		if !strings.Contains(got.Error(), tc.want.Message) || !strings.Contains(got.Error(), string(tc.want.Code)) {
			t.Errorf("%s reads %q", tc.reply, got.Error())
		}
		if (got.RetryAfter != nil) != (tc.want.Code == "task_locked") || got.RetryAfter != nil && *got.RetryAfter != 1.5 {
			t.Errorf("%s has retry_after %v", tc.reply, got.RetryAfter)
		}
	}
}

func TestResultsAndParamsOfAnyType(t *testing.T) {
	server := newFakeServer(t)
	server.onPublish = func(c *command) { c.reply(string(c.request().Params)) }
	c := server.connect()
	type task struct {
		Name string  `json:"name"`
		Note *string `json:"note"`
	}
	var got task
	if err := c.Call(t.Context(), "echo", task{Name: "a\nb <c>"}, &got); err != nil || got.Name != "a\nb <c>" || got.Note != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := c.Call(t.Context(), "echo", json.RawMessage("{\n\"name\":\"raw\"}"), &got); err != nil || got.Name != "raw" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := c.Call(t.Context(), "echo", 1, nil); err != nil {
		t.Errorf("an ignored result: %v", err)
	}
	var list []int
	if err := c.Call(t.Context(), "echo", json.RawMessage("null"), &list); err != nil || list != nil {
		t.Errorf("null became %v, %v", list, err)
	}
	wantError(t, c.Call(t.Context(), "echo", "text", &list), CodeValidationError)
	wantError(t, c.Call(t.Context(), "echo", math.NaN(), nil), CodeValidationError)
	wantError(t, c.Call(t.Context(), "echo", 1, nil, WithTransport("RPC")), CodeValidationError)
}

func TestCodesAreThoseOfTheServer(t *testing.T) {
	source, err := os.ReadFile("../../django_cfg/errors.py")
	if err != nil {
		t.Fatal(err)
	}
	members := regexp.MustCompile(`(?m)^    ([A-Z_]+) = "([a-z_]+)"$`).FindAllStringSubmatch(string(source), -1)
	if len(members) != len(numberedCodes) {
		t.Fatalf("%d codes on the server, %d here", len(members), len(numberedCodes))
	}
	retryable := regexp.MustCompile(`(?s)_RETRYABLE = frozenset\(.*?\)`).FindString(string(source))
	for i, member := range members {
		if string(numberedCodes[i]) != member[2] {
			t.Errorf("number %d is %s on the server, %s here", firstNumber+i, member[2], numberedCodes[i])
		}
		there := regexp.MustCompile(`\bRPCErrorCode\.` + member[1] + `\b`).MatchString(retryable)
		if numberedCodes[i].retryable() != there {
			t.Errorf("%s: retryable is %t on the server", member[2], there)
		}
	}
	if !strings.Contains(string(source), fmt.Sprintf("FIRST_NUMBER = %d\n", firstNumber)) {
		t.Errorf("the server does not begin at %d", firstNumber)
	}
}

func TestNativeTransport(t *testing.T) {
	server := newFakeServer(t)
	c := server.connect(WithTransport(TransportRPC))
	done := start(t.Context(), c, map[string]int{"id": 1})
	sent := server.next("rpc")
	if sent.RPC.Method != "tasks.get" || string(sent.RPC.Data) != `{"id":1}` {
		t.Errorf("sent %s %s", sent.RPC.Method, sent.RPC.Data)
	}
	sent.answer(`{"data":"ok"}`)
	wantResult(t, done, "ok")

	empty := start(t.Context(), c, nil)
	server.next("rpc").answer(`{}`)
	wantResult(t, empty, nil)

	busy := start(t.Context(), c, nil)
	server.next("rpc").refuse(111, "too many requests", true)
	if !wantFailure(t, busy, CodeRateLimitExceeded).Retryable {
		t.Error("a temporary error is not retryable")
	}

	perCall := start(t.Context(), c, nil, WithTransport(TransportPublish))
	server.next("publish").reply(`"ok"`)
	wantResult(t, perCall, "ok")
}

func TestInterruptedNativeCallIsOutcomeUnknown(t *testing.T) {
	interruptions := map[string]func(*command){
		"error 100": func(c *command) { c.refuse(100, "internal server error", true) },
		"dropped":   func(c *command) { c.peer.drop() },
		"closed":    func(c *command) { c.peer.close(3503, "force disconnect") },
	}
	for name, interrupt := range interruptions {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			c := server.connect(WithOnError(func(error) {}))
			done := start(t.Context(), c, nil, WithTransport(TransportRPC))
			interrupt(server.next("rpc"))
			if wantFailure(t, done, CodeOutcomeUnknown).Retryable {
				t.Error("an unknown outcome is retryable")
			}
			if n := server.count("rpc"); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

func TestNativeCallIsNotCutByTheSDK(t *testing.T) {
	c := NewCentrifugoRPCClient("ws://127.0.0.1:1", "", "7", WithTimeout(0))
	if c.longestCommand() < defaultTimeout {
		t.Errorf("the SDK gives up after %v", c.longestCommand())
	}
	if c = NewCentrifugoRPCClient("ws://127.0.0.1:1", "", "7", WithTimeout(2*defaultTimeout)); c.longestCommand() < 2*defaultTimeout {
		t.Errorf("the SDK gives up after %v", c.longestCommand())
	}
	s := newSession(c)
	defer s.sdk.Close()
	if given := reflect.ValueOf(s.sdk).Elem().FieldByName("config").FieldByName("ReadTimeout").Int(); given < int64(c.longestCommand()) {
		t.Errorf("the SDK gives up after %v", time.Duration(given))
	}
	ctx, cancel := c.limit(t.Context(), callSettings{timeout: 10 * defaultTimeout, transport: TransportRPC})
	defer cancel()
	calls, _ := ctx.Deadline()
	sdks, stop := c.limit(t.Context(), callSettings{timeout: c.longestCommand()})
	defer stop()
	if last, _ := sdks.Deadline(); calls.After(last) {
		t.Error("a call may wait longer than the SDK")
	}
}
