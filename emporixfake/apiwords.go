package emporixfake

import "strings"

// apiWords are the words of the API itself: segments of its paths, names of
// parameters and members. A confused client may send one as a password or a
// token, and it is no secret for that.
func apiWords() map[string]bool {
	words := map[string]bool{}
	add := func(names ...string) {
		for _, name := range names {
			words[name] = true
		}
	}
	add(secretQuery...)
	add(secretMembers...)
	add("access_token", "token_type", "Bearer", "expires_in", "refresh_token_expires_in", "saas_token", "session_id", "sessionId",
		"session-id", "session_idle_time", "scope", "subject_access_token", "social_access_token", "social_id_token", "initialPassword",
		"grant_type", "client_credentials", "client_secret", "customerNumber", "legalEntities")
	for _, op := range operationTable() {
		for _, segment := range op.pattern {
			add(strings.Trim(segment, "{}"))
		}
		for _, name := range op.query {
			add(strings.TrimSuffix(name, "?"))
		}
		add(op.body.names()...)
	}
	return words
}

// names are those of the members, and of theirs.
func (s *schema) names() []string {
	if s == nil {
		return nil
	}
	var all []string
	for name, member := range s.members {
		all = append(append(all, name), member.names()...)
	}
	return all
}
