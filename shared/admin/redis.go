package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// probeWithin bounds a look at the server: a person waits for it.
const probeWithin = 2 * time.Second

type redisProbe struct{ client redis.UniversalClient }

// NewProbe looks at a Redis server: INFO, and CONFIG GET where that is allowed, as it is not on most managed ones. Three round trips at
// most.
func NewProbe(client redis.UniversalClient) Probe { return redisProbe{client} }

func (p redisProbe) Probe(ctx context.Context) (ServerFacts, error) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	if err := p.client.Ping(ctx).Err(); err != nil {
		return ServerFacts{}, fmt.Errorf("ping the store: %w", err)
	}
	var facts ServerFacts
	info := p.info(ctx)
	facts.Version, facts.Mode, facts.Eviction = info["redis_version"], info["redis_mode"], info["maxmemory_policy"]
	facts.Used, _ = strconv.ParseInt(info["used_memory"], 10, 64) // 0: not told
	facts.Most, _ = strconv.ParseInt(info["maxmemory"], 10, 64)
	save, known := p.setting(ctx, "save")
	appends := info["aof_enabled"]
	switch {
	case appends == "1" && save != "":
		facts.Persistence = "both"
	case appends == "1":
		facts.Persistence = "aof"
	case save != "":
		facts.Persistence = "rdb"
	case known && appends == "0":
		facts.Persistence = "none"
	}
	return facts, nil
}

// info is INFO as names and values; empty where the server does not tell.
func (p redisProbe) info(ctx context.Context) map[string]string {
	facts := map[string]string{}
	text, err := p.client.Info(ctx).Result()
	if err != nil {
		return facts
	}
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, is := strings.Cut(strings.TrimSpace(line), ":"); is {
			facts[name] = value
		}
	}
	return facts
}

func (p redisProbe) setting(ctx context.Context, name string) (string, bool) {
	settings, err := p.client.ConfigGet(ctx, name).Result()
	if err != nil {
		return "", false
	}
	value, known := settings[name]
	return value, known
}
