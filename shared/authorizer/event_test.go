package authorizer_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"keyless/shared/auth"
)

func TestEventsOfOtherKindsGoOn(t *testing.T) {
	t.Parallel()
	a := open(standard().store(t), &counter{})
	for name, text := range map[string]string{
		"an HTTP API's request":  `{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"}}}`,
		"a REST API's request":   `{"httpMethod":"GET","path":"/"}`,
		"a schedule":             `{"source":"aws.events","detail-type":"Scheduled Event"}`,
		"another type":           `{"type":"token"}`,
		"a type that is no text": `{"type":1}`,
		"no object":              `[]`,
		"no JSON":                `{`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if reply, handled, err := a.Event(context.Background(), json.RawMessage(text)); handled || err != nil {
				t.Errorf("taken: %s %v", reply, err)
			}
		})
	}
}

func TestAnEventThatTellsNoRequestIsNeverAllowed(t *testing.T) {
	t.Parallel()
	with := func(event map[string]any, name string, value any) map[string]any {
		event[name] = value
		return event
	}
	good := get("/open")
	for name, event := range map[string]map[string]any{
		"TOKEN without an ARN":       with(tokenEvent(good), "methodArn", ""),
		"TOKEN with another ARN":     with(tokenEvent(good), "methodArn", "arn:aws:s3:::bucket/key/a/b"),
		"TOKEN with a question mark": with(tokenEvent(good), "methodArn", stageARN+"/GET/x?/../open"),
		"REQUEST without an ARN":     with(requestEvent(good), "methodArn", stageARN),
		"REQUEST without a method":   with(requestEvent(good), "httpMethod", ""),
		"REQUEST with a bad method":  with(requestEvent(good), "httpMethod", "GET /"),
		"REQUEST without a path":     with(requestEvent(good), "path", ""),
		"REQUEST with half a path":   with(requestEvent(good), "path", "open"),
		"REQUEST with two hosts": with(requestEvent(good), "requestContext",
			map[string]any{"domainName": "a,b"}),
		"2.0 without a context":        with(version2Event(good), "requestContext", map[string]any{}),
		"2.0 with a control character": with(version2Event(good), "rawPath", "/prod/open/\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := ask(t, open(standard().store(t), &counter{limit: 9}), event)
			if err != nil {
				if err.Error() != "authorizer unavailable" {
					t.Errorf("got %v", err)
				}
				return
			}
			if strings.Contains(string(reply), `"Allow"`) || strings.Contains(string(reply), `"isAuthorized":true`) {
				t.Errorf("allowed: %s", reply)
			}
		})
	}
}

func TestCredentialsArriveWherePlatformsPutThem(t *testing.T) {
	t.Parallel()
	w := standard()
	w.consumers = []string{
		strings.Replace(consumer("alice", "", "reports"), `"jwt":{`, `"jwt":{"query":"access_token",`, 1),
		strings.Replace(consumer("dora", "", "reports"), `"jwt":{`, `"jwt":{"cookie":"session",`, 1),
	}
	const bare = len("Bearer ")
	alice, dora := bearer("alice")[bare:], bearer("dora")[bare:]
	for name, c := range map[string]struct {
		event map[string]any
		want  string
	}{
		"REST, in the query": {change(requestEvent(get("/reports")), map[string]any{
			"multiValueQueryStringParameters": map[string]any{"access_token": []string{alice}}}), allowed},
		"REST, in the query, single-valued": {change(requestEvent(get("/reports")), map[string]any{
			"queryStringParameters": map[string]any{"access_token": alice}}), allowed},
		"REST, twice in the query": {change(requestEvent(get("/reports")), map[string]any{
			"multiValueQueryStringParameters": map[string]any{"access_token": []string{alice, alice}}}), unproven},
		"REST, in a cookie": {change(requestEvent(get("/reports")), map[string]any{
			"multiValueHeaders": map[string]any{"cookie": []string{"a=1; session=" + dora}}}), allowed},
		"REST, in two cookie headers": {change(requestEvent(get("/reports")), map[string]any{
			"multiValueHeaders": map[string]any{"Cookie": []string{"session=" + dora, "session=" + dora}}}), unproven},
		"REST, in headers of two spellings": {change(requestEvent(get("/reports")), map[string]any{
			"multiValueHeaders": map[string]any{"cookie": []string{"session=" + dora},
				"COOKIE": []string{"session=" + dora}}}), unproven},
		"2.0, in the query": {change(version2Event(get("/reports")), map[string]any{
			"rawQueryString": "access_token=" + alice}), allowed},
		"2.0, twice in the query": {change(version2Event(get("/reports")), map[string]any{
			"rawQueryString": "access_token=" + alice + "&access%5Ftoken=x"}), unproven},
		"2.0, in a cookie": {change(version2Event(get("/reports")), map[string]any{
			"cookies": []string{"a=1", "session=" + dora}}), allowed},
		"2.0, in two cookies": {change(version2Event(get("/reports")), map[string]any{
			"cookies": []string{"session=" + dora, "session=" + dora}}), unproven},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := w.store(t)
			write(t, store, places("query:access_token:", "cookie:session:"))
			reply, err := ask(t, open(store, &counter{limit: 9}), c.event)
			var r struct {
				IsAuthorized bool
				Context      map[string]string
			}
			_ = json.Unmarshal(reply, &r)
			got := refused
			switch code := r.Context["code"]; {
			case err != nil && err.Error() == "Unauthorized":
				got = unproven
			case code == allowed:
				got = allowed
			case auth.Reason(code).Refusal().Status == 401:
				got = unproven
			}
			if got != c.want {
				t.Errorf("got %s (%s %v)", got, reply, err)
			}
		})
	}
}

