package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/alicebob/miniredis/v2"
)

const (
	fileName = "store.json"
	// tempPattern names files that are being written; what a killed process left of them is removed at
	// the next start.
	tempPattern = ".store-*.tmp"
	// fileFormat is written into the file; a reader refuses a newer one.
	fileFormat = 1
)

// file is the store as it is saved: every key with its type and its absolute expiry, sorted, so that
// equal stores are equal texts.
type file struct {
	Format int      `json:"format"`
	Keys   []record `json:"keys"`
}

// record is one key. Values are, by type: the string; field, value, …; the members; member, score, …; the
// items; of a stream for each entry its id, the number of its values, and those.
type record struct {
	Key       text   `json:"key"`
	Type      string `json:"type"`
	ExpiresAt int64  `json:"expires_at_ms,omitempty"` // Unix milliseconds
	Values    []text `json:"values"`
}

// text is a string of any bytes: JSON's own where it is UTF-8, else {"base64": …}.
type text string

// MarshalJSON writes either form.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(t))})
}

// UnmarshalJSON reads either form.
func (t *text) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*string)(t)) == nil {
		return nil
	}
	var other struct {
		Base64 []byte `json:"base64"`
	}
	err := json.Unmarshal(b, &other)
	*t = text(other.Base64)
	return err
}

// dump writes the store as a file's content.
func dump(r *miniredis.Miniredis, clock time.Time) ([]byte, error) {
	content := file{Format: fileFormat, Keys: []record{}}
	for _, key := range r.Keys() {
		one := record{Key: text(key), Type: r.Type(key)}
		if ttl := r.TTL(key); ttl > 0 {
			one.ExpiresAt = clock.Add(ttl).UnixMilli()
		}
		err := one.read(r, key)
		if errors.Is(err, miniredis.ErrKeyNotFound) {
			continue // removed since the keys were listed
		}
		if err != nil {
			return nil, fmt.Errorf("read key %s of the embedded store: %w", key, err)
		}
		content.Keys = append(content.Keys, one)
	}
	return content.text()
}

// text is the file with a line for each key: as quickly written as read by a person.
func (f file) text() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out) // ends each value with a line feed
	encoder.SetEscapeHTML(false)
	fmt.Fprintf(&out, "{\"format\":%d,\"keys\":[\n", f.Format)
	for i, one := range f.Keys {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := encoder.Encode(one); err != nil {
			return nil, err
		}
	}
	out.WriteString("]}\n")
	return out.Bytes(), nil
}

func (one *record) read(r *miniredis.Miniredis, key string) error {
	var values []string
	var err error
	switch one.Type {
	case "string":
		values = make([]string, 1)
		values[0], err = r.Get(key)
	case "hash":
		if values, err = r.HKeys(key); err == nil {
			values = pairs(values, func(field string) string { return r.HGet(key, field) })
		}
	case "set":
		values, err = r.Members(key)
		slices.Sort(values)
	case "zset":
		var scores map[string]float64
		if scores, err = r.SortedSet(key); err == nil {
			members := make([]string, 0, len(scores))
			for member := range scores {
				members = append(members, member)
			}
			values = pairs(members, func(member string) string {
				return strconv.FormatFloat(scores[member], 'g', -1, 64)
			})
		}
	case "list":
		values, err = r.List(key)
	case "stream":
		var entries []miniredis.StreamEntry
		entries, err = r.Stream(key)
		for _, e := range entries {
			values = append(append(values, e.ID, strconv.Itoa(len(e.Values))), e.Values...)
		}
	case "":
		err = miniredis.ErrKeyNotFound
	default:
		err = fmt.Errorf("a value of type %s is not kept", one.Type)
	}
	one.Values = make([]text, len(values))
	for i, value := range values {
		one.Values[i] = text(value)
	}
	return err
}

// pairs lists names in order, each with what belongs to it.
func pairs(names []string, of func(string) string) []string {
	slices.Sort(names)
	list := make([]string, 0, 2*len(names))
	for _, name := range names {
		list = append(list, name, of(name))
	}
	return list
}

