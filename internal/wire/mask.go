package wire

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/emporix-community/emporix-go/internal/secret"
)

// MaskTokens returns a token response with its tokens masked, and with all other
// members as they are, also doubled ones. What is no JSON object is dropped
// whole: nothing tells what in it is a token.
func MaskTokens(body []byte) []byte {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' || !json.Valid(body) {
		return nil
	}
	return maskIn(body, 16)
}

// maskIn masks a value down to a depth that no token response has, and as a whole
// below it.
func maskIn(raw json.RawMessage, depth int) json.RawMessage {
	masked := json.RawMessage(`"` + secret.Mask + `"`)
	switch {
	case depth == 0:
		return masked
	case raw[0] == '{':
		return maskObject(raw, depth, masked)
	case raw[0] == '[':
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list) // it is valid
		for i := range list {
			list[i] = maskIn(list[i], depth-1)
		}
		out, _ := json.Marshal(list)
		return out
	}
	if text, _ := stringOf(raw); strings.HasPrefix(text, "eyJ") { // a JWT under any name
		return masked
	}
	return raw
}

func maskObject(raw json.RawMessage, depth int, masked json.RawMessage) json.RawMessage {
	var out bytes.Buffer
	out.WriteByte('{')
	eachMember(raw, func(name string, value json.RawMessage) {
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		if holdsToken(name, value) {
			value = masked
		} else {
			value = maskIn(value, depth-1)
		}
		quoted, _ := json.Marshal(name)
		out.Write(quoted)
		out.WriteByte(':')
		out.Write(value)
	})
	out.WriteByte('}')
	return out.Bytes()
}

// holdsToken goes by the name: access_token, saasToken, client_secret. Whether
// the password is an initial one, and how long a token lives, is no secret.
func holdsToken(name string, value json.RawMessage) bool {
	switch string(value) {
	case "null", "true", "false", `""`:
		return false
	}
	name = strings.ToLower(strings.ReplaceAll(name, "_", ""))
	for _, word := range []string{"token", "password", "secret", "jwt", "bearer"} {
		if strings.Contains(name, word) {
			return name != "tokentype" && !strings.Contains(name, "expires")
		}
	}
	return false
}
