package fc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"keyless/shared/platform/door"
)

// Event is an HTTP trigger's event of version v1, whole.
type Event struct {
	Version         string            `json:"version"` // "v1"
	RawPath         string            `json:"rawPath"` // percent-encoded
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	Headers         map[string]string `json:"headers"`         // repeated ones joined with ","
	QueryParameters map[string]string `json:"queryParameters"` // decoded, repeated ones joined with ","
	RequestContext  Context           `json:"requestContext"`
}

// Context is what the platform knows about the request.
type Context struct {
	AccountID    string `json:"accountId"`
	DomainName   string `json:"domainName"`
	DomainPrefix string `json:"domainPrefix"`
	RequestID    string `json:"requestId"`
	Time         string `json:"time"`      // RFC 3339
	TimeEpoch    string `json:"timeEpoch"` // milliseconds, as a string
	HTTP         struct {
		Method    string `json:"method"`
		Path      string `json:"path"` // decoded
		Protocol  string `json:"protocol"`
		SourceIP  string `json:"sourceIp"`
		UserAgent string `json:"userAgent"`
	} `json:"http"`
}

// Reply is what the trigger takes; anything without a statusCode would be shown to the client as it is.
type Reply struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	Body            string            `json:"body"`
}

var errUnknown = errors.New("unknown event: not an HTTP trigger's event of version v1")

func decode(raw []byte) (door.Facts, error) {
	var e Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return door.Facts{}, fmt.Errorf("decode event: %w", err)
	}
	if e.Version != "v1" || e.RequestContext.HTTP.Method == "" {
		return door.Facts{}, errUnknown
	}
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return door.Facts{}, fmt.Errorf("decode body: %w", err)
		}
	}
	query := url.Values{}
	for name, value := range e.QueryParameters {
		query.Set(name, value)
	}
	return door.Facts{
		Method: e.RequestContext.HTTP.Method, Target: door.Target(e.RawPath, query.Encode()),
		Host: e.RequestContext.DomainName, RemoteIP: e.RequestContext.HTTP.SourceIP,
		RequestID: e.RequestContext.RequestID, Header: door.Header(e.Headers, nil), Body: body,
	}, nil
}

// encode writes text as text. Even where every byte takes six in JSON, a body of door.BodyMax stays under
// the 32 MB that the platform takes.
func encode(a door.Answer) json.RawMessage {
	reply := Reply{StatusCode: a.Status, Headers: make(map[string]string, len(a.Header))}
	for name, values := range a.Header {
		reply.Headers[name] = strings.Join(values, ", ")
		if name == "Set-Cookie" && len(values) > 0 {
			reply.Headers[name] = values[len(values)-1] // joined cookies are no cookies
		}
	}
	if reply.IsBase64Encoded = !door.IsText(a.Header, a.Body); reply.IsBase64Encoded {
		reply.Body = base64.StdEncoding.EncodeToString(a.Body)
	} else {
		reply.Body = string(a.Body)
	}
	message, err := json.Marshal(reply)
	if err != nil {
		panic(err) // Reply has a field that JSON cannot have
	}
	return message
}