// load fills an empty store from the folder's file, if there is one, and returns the digest of the file.
func load(r *miniredis.Miniredis, folder string, now time.Time) ([sha256.Size]byte, error) {
	removeTemporary(folder)
	path := filepath.Join(folder, fileName)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return [sha256.Size]byte{}, nil
	}
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("read the embedded store: %w", err)
	}
	var f file
	if err := json.Unmarshal(content, &f); err == nil && f.Format > fileFormat {
		return [sha256.Size]byte{}, fmt.Errorf("%s was written by a newer version (format %d)", path, f.Format)
	} else if err != nil || f.Format < 1 {
		return [sha256.Size]byte{}, broken(path, err)
	}
	for _, one := range f.Keys {
		if err := one.write(r, now); err != nil {
			return [sha256.Size]byte{}, broken(path, fmt.Errorf("key %s: %w", one.Key, err))
		}
	}
	return sha256.Sum256(content), nil
}

func broken(path string, err error) error {
	if err == nil {
		err = errors.New("it names no format")
	}
	return fmt.Errorf("%s is not a saved store: %w. Put a copy of it from a backup in its place, "+
		"or move it away to start with an empty store", path, err)
}

func (one record) write(r *miniredis.Miniredis, now time.Time) error {
	expiry := time.UnixMilli(one.ExpiresAt)
	if one.ExpiresAt != 0 && !expiry.After(now) {
		return nil
	}
	values := make([]string, len(one.Values))
	for i, value := range one.Values {
		values[i] = string(value)
	}
	if err := one.put(r, string(one.Key), values); err != nil {
		return err
	}
	if one.ExpiresAt != 0 {
		r.SetTTL(string(one.Key), expiry.Sub(now))
	}
	return nil
}

func (one record) put(r *miniredis.Miniredis, key string, values []string) error {
	if twos := one.Type == "hash" || one.Type == "zset"; len(values) == 0 || twos && len(values)%2 != 0 {
		return fmt.Errorf("a %s of %d values", one.Type, len(values))
	}
	var err error
	switch one.Type {
	case "string":
		err = r.Set(key, values[0])
	case "hash":
		r.HSet(key, values...)
	case "set":
		_, err = r.SAdd(key, values...)
	case "list":
		_, err = r.RPush(key, values...)
	case "stream":
		err = putStream(r, key, values)
	case "zset":
		for i := 0; i < len(values) && err == nil; i += 2 {
			var score float64
			if score, err = strconv.ParseFloat(values[i+1], 64); err == nil {
				_, err = r.ZAdd(key, score, values[i])
			}
		}
	default:
		err = fmt.Errorf("the type %q is not known", one.Type)
	}
	return err
}

func putStream(r *miniredis.Miniredis, key string, values []string) error {
	for len(values) > 0 {
		id, rest := values[0], values[1:]
		if len(rest) == 0 {
			return fmt.Errorf("entry %s is cut", id)
		}
		n, err := strconv.Atoi(rest[0])
		if err != nil || n < 2 || n%2 != 0 || n > len(rest)-1 {
			return fmt.Errorf("entry %s is cut", id)
		}
		if _, err := r.XAdd(key, id, rest[1:1+n]); err != nil {
			return err
		}
		values = rest[1+n:]
	}
	return nil
}

// replace writes a new file beside the old one and renames it, so that whoever is killed leaves one of
// the two, whole.
func replace(folder string, content []byte) error {
	temporary, err := os.CreateTemp(folder, tempPattern) // 0600
	if err != nil {
		return fmt.Errorf("save the embedded store: %w", err)
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), filepath.Join(folder, fileName))
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return fmt.Errorf("save the embedded store: %w", err)
	}
	return nil
}

// removeTemporary tidies up after a killed process; the lock on the folder says that nobody is writing.
func removeTemporary(folder string) {
	left, _ := filepath.Glob(filepath.Join(folder, tempPattern))
	for _, path := range left {
		_ = os.Remove(path)
	}
}
