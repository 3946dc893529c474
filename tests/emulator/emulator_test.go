package emulator_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/tests/emulator"
)

// probe is the built binary that all tests here run: one behaviour per path.
var probe string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "probe")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	probe = filepath.Join(folder, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", probe,
		"keyless/shared/platform/testdata/probe")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// modes are all the ways to run a function; those that stream say so to the function.
var modes = map[string]func(*testing.T) *emulator.Function{
	emulator.URL: lambda(emulator.URL), emulator.URLStream: lambda(emulator.URLStream),
	emulator.HTTPAPI: lambda(emulator.HTTPAPI), emulator.REST: lambda(emulator.REST),
	emulator.RESTStream: lambda(emulator.RESTStream), emulator.ALB: lambda(emulator.ALB),
	emulator.ALBMulti: lambda(emulator.ALBMulti),
	emulator.FCCustom: functionCompute(emulator.FCCustom),
	emulator.FCEvent:  functionCompute(emulator.FCEvent),
}

func streams(mode string) bool {
	return strings.HasSuffix(mode, "-stream") || mode == emulator.FCCustom
}

func lambda(mode string) func(*testing.T) *emulator.Function {
	return func(t *testing.T) *emulator.Function {
		var env []string
		if streams(mode) {
			env = append(env, "KEYLESS_RESPONSE_MODE=stream")
		}
		return emulator.Lambda(t, probe, env, mode)
	}
}

func functionCompute(mode string) func(*testing.T) *emulator.Function {
	return func(t *testing.T) *emulator.Function { return emulator.FC(t, probe, nil, mode) }
}

func TestABuiltBinaryAnswersInEveryMode(t *testing.T) {
	for mode, open := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.CutOnError = true
			if f.InitDuration <= 0 || f.InitCPU <= 0 {
				t.Errorf("init took %v, %v of CPU", f.InitDuration, f.InitCPU)
			}
			status, header, body, err := post(f.URL + "/echo?b=1")
			if err != nil || status != 200 || body != "POST /echo?b=1 hello true" || len(header.Get("X-Id")) < 32 {
				t.Errorf("echo: %d %q, id %q: %v", status, body, header.Get("X-Id"), err)
			}
			if header.Get("X-Secret") != "" {
				t.Error("the platform's credentials reached the handler")
			}
			if status, _, _, _ := post(f.URL + "/panic"); status != 500 {
				t.Errorf("panic: %d", status)
			}
			_, _, body, err = post(f.URL + "/chunks")
			if err != nil || body != "data: 0\n\ndata: 1\n\ndata: 2\n\n" {
				t.Errorf("chunks: %q %v", body, err)
			}
			status, _, _, err = post(f.URL + "/abort")
			if streams(mode) && err == nil || !streams(mode) && status != 502 {
				t.Errorf("abort: %d %v", status, err)
			}
			if status, _, _, _ := post(f.URL + "/huge"); !streams(mode) && status != 502 {
				t.Errorf("huge: %d", status)
			}
			if status, _, body, _ := post(f.URL + "/quotes"); status != 200 || len(body) != 3300<<10 {
				t.Errorf("quotes: %d, %d bytes", status, len(body))
			}
			if status, _, _, _ := post(f.URL + "/_/readyz"); status != 405 { // POST
				t.Errorf("readyz: %d", status)
			}
			if !f.Alive() {
				t.Error("the process died")
			}
			f.Close()
			if !strings.Contains(f.Logs(), "probe ended well") {
				t.Error("SIGTERM did not end the process well")
			}
		})
	}
}

func TestAStreamArrivesAsItIsWritten(t *testing.T) {
	for mode, open := range modes {
		if !streams(mode) {
			continue
		}
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			gate := filepath.Join(t.TempDir(), "gate")
			response, err := http.Get(f.URL + "/chunks?file=" + gate)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			first := make([]byte, len("data: 0\n\n"))
			if _, err := io.ReadFull(response.Body, first); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "data: 1\n\ndata: 2\n\n" {
				t.Errorf("the rest: %q %v", rest, err)
			}
		})
	}
}

func TestWithoutCutOnErrorABrokenStreamEndsCleanly(t *testing.T) {
	f := lambda(emulator.URLStream)(t)
	status, _, body, err := post(f.URL + "/abort")
	if status != 200 || body != "half" || err != nil || f.Cuts() != 1 {
		t.Errorf("got %d %q %v, %d cuts", status, body, err, f.Cuts())
	}
}

func TestEventsReachTheEventHandler(t *testing.T) {
	for _, open := range []func(*testing.T) *emulator.Function{
		lambda(emulator.Raw), modes[emulator.FCCustom], modes[emulator.FCEvent],
	} {
		f := open(t)
		if reply, failure := f.Invoke([]byte(`{"ask":"why"}`)); failure != "" || string(reply) != `{"ask":"why"}` {
			t.Errorf("got %s, error %q", reply, failure)
		}
		if _, failure := f.Invoke([]byte(`{"ask":"unproven"}`)); failure != "Unauthorized" {
			t.Errorf("got error %q", failure)
		}
	}
}

func TestAnUnknownEventIsAnErrorAndNotTheEnd(t *testing.T) {
	for mode, f := range map[string]*emulator.Function{
		"lambda": lambda(emulator.Raw)(t), "fc": modes[emulator.FCEvent](t),
	} {
		for range 2 {
			if _, failure := f.Invoke([]byte(`{"Records":[]}`)); !strings.HasPrefix(failure, "unknown event") {
				t.Errorf("%s: got error %q", mode, failure)
			}
		}
	}
}

func TestInvocationsRunAtOnce(t *testing.T) {
	for mode, f := range map[string]*emulator.Function{
		"lambda":    emulator.Lambda(t, probe, nil, emulator.URL, emulator.Concurrency(4)),
		"fc-event":  modes[emulator.FCEvent](t),
		"fc-custom": modes[emulator.FCCustom](t),
	} {
		var calls sync.WaitGroup
		for range 4 { // none ends before all are there
			calls.Go(func() {
				if status, _, _, err := post(f.URL + "/meet"); status != 200 || err != nil {
					t.Errorf("%s: %d %v", mode, status, err)
				}
			})
		}
		calls.Wait()
	}
}

func TestLifecycleCallsAreThePlatforms(t *testing.T) {
	for _, mode := range []string{emulator.FCCustom, emulator.FCEvent} {
		f := modes[mode](t)
		for end := time.Now().Add(5 * time.Second); !strings.Contains(f.Logs(), "probe initialized"); {
			if time.Now().After(end) { // the log is read from a pipe and may lag
				t.Fatalf("%s: not initialized", mode)
			}
			time.Sleep(time.Millisecond)
		}
		for _, path := range []string{"/pre-freeze", "/pre-stop"} {
			if err := f.Lifecycle(path); err != nil {
				t.Errorf("%s: %s: %v", mode, path, err)
			}
		}
		if status, _, _, _ := post(f.URL + "/initialize"); status != 404 {
			t.Errorf("%s: a client called /initialize and got %d", mode, status)
		}
	}
}

// post sends a small POST.
func post(url string) (int, http.Header, string, error) {
	r, err := http.NewRequest("POST", url, strings.NewReader("hello"))
	if err != nil {
		return 0, nil, "", err
	}
	r.Header.Set("X-Fc-Control-Path", "/initialize") // what a client might try
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(body), err
}
