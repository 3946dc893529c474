package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FC starts the binary under Function Compute, as a web function (FCCustom) or as an event function behind
// an HTTP trigger (FCEvent), and calls its initializer. The end of the test calls pre-stop.
// Source: https://www.alibabacloud.com/help/en/functioncompute/fc/principles-1
func FC(t testing.TB, binary string, env []string, mode string, options ...Option) *Function {
	t.Helper()
	s := newSettings(options)
	env = append([]string{
		"FC_FUNCTION_NAME=emulated", "FC_FUNCTION_HANDLER=main", "FC_FUNCTION_MEMORY_SIZE=256",
		"FC_REGION=cn-hangzhou", "FC_ACCOUNT_ID=123456789012", "FC_QUALIFIER=LATEST", "FC_INSTANCE_ID=emulated",
		"FC_FUNC_CODE_PATH=/code", "ALIBABA_CLOUD_ACCESS_KEY_ID=STS.emulated",
		"ALIBABA_CLOUD_ACCESS_KEY_SECRET=emulated", "ALIBABA_CLOUD_SECURITY_TOKEN=emulated",
	}, env...)
	var f *Function
	switch mode {
	case FCCustom:
		f = fcCustom(t, binary, env, s)
	case FCEvent:
		f = fcEvent(t, binary, env, s)
	default:
		t.Fatalf("function compute mode %q is unknown", mode)
	}
	if err := f.Lifecycle("/initialize"); err != nil {
		t.Fatalf("initialize: %v", err)
	}
	t.Cleanup(func() { // runs before the instance's own end
		if f.Alive() {
			f.Lifecycle("/pre-stop")
		}
	})
	return f
}

// describeFC sets what the platform tells an invocation, credentials included.
func describeFC(h http.Header, id string, kind int, timeout time.Duration) {
	for name, value := range map[string]string{
		"request-id": id, "function-type": strconv.Itoa(kind),
		"function-deadline": strconv.FormatInt(time.Now().Add(timeout).UnixMilli(), 10),
		"function-timeout":  strconv.Itoa(int(timeout.Seconds())),
		"function-name":     "emulated", "function-handler": "main", "function-memory": "256",
		"access-key-id": "STS.emulated", "access-key-secret": "emulated-secret",
		"security-token": "emulated-token",
		"region":         "cn-hangzhou", "account-id": "123456789012", "qualifier": "LATEST", "retry-count": "0",
	} {
		h.Set("X-Fc-"+name, value)
	}
}

func fcEvent(t testing.TB, binary string, env []string, s settings) *Function {
	t.Helper()
	api := &runtimeAPI{prefix: "/2020-11-11/runtime/invocation/", accepted: http.StatusOK, timeout: s.timeout,
		describe: func(h http.Header, inv *invocation) { describeFC(h, inv.id, inv.kind, s.timeout) }}
	f := startPolling(t, binary, append(env, "FC_RUNTIME_API="), api)
	f.Front = &Front{Mode: FCEvent, Call: api.call}
	f.invoke = invokeBy(api.call)
	f.lifecycle = func(path string) error {
		kind, ok := map[string]int{"/initialize": 1, "/pre-stop": 2, "/pre-freeze": 3}[path]
		if !ok {
			return fmt.Errorf("unknown lifecycle call %s", path)
		}
		reply, err := api.do(context.Background(), &invocation{kind: kind})
		if err != nil {
			return err
		}
		defer reply.Done(http.StatusAccepted)
		if reply.Failure != nil {
			return errors.New(errorMessage(reply.Failure))
		}
		_, err = io.Copy(io.Discard, reply.Body)
		return err
	}
	f.serveFront(t, f.Front)
	return f
}

func fcCustom(t testing.TB, binary string, env []string, s settings) *Function {
	t.Helper()
	free := listen(t)
	address := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(address)
	p := start(t, binary, append(env, "FC_SERVER_PORT="+port, "FC_CUSTOM_LISTEN_PORT="+port))
	f := &Function{Front: &Front{Mode: FCCustom}, process: p}
	if !waitForPort(p, address) {
		f.Close()
		t.Fatalf("FunctionNotStarted: %s does not listen on %s; it wrote:\n%s", binary, address, f.Logs())
	}
	f.InitDuration, f.InitCPU = time.Since(p.started), p.cpu()
	f.lifecycle = func(path string) error {
		method := http.MethodGet
		if path == "/initialize" {
			method = http.MethodPost
		}
		_, err := control(method, address, path, nil, s.timeout)
		return err
	}
	f.invoke = func(event []byte) ([]byte, string) {
		reply, err := control(http.MethodPost, address, "/invoke", event, s.timeout)
		if err != nil {
			return nil, err.Error()
		}
		return reply, ""
	}
	f.serveFront(t, webFront(address, s.timeout))
	return f
}

func waitForPort(p *process, address string) bool {
	end := time.Now().Add(startTimeout)
	for ; p.alive() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			c.Close()
			return true
		}
	}
	return false
}

// control makes one of the platform's own calls. A failure is told by the status or by X-Fc-Status.
func control(method, address, path string, body []byte, timeout time.Duration) ([]byte, error) {
	r, err := http.NewRequest(method, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	describeFC(r.Header, newID(), 0, timeout)
	r.Header.Set("X-Fc-Control-Path", path)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	status := response.Header.Get("X-Fc-Status")
	if response.StatusCode/100 != 2 || status != "" && status != "200" {
		return nil, errors.New(errorMessage(reply))
	}
	return reply, nil
}

// webFront passes requests on with the platform's headers in the place of the client's x-fc-*.
func webFront(address string, timeout time.Duration) http.Handler {
	return &httputil.ReverseProxy{
		FlushInterval: -1, // every chunk at once
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: address})
			p.Out.Host = p.In.Host
			for name := range p.Out.Header {
				if strings.HasPrefix(strings.ToLower(name), "x-fc-") {
					delete(p.Out.Header, name)
				}
			}
			describeFC(p.Out.Header, newID(), 0, timeout)
			p.Out.Header.Set("X-Fc-Control-Path", "/http-invoke")
			p.SetXForwarded()
			p.Out.Header.Set("X-Forwarded-Proto", "https")
		},
		ModifyResponse: func(r *http.Response) error {
			for name := range r.Header {
				if strings.HasPrefix(name, "X-Fc-") {
					delete(r.Header, name)
				}
			}
			return nil
		},
	}
}
