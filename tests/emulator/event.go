package emulator

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// newEvent makes the event that the mode's front end sends for a request. The shapes follow live captures:
// what is decoded, lower-cased, joined or lost here is so there.
func newEvent(mode string, r *http.Request, body []byte) []byte {
	if mode == Raw {
		return body
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	header := r.Header.Clone()
	header.Set("Host", r.Host)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Forwarded-For", strings.TrimPrefix(r.Header.Get("X-Forwarded-For")+", "+client, ", "))
	header.Set("X-Forwarded-Proto", "https")
	header.Set("X-Forwarded-Port", "443")
	event := map[string]any{"body": string(body), "isBase64Encoded": false}
	if !utf8.Valid(body) {
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	q := request{Request: r, header: header, client: client, now: time.Now().UTC()}
	switch mode {
	case URL, URLStream:
		maps.Copy(event, q.functionURL())
	case HTTPAPI:
		maps.Copy(event, q.httpAPI())
	case REST, RESTStream:
		maps.Copy(event, q.rest())
	case ALB, ALBMulti:
		maps.Copy(event, q.alb(mode == ALBMulti))
	case FCEvent:
		maps.Copy(event, q.functionCompute())
	}
	encoded, err := json.Marshal(event)
	if err != nil {
		panic(err) // maps and strings only
	}
	return encoded
}

type request struct {
	*http.Request
	header http.Header
	client string
	now    time.Time
}

// domain is the Host header's name where the test chose one, as a custom domain would be, else the cloud's.
func (q request) domain(own string) string {
	host, _, err := net.SplitHostPort(q.Host)
	if err != nil {
		host = q.Host
	}
	if host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil {
		return own
	}
	return host
}

// functionURL keeps path and query encoded and has the cookies twice.
func (q request) functionURL() map[string]any {
	return q.version2("emulated.lambda-url.us-east-1.on.aws", q.Request.URL.EscapedPath())
}

// httpAPI decodes the path and takes the cookies out of the headers.
func (q request) httpAPI() map[string]any {
	event := q.version2(q.domain("emulated.execute-api.us-east-1.amazonaws.com"), q.Request.URL.Path)
	delete(event["headers"].(map[string]string), "cookie")
	return event
}

func (q request) version2(domain, path string) map[string]any {
	var cookies []string
	for _, line := range q.header["Cookie"] {
		for cookie := range strings.SplitSeq(line, ";") {
			cookies = append(cookies, strings.TrimSpace(cookie))
		}
	}
	return map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": q.Request.URL.RawQuery,
		"cookies": cookies, "headers": joined(q.header, strings.ToLower),
		"queryStringParameters": joined(http.Header(q.Request.URL.Query()), keep),
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "emulated", "domainName": domain, "domainPrefix": "emulated",
			"requestId": newID(), "routeKey": "$default", "stage": "$default",
			"time": q.now.Format("02/Jan/2006:15:04:05 -0700"), "timeEpoch": q.now.UnixMilli(),
			"http": map[string]any{"method": q.Method, "path": q.Request.URL.Path, "protocol": q.Proto,
				"sourceIp": q.client, "userAgent": q.UserAgent()},
		},
	}
}

// rest keeps the path encoded, decodes the query, keeps the client's spelling of headers and has no length.
func (q request) rest() map[string]any {
	q.header.Del("Content-Length")
	query := http.Header(q.Request.URL.Query())
	return map[string]any{
		"resource": "/{proxy+}", "path": q.Request.URL.EscapedPath(), "httpMethod": q.Method,
		"headers": last(q.header, keep), "multiValueHeaders": q.header,
		"queryStringParameters": last(query, keep), "multiValueQueryStringParameters": query,
		"pathParameters": map[string]string{"proxy": strings.TrimPrefix(q.Request.URL.EscapedPath(), "/")},
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "emulated", "stage": "live", "requestId": newID(),
			"domainName": q.domain("emulated.execute-api.us-east-1.amazonaws.com"), "domainPrefix": "emulated",
			"protocol": q.Proto, "httpMethod": q.Method, "path": "/live" + q.Request.URL.EscapedPath(),
			"resourcePath": "/{proxy+}", "requestTimeEpoch": q.now.UnixMilli(),
			"identity": map[string]any{"sourceIp": q.client, "userAgent": q.UserAgent()},
		},
	}
}

// alb keeps path and query encoded; without multi-value headers the last of each name remains.
func (q request) alb(multi bool) map[string]any {
	query := http.Header{}
	for pair := range strings.SplitSeq(q.Request.URL.RawQuery, "&") {
		if name, value, _ := strings.Cut(pair, "="); name != "" {
			query[name] = append(query[name], value)
		}
	}
	event := map[string]any{
		"httpMethod": q.Method, "path": q.Request.URL.EscapedPath(),
		"requestContext": map[string]any{"elb": map[string]any{"targetGroupArn": "arn:aws:elasticloadbalancing:" +
			"us-east-1:123456789012:targetgroup/emulated/0123456789abcdef"}},
	}
	if !multi {
		event["headers"], event["queryStringParameters"] = last(q.header, strings.ToLower), last(query, keep)
		return event
	}
	lower := map[string][]string{}
	for name, values := range q.header {
		lower[strings.ToLower(name)] = values
	}
	event["multiValueHeaders"], event["multiValueQueryStringParameters"] = lower, query
	return event
}

// functionCompute keeps the path encoded, decodes the query and joins whatever repeats.
func (q request) functionCompute() map[string]any {
	return map[string]any{
		"version": "v1", "rawPath": q.Request.URL.EscapedPath(), "headers": joined(q.header, keep),
		"queryParameters": joined(http.Header(q.Request.URL.Query()), keep),
		"requestContext": map[string]any{
			"accountId": "123456789012", "domainName": q.domain("emulated.cn-hangzhou.fcapp.run"),
			"domainPrefix": "emulated", "requestId": newID(), "time": q.now.Format(time.RFC3339),
			"timeEpoch": strconv.FormatInt(q.now.UnixMilli(), 10),
			"http": map[string]any{"method": q.Method, "path": q.Request.URL.Path, "protocol": q.Proto,
				"sourceIp": q.client, "userAgent": q.UserAgent()},
		},
	}
}

func keep(name string) string { return name }

func joined(h http.Header, spell func(string) string) map[string]string {
	m := make(map[string]string, len(h))
	for name, values := range h {
		m[spell(name)] = strings.Join(values, ",")
	}
	return m
}

func last(h http.Header, spell func(string) string) map[string]string {
	m := make(map[string]string, len(h))
	for name, values := range h {
		m[spell(name)] = values[len(values)-1]
	}
	return m
}
