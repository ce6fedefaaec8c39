package emporixfake

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strconv"
)

// change makes the answer that a fault asks for out of the real one, which is
// empty if nothing was done.
func (f *Fault) change(ans answer) answer {
	switch {
	case f.Status != 0:
		if f.Status < 400 && f.Status != ans.status {
			ans = empty(f.Status)
		} else if f.Status != ans.status {
			ans = problem(f.Status, "The fake was told to fail.").encoded()
		}
	case f.Redirect != "":
		ans = empty(http.StatusFound)
	}
	switch f.Body {
	case BodyMalformed:
		ans.raw = []byte(`{"access_token":"`)
	case BodyHTML:
		ans.raw = []byte("<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body>Bad Gateway</body></html>\n")
	case BodyEmpty:
		ans.raw = nil
	case BodyNull:
		ans.raw = []byte("null")
	case BodyArray:
		ans.raw = []byte("[]")
	case BodyString:
		ans.raw = []byte(`"ok"`)
	case BodyObject:
		ans.raw = []byte("{}")
	case BodyHuge:
		ans.raw = padding(16 << 20)
	case BodyGzipBomb:
		ans.raw = zipped(padding(64 << 20))
	case BodyGatewayFault:
		fault := invalidToken()
		if f.Status != 0 {
			fault.status = f.Status
		}
		ans = fault.encoded()
	}
	if f.RawBody != nil {
		ans.raw = []byte(*f.RawBody)
	}
	ans.raw = f.changeMembers(ans.raw)
	if ans.status == http.StatusNoContent && len(ans.raw) > 0 {
		ans.status = http.StatusOK // 204 can't carry a body
	}
	return ans
}

func (f *Fault) changeMembers(raw []byte) []byte {
	if len(f.ExpiresIn)+len(f.Set)+len(f.Drop) == 0 {
		return raw
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return raw
	}
	for name, value := range f.Set {
		members[name] = value
	}
	switch string(f.ExpiresIn) {
	case "":
	case `"absent"`:
		delete(members, "expires_in")
	default:
		members["expires_in"] = f.ExpiresIn
	}
	for _, name := range f.Drop {
		delete(members, name)
	}
	changed, err := json.Marshal(members)
	if err != nil {
		return raw // a value that is no JSON; RawBody can send one
	}
	return changed
}

func (f *Fault) write(w http.ResponseWriter, ans answer) {
	limitAnswer(w)
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if ans.raw != nil {
		header.Set("Content-Type", "application/json")
	}
	switch f.Body {
	case BodyHTML:
		header.Set("Content-Type", "text/html; charset=utf-8")
	case BodyGzipBomb:
		header.Set("Content-Encoding", "gzip")
	}
	if f.RetryAfter != "" {
		header.Set("Retry-After", f.RetryAfter)
	}
	if f.Redirect != "" {
		header.Set("Location", f.Redirect)
	}
	if ans.status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(ans.raw)))
	}
	for name, value := range f.Headers {
		header.Set(name, value)
	}
	w.WriteHeader(ans.status)
	if f.Body != BodyTruncated {
		_, _ = w.Write(ans.raw)
		return
	}
	_, _ = w.Write(ans.raw[:len(ans.raw)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func padding(size int) []byte {
	body := append([]byte(`{"padding":"`), bytes.Repeat([]byte("a"), size)...)
	return append(body, `"}`...)
}

func zipped(plain []byte) []byte {
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	_, _ = writer.Write(plain)
	_ = writer.Close()
	return out.Bytes()
}
