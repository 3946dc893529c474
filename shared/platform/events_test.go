package platform_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"keyless/shared/platform/fc"
)

// TestEventsHaveTheShapeOfTheirTrigger decodes each event strictly into the type of the platform's library.
// A function URL's event has a route key and a stage, which the library's own type for it lacks; it is in
// the form of payload 2.0 like an HTTP API's.
func TestEventsHaveTheShapeOfTheirTrigger(t *testing.T) {
	t.Parallel()
	shapes := map[string]any{
		"rest-v1":            new(events.APIGatewayProxyRequest),
		"http-api-v2":        new(events.APIGatewayV2HTTPRequest),
		"function-url":       new(events.APIGatewayV2HTTPRequest),
		"alb":                new(events.ALBTargetGroupRequest),
		"alb-multivalue":     new(events.ALBTargetGroupRequest),
		"authorizer-token":   new(events.APIGatewayCustomAuthorizerRequest),
		"authorizer-request": new(events.APIGatewayCustomAuthorizerRequestTypeRequest),
		"authorizer-v2":      new(events.APIGatewayV2CustomAuthorizerV2Request),
		"fc-http-v1":         new(fc.Event),
		"schedule":           new(events.EventBridgeEvent),
		"fc-timer":           new(struct{ TriggerTime, TriggerName, Payload string }),
	}
	readme, err := os.ReadFile("../../events/README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../events/*.json")
	if err != nil || len(files) != 2*len(shapes) {
		t.Errorf("%d files for %d kinds: %v", len(files), len(shapes), err)
	}
	for name, shape := range shapes {
		if !strings.Contains(string(readme), "| `"+name+"` |") {
			t.Errorf("%s: its origin is not told", name)
		}
		decodeStrictly(t, name+".json", shape)
		decodeStrictly(t, name+".reply.json", new(map[string]any))
	}
}

func decodeStrictly(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../events", name))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
