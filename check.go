package emporix

import "strings"

// required refuses an empty or blank argument before any request.
func required(field, value string) error {
	if strings.TrimSpace(value) == "" {
		return &ArgumentError{Field: field, Reason: "is empty"}
	}
	return nil
}

// requiredPassword refuses an empty password. A blank one is the server's to
// judge.
func requiredPassword(field, value string) error {
	if value == "" {
		return &ArgumentError{Field: field, Reason: "is empty"}
	}
	return nil
}
