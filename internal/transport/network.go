package transport

import (
	"net"
	"net/http"
	"time"
)

var dialer = net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}

// NewNetwork returns the transport for a client that brings none: enough idle
// connections that many callers at once don't dial anew each time, HTTP/2, and
// limits on everything that a peer can draw out.
func NewNetwork() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    5 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		// All visitors share one connection. When it dies without a word, only an
		// unanswered ping tells; else calls would go on timing out on it for minutes.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}
