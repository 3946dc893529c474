// Command probe is a function with one behaviour per path, for the tests that run a built binary under the
// emulator.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"keyless/shared/platform"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		deadline, _ := r.Context().Deadline()
		w.Header().Set("X-Id", r.Header.Get("X-Request-Id"))
		w.Header().Set("X-Secret", r.Header.Get("X-Fc-Access-Key-Secret"))
		fmt.Fprintf(w, "%s %s %s %t", r.Method, r.URL.RequestURI(), body, time.Until(deadline) > 0)
	})
	mux.HandleFunc("/chunks", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
			awaitFile(r) // before the test has read this chunk, it does not exist
		}
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("wanted by the test") })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 5<<20))
	})
	mux.HandleFunc("/quotes", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		text := make([]byte, 3300<<10) // under the limit, but every byte doubles as JSON text
		for i := range text {
			text[i] = '"'
		}
		w.Write(text)
	})
	var meeting sync.WaitGroup
	meeting.Add(meetingSize)
	mux.HandleFunc("/meet", func(w http.ResponseWriter, _ *http.Request) {
		meeting.Done()
		meeting.Wait()
	})
	err := platform.Serve(context.Background(), platform.Options{
		Stream: os.Getenv("KEYLESS_RESPONSE_MODE") == "stream", Event: answer,
		Initialize: func(context.Context) error {
			fmt.Println("probe initialized")
			return nil
		},
	}, mux)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("probe ended well")
}

// meetingSize is how many calls /meet holds until all of them are there.
const meetingSize = 4

// awaitFile waits until the file named in the query exists; without one it returns at once.
func awaitFile(r *http.Request) {
	for file := r.URL.Query().Get("file"); file != ""; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(file); err == nil || r.Context().Err() != nil {
			return
		}
	}
}

func answer(_ context.Context, event json.RawMessage) (json.RawMessage, bool, error) {
	var question struct{ Ask string }
	if json.Unmarshal(event, &question) != nil || question.Ask == "" {
		return nil, false, nil
	}
	if question.Ask == "unproven" {
		return nil, true, errors.New("Unauthorized")
	}
	return event, true, nil
}
