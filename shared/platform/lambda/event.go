package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"keyless/shared/platform/door"
)

// event has the fields of all HTTP triggers that a request is made of; the rest of an event is not read.
type event struct {
	Version    string `json:"version"`    // "2.0": HTTP API and function URL; "1.0": HTTP API in the REST form
	Type       string `json:"type"`       // authorizers only
	HTTPMethod string `json:"httpMethod"` // REST, load balancer

	Path        string              `json:"path"`
	Query       map[string]string   `json:"queryStringParameters"`
	MultiQuery  map[string][]string `json:"multiValueQueryStringParameters"`
	RawPath     string              `json:"rawPath"`        // 2.0
	RawQuery    string              `json:"rawQueryString"` // 2.0
	Headers     map[string]string   `json:"headers"`
	MultiHeader map[string][]string `json:"multiValueHeaders"`
	Cookies     []string            `json:"cookies"` // 2.0
	Body        string              `json:"body"`
	Base64      bool                `json:"isBase64Encoded"`

	Context struct {
		RequestID string          `json:"requestId"`
		Stage     string          `json:"stage"`
		Domain    string          `json:"domainName"`
		ELB       json.RawMessage `json:"elb"` // present: load balancer
		Identity  struct {
			SourceIP    string            `json:"sourceIp"`
			Certificate clientCertificate `json:"clientCert"` // mutual TLS
		} `json:"identity"` // REST
		Authentication struct {
			Certificate clientCertificate `json:"clientCert"` // mutual TLS
		} `json:"authentication"` // 2.0
		HTTP struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"` // 2.0
	} `json:"requestContext"`
}

// clientCertificate is the certificate that a domain with mutual TLS has verified. Source:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mutual-tls.html
type clientCertificate struct {
	PEM string `json:"clientCertPem"`
}

// trigger is what one kind of event source sends and takes.
type trigger struct {
	name    string
	facts   func(*event) (door.Facts, error)
	reply   func(e *event, a door.Answer, body string, base64 bool) any
	prelude func(status int, h http.Header) any // nil: cannot stream
}

// errUnknown is the function error for an event that is neither HTTP nor the event handler's.
var errUnknown = errors.New("unknown event: not an API Gateway, function URL or load balancer request")

// decode tells the trigger by the event's shape. A "type" marks an authorizer's event, which looks like a
// request but is a question about one.
func decode(raw json.RawMessage) (*event, trigger, error) {
	e := new(event)
	if err := json.Unmarshal(raw, e); err != nil {
		return nil, trigger{}, fmt.Errorf("decode event: %w", err)
	}
	switch c := &e.Context; {
	case e.Type != "":
		return nil, trigger{}, errUnknown
	case c.ELB != nil && e.HTTPMethod != "":
		return e, alb, nil
	case e.Version == "2.0" && c.HTTP.Method != "" && strings.Contains(c.Domain, ".lambda-url."):
		return e, functionURL, nil
	case e.Version == "2.0" && c.HTTP.Method != "":
		return e, httpAPI, nil
	case e.Version == "1.0" && e.HTTPMethod != "":
		return e, httpAPIv1, nil
	case e.Version == "" && e.HTTPMethod != "":
		return e, rest, nil
	}
	return nil, trigger{}, errUnknown
}

func (e *event) body() ([]byte, error) {
	if !e.Base64 {
		return []byte(e.Body), nil
	}
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		return nil, fmt.Errorf("decode body: %w", err)
	}
	return body, nil
}
