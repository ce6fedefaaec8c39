package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	emporix "github.com/emporix-community/emporix-go"
	"github.com/emporix-community/emporix-go/internal/operation"
)

// classesInDoc reads the retry classes from doc.go's table of operations.
func classesInDoc(t *testing.T) map[string]string {
	t.Helper()
	classes := map[string]string{}
	for _, row := range docTable(t, "operation                         request                                                            bearer                 class") {
		classes[row[0]] = row[3]
	}
	for _, op := range operation.All() {
		require.NotEmpty(t, classes[op.Name], "doc.go's table of operations has no row for %s", op.Name)
	}
	require.Len(t, classes, len(operation.All()), "doc.go's table of operations has a row for what is none")
	return classes
}

// The classes of doc.go's table of operations are what happens, and its table of
// classes says the same.
func TestOutcome_DocSaysWhatIsSentAgain(t *testing.T) {
	failures := map[string]struct {
		fail  func() (*http.Response, error)
		tries map[string]int
	}{
		"no connection": {func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} },
			map[string]int{"safe": 3, "repeatable": 3, "unsent": 3, "once": 1}},
		"lost": {func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
			map[string]int{"safe": 3, "repeatable": 3, "unsent": 1, "once": 1}},
	}
	again := statusesInDoc(t)
	for status := 400; status <= 599; status++ {
		if status == 401 {
			continue // a question of the bearer
		}
		tries := map[string]int{}
		for _, class := range []string{"safe", "repeatable", "unsent", "once"} {
			tries[class] = 1
			if slices.Contains(again[class], status) {
				tries[class] = 3
			}
		}
		failures[strconv.Itoa(status)] = struct {
			fail  func() (*http.Response, error)
			tries map[string]int
		}{func() (*http.Response, error) {
			return outcomeReply(status, fmt.Sprintf(outcomeError, status), false), nil
		}, tries}
	}
	classes := classesInDoc(t)
	for name, op := range outcomeOperations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for failure, tt := range failures {
					if status, _ := strconv.Atoi(failure); name == "Auth.RefreshAnonymous" && (failure == "lost" || status == 408 || status >= 500) {
						continue // the exception that doc.go names
					}
					client, server := outcomeClient(t)
					visitor := outcomeVisitor(t, client, server, op, "v")
					server.arm(op.request, tt.fail)
					err := op.call(t.Context(), visitor)
					if !endsSession(name, 400) || failure != "400" {
						assert.Error(t, err, failure)
					}
					want := tt.tries[classes[name]]
					if endsSession(name, 400) && failure == "400" {
						continue // whether the session is over is a question of its own
					}
					assert.Equal(t, want, server.count(), "doc.go says how often a request of class %s is sent after %s; it ended with %v", classes[name], failure, err)
				}
			})
		})
	}
}

// statusesInDoc reads, from doc.go's table of classes, after which statuses a call
// is sent again.
func statusesInDoc(t *testing.T) map[string][]int {
	t.Helper()
	again := map[string][]int{}
	for _, row := range docTable(t, "class       operations                        sent again") {
		if strings.HasPrefix(row[2], "the same") {
			again[row[0]] = again["safe"]
		}
		for _, number := range regexp.MustCompile(`\d{3}`).FindAllString(row[2], -1) {
			status, _ := strconv.Atoi(number)
			again[row[0]] = append(again[row[0]], status)
		}
	}
	require.Equal(t, map[string][]int{"safe": {408, 429, 502, 503, 504}, "repeatable": {408, 429, 502, 503, 504}, "unsent": {429}}, again)
	return again
}

// doc.go's table of classes names the operations as its table of operations does.
func TestOutcome_DocsTablesAgreeOnTheClasses(t *testing.T) {
	named := map[string]string{}
	for _, row := range docTable(t, "class       operations                        sent again") {
		for _, word := range regexp.MustCompile(`[A-Za-z.]+`).FindAllString(row[1], -1) {
			for name := range outcomeOperations {
				_, method, _ := strings.Cut(name, ".")
				switch {
				case name == word, method == word, word == "anonymous" && name == "Auth.StartAnonymous", word == "refreshes" && strings.HasPrefix(name, "Auth.Refresh"):
					named[name] = row[0]
				}
			}
		}
	}
	for name, class := range classesInDoc(t) {
		if class == "unsent" {
			assert.NotContains(t, named, name, "doc.go's table of classes names it, and it belongs to everything else")
			continue
		}
		assert.Equal(t, class, named[name], "%s in doc.go's table of classes", name)
	}
}

