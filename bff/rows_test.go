package bff_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rows names, for each feature of the best existing BFF package for this API,
// the tests that hold ours to it. Tests of the SDK itself are "../".
var rows = map[string]string{
	"session per request, one shared client":       "TestVisitorsAtOnce TestOneVisitUsedByManyGoroutines",
	"guest page view costs no token call":          "TestAGuestsPageViewCosts",
	"tokens never reach the browser":               "TestNothingLeaks TestTheTokenProxy",
	"sealed cookies, key rotation, dropping a key": "TestSealedKeysRotate TestSealedKeysAreChecked TestSealedCookiesAreTamperProof FuzzSealedCookie",
	"__Host-":                     "TestACookieOnlyWhenASessionIsNeeded TestDevelopment",
	"idle and absolute lifetimes": "TestLifetimes TestIdleLifetime",
	"server-side store, configured in one place": "TestAStoreWithoutConditionalSave TestSealedKeysAreChecked",
	"store outage":            "TestStoreOutages TestASlowStore TestDamagedRows TestLogoutEverywhereWhileTheStoreFails",
	"new session ID at login": "TestTheIDChanges TestAWrongPasswordChangesNothing TestIDsThatAreNotOurs TestADoubleClickOnLogin",
	"refresh race":            "TestTwoTabsRenewOnce",
	"refresh ordering: login flush, flush on throw": "TestCookieAndHeaders TestTheAnswerHasBegun TestTheBrowserGoesAwayDuringALogin",
	"saas_token over a refresh":                     "../TestLife_L02_AnActiveCustomerFor60Days",
	"revoke all sessions of a customer":             "TestLogoutEverywhere TestLogoutEverywhereDuringAChange TestSessionsOfACustomerAreBounded",
	"guest to login keeps the session ID":           "TestTheIDChanges TestHooks",
	"cart onboarding after login":                   "TestHooks",
	"CSRF":                                          "TestCrossSite TestSocialLogin",
	"site and language, prefetch trap":              "TestSite TestPrefetch",
	"read proxy with an allow list":                 "TestTheTokenProxy TestTheTokenProxyRefuses",
	"request budget":                                "TestASlowStore",
	"redaction":                                     "TestNothingLeaks",
	"Emporix-Tenant header":                         "TestTheTokenProxy",
	"end to end without an account":                 "Example",
}

func TestEveryRowHasItsTests(t *testing.T) {
	tests := map[string]bool{}
	collect := func(dir, prefix string) {
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			source, err := os.ReadFile(dir + "/" + f.Name())
			require.NoError(t, err)
			for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`).FindAllSubmatch(source, -1) {
				tests[prefix+string(found[1])] = true
			}
		}
	}
	collect(".", "")
	collect("..", "../")
	for row, names := range rows {
		for name := range strings.FieldsSeq(names) {
			assert.True(t, tests[name], "%s: there is no %s", row, name)
		}
	}
}
