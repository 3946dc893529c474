package console

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// auditPage is a part of the trail, newest first.
type auditPage struct {
	Items   []object
	Verdict object
	Older   string
	Newer   string
}

// auditTrail shows the trail from its end; the API tells it from its beginning.
func auditTrail(v *visit, _ []string) (answer, error) {
	shown := auditPage{}
	if v.posted() {
		if _, err := v.get("/audit/verify", &shown.Verdict); err != nil {
			return answer{}, err
		}
	}
	before, err := v.auditEnd()
	if err != nil {
		return answer{}, err
	}
	after := max(before-perPage-1, 0)
	var l list
	if _, err := v.get("/audit?"+values("after", itoa(after), "limit", itoa(perPage)), &l); err != nil {
		return answer{}, err
	}
	for _, item := range l.Items {
		if seq, _ := json.Number(item.text("seq")).Int64(); int(seq) < before {
			shown.Items = append([]object{item}, shown.Items...)
		}
	}
	if after > 0 {
		shown.Older = "?" + values("before", itoa(after+1))
	}
	if v.r.URL.Query().Has("before") {
		shown.Newer = href("audit")
	}
	return answer{page: "audit", title: "Audit trail", data: shown}, nil
}

// auditEnd is the number behind the entries to show: what the address says, or behind the newest one, which is searched for.
func (v *visit) auditEnd() (int, error) {
	if before, err := strconv.Atoi(v.r.URL.Query().Get("before")); err == nil && before > 0 {
		return before, nil
	}
	low, high := 0, 1 // there are more than low entries, or none; and at most high
	for {
		more, err := v.auditBehind(high)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		low, high = high, 2*high
	}
	for low < high {
		middle := (low + high) / 2
		more, err := v.auditBehind(middle)
		switch {
		case err != nil:
			return 0, err
		case more:
			low = middle + 1
		default:
			high = middle
		}
	}
	return low + 1, nil
}

// auditBehind reports whether there is an entry behind the number.
func (v *visit) auditBehind(seq int) (bool, error) {
	var l list
	_, err := v.get("/audit?"+values("after", itoa(seq), "limit", "1"), &l)
	return len(l.Items) > 0, err
}

// auditCSV hands the export of the admin API on.
func auditCSV(v *visit, _ []string) (answer, error) {
	return v.download("/audit?format=csv", "audit.csv")
}

// download hands a report of the admin API on as a file.
func (v *visit) download(path, name string) (answer, error) {
	r, err := v.request(http.MethodGet, path, nil)
	if err != nil {
		return answer{}, err
	}
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	v.c.o.API.ServeHTTP(v.w, r)
	return answer{sent: true}, nil
}
