package platform

// lambdaBodyMax is what Lambda lets through of a request: its event is at most 6 MiB of JSON, in which a binary body is base64; with
// room for headers 4.4 MiB are left.
const lambdaBodyMax = 44 << 20 / 10

// MaxBody is the largest request body, in bytes, that the platform of the environment can deliver; 0 where the platform's bound is
// above any of ours. A handler that refuses by it answers 413 in its own words, where the platform would cut the call.
func MaxBody(lookup func(string) (string, bool)) int64 {
	o := Options{Lookup: lookup}
	if name, _ := lookup("KEYLESS_RUNTIME"); name != "" {
		o.Runtime = name
	}
	if o.runtime() == Lambda {
		return lambdaBodyMax
	}
	return 0
}