// docTable returns the rows of a table of doc.go that begins with the header: the
// cells, with continued lines joined.
func docTable(t *testing.T, header string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../doc.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "//\t"+header)
	require.True(t, found, header)
	columns := regexp.MustCompile(`\S+(?: \S+)*`).FindAllStringIndex(header, -1)
	_, rest, _ = strings.Cut(rest, "\n")
	for line := range strings.SplitSeq(rest, "\n") {
		line, inTable := strings.CutPrefix(line, "//\t")
		if !inTable {
			return rows
		}
		cells := make([]string, len(columns))
		for i, column := range columns {
			end := len(line)
			if i+1 < len(columns) {
				end = min(end, columns[i+1][0])
			}
			if column[0] < end {
				cells[i] = strings.TrimSpace(line[column[0]:end])
			}
		}
		continued := strings.HasPrefix(line, " ")
		if !continued {
			rows = append(rows, cells)
			continue
		}
		last := rows[len(rows)-1]
		for i, cell := range cells {
			last[i] = strings.TrimSpace(last[i] + " " + cell)
		}
	}
	return rows
}

var outcomeSentinels = map[string]error{
	"ErrUnauthorized": emporix.ErrUnauthorized, "ErrForbidden": emporix.ErrForbidden, "ErrNotFound": emporix.ErrNotFound, "ErrConflict": emporix.ErrConflict,
	"ErrInvalidRequest": emporix.ErrInvalidRequest, "ErrRateLimited": emporix.ErrRateLimited, "ErrUnavailable": emporix.ErrUnavailable,
	"ErrBadResponse": emporix.ErrBadResponse, "ErrOutcomeUnknown": emporix.ErrOutcomeUnknown, "ErrInvalidCredentials": emporix.ErrInvalidCredentials,
	"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
}

func sentinelsIn(cell string) []string {
	return regexp.MustCompile(`Err\w+|context\.\w+`).FindAllString(cell, -1)
}

// Each row of doc.go's table of errors that begins with statuses holds for each of
// these statuses and each operation it speaks of.
func TestOutcome_DocSaysWhichStatusIsWhichError(t *testing.T) {
	classes := classesInDoc(t)
	numbers := regexp.MustCompile(`(\d{3})(?: to (\d{3}))?`)
	covered := map[int]bool{}
	checked := 0
	for _, row := range docTable(t, "status, body                                     errors.Is") {
		what, exceptions, _ := strings.Cut(row[0], "but")
		if !regexp.MustCompile(`^\d`).MatchString(what) || strings.HasPrefix(what, "401") || strings.HasPrefix(what, "2") {
			continue // checked below
		}
		var statuses []int
		for _, n := range numbers.FindAllStringSubmatch(what, -1) {
			first, _ := strconv.Atoi(n[1])
			last := first
			if n[2] != "" {
				last, _ = strconv.Atoi(n[2])
			}
			for status := first; status <= last; status++ {
				if !strings.Contains(exceptions, strconv.Itoa(status)) {
					statuses = append(statuses, status)
				}
			}
		}
		names := sentinelsIn(row[1])
		require.NotEmpty(t, names, row)
		for name, op := range outcomeOperations {
			if strings.Contains(row[0], "changes something") && classes[name] == "safe" {
				continue
			}
			client, server := outcomeClient(t, emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
			var visitor *emporix.Session
			for _, status := range statuses {
				covered[status] = true
				if endsSession(name, status) {
					continue
				}
				visitor = outcomeSame(t, client, server, op, visitor, strconv.Itoa(status))
				server.arm(op.request, func() (*http.Response, error) {
					return outcomeReply(status, fmt.Sprintf(outcomeError, status), false), nil
				})
				err := op.call(t.Context(), visitor)
				for _, sentinel := range names {
					require.ErrorIs(t, err, outcomeSentinels[sentinel], "%s, %d: %s", name, status, row[0])
					checked++
				}
			}
		}
	}
	for status := 300; status <= 599; status++ {
		assert.True(t, covered[status] || status == 401, "doc.go does not say what %d is", status)
	}
	t.Logf("%d statements of doc.go's table hold", checked)
}

// The other rows of the table, each with a case of its own, and each case a row.
func TestOutcome_DocSaysWhatOtherAnswersAre(t *testing.T) {
	answer := func(status int, body string, cut bool) func() (*http.Response, error) {
		return func() (*http.Response, error) { return outcomeReply(status, body, cut), nil }
	}
	lost := func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
	unsent := func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }
	type example struct {
		operations []string // by name or class
		answer     func() (*http.Response, error)
	}
	changes := []string{"unsent", "repeatable", "once"}
	cases := map[string][]example{
		"401 with a message or an empty body, on Login, ChangePassword and RequestEmailChange": {
			{[]string{"Auth.Login", "Credentials.ChangePassword", "Credentials.RequestEmailChange"}, answer(401, fmt.Sprintf(outcomeError, 401), false)},
			{[]string{"Auth.Login", "Credentials.ChangePassword", "Credentials.RequestEmailChange"}, answer(401, "", false)}},
		"401, the gateway's fault about the access token, or else an empty body": {
			{[]string{"safe", "repeatable", "Auth.Login", "Customers.Update"}, answer(401, outcomeFault, false)},
			{[]string{"safe", "repeatable", "Customers.Update"}, answer(401, "", false)}},
		"401 with anything else": {
			{[]string{"safe", "repeatable", "unsent"}, answer(401, outcomePage, false)},
			{[]string{"safe", "repeatable", "unsent"}, answer(401, `{"unexpected":true}`, false)}},
		"200 to 299 that can't be used: HTML, an error, too large, or, where a result is due, empty or of another shape": {
			{[]string{"safe", "repeatable", "unsent", "once"}, answer(200, outcomePage, false)},
			{[]string{"safe", "repeatable", "unsent", "once"}, answer(202, outcomeFault, false)},
			{[]string{"safe", "repeatable", "unsent", "once"}, answer(299, strings.Repeat(" ", 9<<20), false)},
			{[]string{"safe", "Customers.SignUp", "Addresses.Add", "Auth.Login"}, answer(204, "", false)},
			{[]string{"safe", "Customers.SignUp", "Addresses.Add", "Auth.Login"}, answer(201, `{"unexpected":true}`, false)}},
		"the same, after something that changes something": {
			{changes, answer(200, outcomePage, false)},
			{changes, answer(207, outcomeFault, false)},
			{[]string{"Customers.SignUp", "Addresses.Add", "Auth.Login"}, answer(202, "", false)}},
		"no response, or a success that breaks off, to something that only reads": {
			{[]string{"safe"}, lost}, {[]string{"safe"}, answer(200, `{"id":"1`, true)}},
		"no response, and the request never arrived": {{[]string{"safe", "repeatable", "unsent", "once"}, unsent}},
		"no response, or a success that breaks off, and the request may have arrived": {
			{changes, lost}, {changes, answer(200, `{"id":"1`, true)}},
		"the same, for what may be sent again": {
			{[]string{"repeatable"}, lost}, {[]string{"repeatable"}, answer(200, `{"id":"1`, true)}},
	}
	classes := classesInDoc(t)
	var rows []string
	for _, row := range docTable(t, "status, body                                     errors.Is") {
		examples, isHere := cases[row[0]]
		if !isHere {
			continue
		}
		rows = append(rows, row[0])
		for _, example := range examples {
			for name, op := range outcomeOperations {
				if !slices.Contains(example.operations, name) && !slices.Contains(example.operations, classes[name]) {
					continue
				}
				if strings.HasPrefix(row[0], "401") && op.guest && name != "Auth.Login" {
					continue // it is the guest's bearer that is refused, or none
				}
				client, server := outcomeClient(t, emporix.WithRetries(emporix.Retries{MaxAttempts: 1}))
				visitor := outcomeVisitor(t, client, server, op, "v")
				server.arm(op.request, example.answer)
				err := op.call(t.Context(), visitor)
				for _, sentinel := range sentinelsIn(row[1]) {
					assert.ErrorIs(t, err, outcomeSentinels[sentinel], "%s: %s", name, row[0])
				}
				if !strings.Contains(row[1], "ErrOutcomeUnknown") && !slices.Contains(changes, classes[name]) {
					assert.NotErrorIs(t, err, emporix.ErrOutcomeUnknown, "%s: %s", name, row[0])
				}
			}
		}
	}
	assert.Len(t, rows, len(cases), "rows of doc.go: %q", rows)
}

