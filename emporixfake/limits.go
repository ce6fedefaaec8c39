package emporixfake

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	maxBody   = 10 << 20 // documented: requests of at most 10 MB
	maxURL    = 10 << 10 // documented: URLs of at most 10 KB
	maxHeader = 60 << 10 // documented: headers of at most 60 KB

	// bodyTime is what a client gets to send a body. answerTime is what it gets to
	// take the answer, before which net/http may wait for the rest of the body.
	bodyTime   = 30 * time.Second
	answerTime = time.Minute

	// A body beyond smallBody waits for one of largeBodies places, so that many
	// connections at once do not hold much memory.
	smallBody   = 256 << 10
	largeBodies = 4
)

var errBodyTooLate = errors.New("the request body did not arrive in time")

// readAll reads a body of at most maxBody bytes, and one more if there are more.
func (s *Server) readAll(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, smallBody))
	if err != nil || len(raw) < smallBody {
		return raw, err
	}
	late := time.NewTimer(bodyTime)
	defer late.Stop()
	select {
	case s.largeBodies <- struct{}{}:
		defer func() { <-s.largeBodies }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-late.C:
		return nil, errBodyTooLate
	}
	rest, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1-smallBody))
	return append(raw, rest...), err
}

// limitBody bounds the time that the body of a request may take. net/http takes
// the limit back at the body's end, so that a fault may delay the answer for
// longer. Without a socket there is no limit.
func limitBody(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	}
}

// limitAnswer bounds the time that a client may take for the answer.
func limitAnswer(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
}

// hasAny says whether a body has a byte, or fails before its end.
func hasAny(body io.Reader) bool {
	n, err := io.ReadFull(body, make([]byte, 1))
	return n > 0 || !errors.Is(err, io.EOF)
}

// headerSize is about what the header of a request has on the wire.
func headerSize(header http.Header) int {
	size := 0
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return size
}
