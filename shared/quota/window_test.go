package quota

import (
	"testing"
	"time"
	_ "time/tzdata" // function images have none, and a test must not depend on the machine
)

func in(t testing.TB, zone string) *time.Location {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return location
}

func at(t testing.TB, zone, text string) time.Time {
	t.Helper()
	moment, err := time.ParseInLocation("2006-01-02 15:04:05", text, in(t, zone))
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func TestDayWindow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone, noon string
		start      string // with offset
		length     time.Duration
	}{
		"a plain day in UTC":      {"UTC", "2026-11-25", "2026-11-25T00:00:00Z", 24 * time.Hour},
		"a plain day in Shanghai": {"Asia/Shanghai", "2026-11-25", "2026-11-25T00:00:00+08:00", 24 * time.Hour},
		"the clock goes back": {
			"America/New_York", "2026-11-01", "2026-11-01T00:00:00-04:00", 25 * time.Hour,
		},
		"the clock goes forward": {
			"America/New_York", "2026-03-08", "2026-03-08T00:00:00-05:00", 23 * time.Hour,
		},
		"half an hour back": {
			"Australia/Lord_Howe", "2026-04-05", "2026-04-05T00:00:00+11:00", 1470 * time.Minute,
		},
		"half an hour forward": {
			"Australia/Lord_Howe", "2026-10-04", "2026-10-04T00:00:00+10:30", 1410 * time.Minute,
		},
		"no midnight, Beirut": {"Asia/Beirut", "2026-03-29", "2026-03-29T01:00:00+03:00", 23 * time.Hour},
		"no midnight, Cairo":  {"Africa/Cairo", "2026-04-24", "2026-04-24T01:00:00+03:00", 23 * time.Hour},
		"no midnight, Santiago": {
			"America/Santiago", "2026-09-06", "2026-09-06T01:00:00-03:00", 23 * time.Hour,
		},
		"the day before no midnight": {
			"America/Santiago", "2026-09-05", "2026-09-05T00:00:00-04:00", 24 * time.Hour,
		},
		"the last hour twice": {
			"America/Santiago", "2026-04-04", "2026-04-04T00:00:00-03:00", 25 * time.Hour,
		},
		"midnight twice, Havana": {
			"America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00", 25 * time.Hour,
		},
		"before a date that is not": {"Pacific/Apia", "2011-12-29", "2011-12-29T00:00:00-10:00", 24 * time.Hour},
		"after a date that is not":  {"Pacific/Apia", "2011-12-31", "2011-12-31T00:00:00+14:00", 24 * time.Hour},
		"a leap day":                {"Europe/Berlin", "2028-02-29", "2028-02-29T00:00:00+01:00", 24 * time.Hour},
		"a zone of quarter hours": {
			"Asia/Kathmandu", "2026-11-25", "2026-11-25T00:00:00+05:45", 24 * time.Hour,
		},
		"the end of a year":           {"Asia/Tokyo", "2026-12-31", "2026-12-31T00:00:00+09:00", 24 * time.Hour},
		"after the year 2038, Berlin": {"Europe/Berlin", "2040-03-25", "2040-03-25T00:00:00+01:00", 23 * time.Hour},
	}
	for name, test := range tests {
		noon := at(t, test.zone, test.noon+" 12:00:00")
		w := windowAt(day, noon)
		start, err := time.Parse(time.RFC3339, test.start)
		if err != nil || !w.start.Equal(start) || w.end.Sub(w.start) != test.length {
			t.Errorf("%s: %v, %v, want %s and %v", name, w.start, w.end.Sub(w.start), test.start, test.length)
		}
		for _, inside := range []time.Time{w.start, w.end.Add(-time.Second)} {
			if other := windowAt(day, inside); other.name() != w.name() || !other.end.Equal(w.end) {
				t.Errorf("%s: %v lies in %v", name, inside, other)
			}
		}
		if next := windowAt(day, w.end); !next.start.Equal(w.end) {
			t.Errorf("%s: the next day begins at %v, not %v", name, next.start, w.end)
		}
	}
}