func change(event, by map[string]any) map[string]any {
	maps.Copy(event, by)
	return event
}

// L05: strings of at most 512 bytes.
func TestL05ContextTellsWhoCalls(t *testing.T) {
	t.Parallel()
	ctx := lambdacontext.NewContext(context.Background(),
		&lambdacontext.LambdaContext{AwsRequestID: "invocation-1"})
	for name, c := range map[string]struct {
		call      call
		principal string
		want      map[string]string
	}{
		"allowed": {get("/reports", bearer("alice")), "alice", map[string]string{
			"consumer": "alice", "method": "jwt", "subject": "subject of alice", "client_id": "client",
			"code": "allowed", "x_mapped": "subject of alice"}},
		"open":    {get("/open", bearer("alice")), "anonymous", map[string]string{"code": "allowed"}},
		"refused": {get("/reports", bearer("carol")), "anonymous", map[string]string{"code": "access_denied"}},
		"signed, with a digest of the body": {signedBy("hal", get("/signed").with("Content-MD5", "bWQ1"), "n"),
			"hal", map[string]string{"consumer": "hal", "method": "hmac", "code": "allowed", "content_md5": "bWQ1"}},
		"a subject too long to be passed on": {
			get("/reports", "Bearer "+token(secret, strings.Replace(claims("alice", 60e9), "subject of ",
				strings.Repeat("s", 600), 1))), "alice", map[string]string{"consumer": "alice", "method": "jwt",
				"client_id": "client", "code": "allowed"}},
	} {
		for _, name := range []string{"consumer", "method", "subject", "client_id", "content_md5",
			"x_mapped", "x_nothing"} {
			c.want[name] += "" // always the same names
		}
		c.want["request_id"] = "invocation-1"
		for version, event := range map[string]map[string]any{
			"REST": requestEvent(c.call), "2.0": version2Event(c.call)} {
			t.Run(version+"/"+name, func(t *testing.T) {
				t.Parallel()
				text, _ := json.Marshal(event)
				reply, _, err := open(everything().store(t), &counter{limit: 9}).Event(ctx, text)
				if err != nil {
					t.Fatal(err)
				}
				var r struct {
					PrincipalID *string           `json:"principalId"`
					Context     map[string]string `json:"context"` // strings only: anything else does not decode
				}
				if err := json.Unmarshal(reply, &r); err != nil {
					t.Fatal(err)
				}
				if !maps.Equal(r.Context, c.want) {
					t.Errorf("got  %v\nwant %v", r.Context, c.want)
				}
				if version == "REST" && (r.PrincipalID == nil || *r.PrincipalID != c.principal) {
					t.Errorf("principal: %s", reply)
				}
			})
		}
	}
}

func TestEveryReasonIsUnprovenOrRefused(t *testing.T) {
	t.Parallel()
	for _, reason := range auth.Reasons {
		if status := reason.Refusal().Status; !slices.Contains([]int{401, 403, 413}, status) {
			t.Errorf("%s: status %d is neither unproven nor refused", reason, status)
		}
	}
}