// The switch of docs/errors.md asks about a lost outcome first, so that a program
// built on it does not repeat a write that may have been done.
func TestOutcome_DocumentedSwitchDoublesNothing(t *testing.T) {
	text, err := os.ReadFile("../../docs/errors.md")
	require.NoError(t, err)
	unknownAt := strings.Index(string(text), "errors.Is(err, emporix.ErrOutcomeUnknown)")
	anythingAt := strings.Index(string(text), "errors.As(err, &apiErr)")
	require.Positive(t, unknownAt)
	assert.Less(t, unknownAt, anythingAt, "'unknown' is asked for before 'try again'")
}

// Where the caller's context ends, it is said, and also what may have been done.
func TestOutcome_DocSaysWhatAnEndedContextIs(t *testing.T) {
	classes := classesInDoc(t)
	var row []string
	for _, r := range docTable(t, "status, body                                     errors.Is") {
		if r[0] == "the caller's context ended" {
			row = r
		}
	}
	require.NotNil(t, row)
	assert.Equal(t, []string{"context.Canceled", "context.DeadlineExceeded", "ErrOutcomeUnknown"}, sentinelsIn(row[1]))
	for name, op := range outcomeOperations {
		if strings.HasPrefix(name, "Auth.Refresh") {
			continue // a renewal belongs to no caller: it goes on
		}
		client, server := outcomeClient(t)
		visitor := outcomeVisitor(t, client, server, op, "v")
		ctx, cancel := context.WithCancel(t.Context())
		server.arm(op.request, func() (*http.Response, error) { cancel(); return nil, ctx.Err() })
		err := op.call(ctx, visitor)
		assert.ErrorIs(t, err, context.Canceled, name)
		if name != "Auth.StartAnonymous" {
			assert.Equal(t, classes[name] != "safe", errors.Is(err, emporix.ErrOutcomeUnknown), "%s: %v", name, err)
		}
		cancel()
	}
}
