package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// Instance is what the calendar asks of an instance; *registry.Instance satisfies it.
type Instance interface {
	Algorithm() string       // what it signs with
	Rotation() time.Duration // how long one key signs
}

// errTend is the function error of a scheduled event; the log has the reasons.
var errTend = errors.New("the signing keys of some instances were not tended")

// Calendar answers scheduled events by tending the keys of all instances: of Amazon EventBridge (source
// aws.events or aws.scheduler, detail-type "Scheduled Event") and of Function Compute's timer trigger
// (triggerName, triggerTime). The reply is {"instances":count,"changed":[names]}. Where an instance fails the
// others are still tended, and the event ends in an error, so that the platform sends it again: that is safe,
// as is one event twice. Other events are not handled.
func Calendar[I Instance](
	ring *Ring, instances func(context.Context) (map[string]I, error), log *slog.Logger,
) func(context.Context, json.RawMessage) (json.RawMessage, bool, error) {
	return func(ctx context.Context, event json.RawMessage) (json.RawMessage, bool, error) {
		if !scheduled(event) {
			return nil, false, nil
		}
		all, err := instances(ctx)
		if err != nil {
			log.ErrorContext(ctx, "signing keys not tended", "reason", err.Error())
			return nil, true, errTend
		}
		changed, failed := []string{}, error(nil)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			one, err := ring.Tend(ctx, name, all[name].Algorithm(), all[name].Rotation())
			if err != nil {
				log.ErrorContext(ctx, "signing keys not tended", "instance", name, "reason", err.Error())
				failed = errTend
			}
			if one {
				changed = append(changed, name)
			}
		}
		log.InfoContext(ctx, "signing keys tended", "instances", len(all), "changed", changed)
		reply, _ := json.Marshal(map[string]any{"instances": len(all), "changed": changed}) // cannot fail
		return reply, true, failed
	}
}

// scheduled recognises an event by the members that its platform always sends.
func scheduled(event json.RawMessage) bool {
	var e struct {
		Source      string `json:"source"`
		DetailType  string `json:"detail-type"`
		TriggerName string `json:"triggerName"`
		TriggerTime string `json:"triggerTime"`
	}
	if json.Unmarshal(event, &e) != nil {
		return false
	}
	eventBridge := e.Source == "aws.events" || e.Source == "aws.scheduler"
	return eventBridge && e.DetailType == "Scheduled Event" || e.TriggerName != "" && e.TriggerTime != ""
}
