package meter_test

import (
	"bytes"
	"testing"

	"keyless/shared/proxy/meter"
)

func TestErrorFrameIsWhatTheMeterKnowsForAnError(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		kind meter.Kind
		want string
	}{
		"chat":      {meter.Chat, "\n\ndata: {\"error\":{\"message\":\"Gone\",\"type\":\"server_error\",\"param\":null,\"code\":\"cut\"},\"request_id\":\"r1\"}\n\n"},
		"opaque":    {meter.Opaque, "\n\ndata: {\"error\":{\"message\":\"Gone\",\"type\":\"server_error\",\"param\":null,\"code\":\"cut\"},\"request_id\":\"r1\"}\n\n"},
		"messages":  {meter.Messages, "\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"Gone\",\"code\":\"cut\"},\"request_id\":\"r1\"}\n\n"},
		"responses": {meter.Responses, "\n\nevent: error\ndata: {\"type\":\"error\",\"code\":\"cut\",\"message\":\"Gone\",\"param\":null,\"request_id\":\"r1\"}\n\n"},
		"native":    {meter.Native, "\n\nevent:error\n:HTTP_STATUS/500\ndata: {\"code\":\"cut\",\"message\":\"Gone\",\"request_id\":\"r1\"}\n\n"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			got := meter.ErrorFrame(row.kind, "Gone", "cut", "r1")
			if string(got) != row.want {
				t.Fatalf("\n got %q\nwant %q", got, row.want)
			}
			sum := follow(meter.Following{Kind: row.kind, Events: true}, got, 0)
			if known := sum.Failed.Status == 500; known != (row.kind != meter.Opaque) {
				t.Fatalf("%+v", sum)
			}
		})
	}
}

func TestKeepAliveTellsNothing(t *testing.T) {
	t.Parallel()
	got := follow(meter.Following{Kind: meter.Chat, Events: true, HideUsage: true}, bytes.Repeat(meter.KeepAlive, 3), 1)
	if got != (sum{Passed: string(bytes.Repeat(meter.KeepAlive, 3))}) {
		t.Fatalf("%+v", got)
	}
}