func TestMonthWindow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone, moment, start, end string
	}{
		"the first second": {
			"Asia/Shanghai", "2026-02-01 00:00:00", "2026-02-01T00:00:00+08:00", "2026-03-01T00:00:00+08:00",
		},
		"the last second": {
			"Asia/Shanghai", "2026-01-31 23:59:59", "2026-01-01T00:00:00+08:00", "2026-02-01T00:00:00+08:00",
		},
		"December":            {"UTC", "2026-12-31 12:00:00", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"the 31st of a month": {"UTC", "2026-01-31 12:00:00", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
		"leap February":       {"UTC", "2028-02-29 12:00:00", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		"over a set-back": {
			"Europe/Berlin", "2026-10-31 12:00:00", "2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00",
		},
		"a first that is late": {
			"America/Asuncion", "2017-10-01 12:00:00", "2017-10-01T01:00:00-03:00", "2017-11-01T00:00:00-03:00",
		},
	}
	for name, test := range tests {
		w := windowAt(month, at(t, test.zone, test.moment))
		start, _ := time.Parse(time.RFC3339, test.start)
		end, _ := time.Parse(time.RFC3339, test.end)
		if !w.start.Equal(start) || !w.end.Equal(end) {
			t.Errorf("%s: %v to %v, want %s to %s", name, w.start, w.end, test.start, test.end)
		}
	}
}

func TestClockWindows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone, moment string // with offset
		unit         unit
		start, end   string
	}{
		"a minute": {
			"UTC", "2026-11-25T10:20:59Z", minute, "2026-11-25T10:20:00Z", "2026-11-25T10:21:00Z",
		},
		"an hour": {
			"UTC", "2026-11-25T10:59:59Z", hour, "2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z",
		},
		"an hour of a quarter zone": {
			"Asia/Kathmandu", "2026-11-25T10:20:00Z", hour, "2026-11-25T10:15:00Z", "2026-11-25T11:15:00Z",
		},
		"the first 01:30 of a night": {
			"America/New_York", "2026-11-01T05:30:00Z", hour, "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z",
		},
		"the second 01:30 of a night": {
			"America/New_York", "2026-11-01T06:30:00Z", hour, "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z",
		},
		"before half an hour is gained": {
			"Australia/Lord_Howe", "2026-04-04T14:45:00Z", hour, "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z",
		},
		"the half hour gained": {
			"Australia/Lord_Howe", "2026-04-04T15:10:00Z", hour, "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z",
		},
		"after half an hour is lost": {
			"Australia/Lord_Howe", "2026-10-03T15:45:00Z", hour, "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z",
		},
	}
	for name, test := range tests {
		moment, _ := time.Parse(time.RFC3339, test.moment)
		w := windowAt(test.unit, moment.In(in(t, test.zone)))
		start, _ := time.Parse(time.RFC3339, test.start)
		end, _ := time.Parse(time.RFC3339, test.end)
		if !w.start.Equal(start) || !w.end.Equal(end) {
			t.Errorf("%s: %v to %v, want %s to %s", name, w.start.UTC(), w.end.UTC(), test.start, test.end)
		}
	}
}

// Windows of one unit leave no gap and do not overlap, whatever the zone does with its clock.
func TestWindowsFollowEachOther(t *testing.T) {
	t.Parallel()
	zones := []string{
		"UTC", "America/New_York", "Asia/Beirut", "Africa/Cairo", "America/Santiago", "Australia/Lord_Howe",
		"America/Havana", "America/St_Johns", "Asia/Kathmandu", "Africa/Casablanca", "Atlantic/Azores",
	}
	for _, name := range zones {
		zone := in(t, name)
		for _, year := range []int{2010, 2026} {
			for _, u := range []unit{hour, day, month} {
				from := time.Date(year, 1, 1, 0, 7, 0, 0, time.UTC).In(zone)
				w := windowAt(u, from)
				for moment := from; moment.Year() <= year; moment = moment.Add(97 * time.Minute) {
					for !moment.Before(w.end) {
						next := windowAt(u, w.end)
						if !next.start.Equal(w.end) || !next.end.After(next.start) {
							t.Fatalf("%s, %s: %v to %v follows %v to %v", name, u, next.start, next.end, w.start, w.end)
						}
						w = next
					}
					if got := windowAt(u, moment); got.name() != w.name() || !got.end.Equal(w.end) {
						t.Fatalf("%s, %s: %v lies in %v to %v, want %v to %v",
							name, u, moment, got.start, got.end, w.start, w.end)
					}
				}
			}
		}
	}
}
