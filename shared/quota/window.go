package quota

import (
	"fmt"
	"strconv"
	"time"
)

// window is the time that a count belongs to, [start, end).
type window struct{ start, end time.Time }

// name tells the window from every other of the same limit, also from the second 01:30 of an autumn
// night.
func (w window) name() string { return strconv.FormatInt(w.start.Unix(), 10) }

// unit is a calendar window's length.
type unit string

const (
	minute unit = "minute"
	hour   unit = "hour"
	day    unit = "day"
	month  unit = "month"
)

// windowAt returns the window of the calendar of t's location that t lies in.
func windowAt(u unit, t time.Time) window {
	switch u {
	case minute:
		return clockWindow(t, time.Minute)
	case hour:
		return clockWindow(t, time.Hour)
	case day:
		return dateWindow(t, 0, 1)
	}
	return dateWindow(t, 1, 0)
}

// clockWindow cuts by the local clock. Where the clock is set forward or back the window ends, and
// another begins.
func clockWindow(t time.Time, length time.Duration) window {
	_, offset := t.Zone()
	seconds := int64(length / time.Second)
	into := (t.Unix() + int64(offset)) % seconds
	start := time.Unix(t.Unix()-into, 0).In(t.Location())
	w := window{start, start.Add(length)}
	zoneStart, zoneEnd := t.ZoneBounds()
	if !zoneStart.IsZero() && zoneStart.After(w.start) {
		w.start = zoneStart
	}
	if !zoneEnd.IsZero() && zoneEnd.Before(w.end) {
		w.end = zoneEnd
	}
	return w
}

// dateWindow is the month (months 1) or the day (days 1) of t: never a number of hours, for a local day
// has 23 to 25 of them, and some have no midnight.
func dateWindow(t time.Time, months, days int) window {
	y, m, d := t.Date()
	if months > 0 {
		d = 1
	}
	at := func(n int) time.Time { return midnight(y, m+time.Month(n*months), d+n*days, t.Location()) }
	w := window{at(0), at(1)}
	// A clock that is set back over midnight shows yesterday's date again; the day that has begun goes
	// on.
	for n := 2; !t.Before(w.end); n++ {
		w = window{w.end, at(n)}
	}
	return w
}

// midnight returns the first instant of a local date, or, where the zone skips that date, the first after
// it.
func midnight(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	want := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	zoneStart, zoneEnd := t.ZoneBounds()
	switch shown := shows(t); {
	case shown.Before(want): // time.Date took the offset after a gap, and so fell before it
		return zoneEnd
	case shown.After(want): // it took the offset before the gap
		return zoneStart
	case zoneStart.IsZero():
		return t
	}
	// Where the clock was set back to before midnight, the day began when it was midnight for the first
	// time.
	_, offset := t.Zone()
	_, earlier := zoneStart.Add(-time.Second).Zone()
	first := t.Add(-time.Duration(earlier-offset) * time.Second)
	if first.Before(zoneStart) && shows(first).Equal(want) {
		return first
	}
	return t
}

// shows returns what the local clock shows, as if it were UTC.
func shows(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// zone finds a time zone by its name in the tz database; the empty name is UTC.
func (q *Quota) zone(name string) (*time.Location, error) {
	if known, ok := q.zones.Load(name); ok {
		return known.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("load time zone %q: %w", name, err)
	}
	q.zones.Store(name, zone)
	return zone, nil
}
