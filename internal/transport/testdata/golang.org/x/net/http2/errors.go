// Package http2 has errors of the shape and name of those of golang.org/x/net/http2,
// which the SDK does not import.
package http2

// StreamError is the end of one stream.
type StreamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (StreamError) Error() string { return "stream error" }

// ConnectionError is the end of a connection.
type ConnectionError uint32

func (ConnectionError) Error() string { return "connection error" }
