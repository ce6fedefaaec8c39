package bff_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rows names, for each feature of the best existing BFF package for this API, the
// tests that hold ours to it, with their folders.
var rows = map[string]string{
	"guest and customer session per request, one shared client": "TestVisitorsAtOnce TestOneVisitUsedByManyGoroutines ../internal/acceptance/TestNothingIsMixedUpBetweenVisitors",
	"guest page view costs no token call":                       "TestAGuestsPageViewCosts ../internal/acceptance/TestCounts_AGuestsPageViewIsNoTokenCall",
	"tokens never reach the browser":                            "TestNothingLeaks TestTheTokenProxy ../internal/acceptance/TestS01_SecretsAreNotPrintable",
	"sealed cookies, key rotation, mass logout":                 "TestSealedKeysRotate TestDevelopmentCookies TestSealedKeysAreChecked TestSealedCookiesAreTamperProof FuzzSealedCookie",
	"__Host-":                     "TestACookieOnlyWhenASessionIsNeeded TestDevelopment",
	"idle and absolute lifetimes": "TestLifetimes TestIdleLifetime TestVisitsAreNotedOnceAnHour TestSealedReplay",
	"server-side store":           "TestAStoreWithoutConditionalSave TestAClientFindsItsOwnVisitorsOnly ../TestBuiltInStores ../stores/adapt/TestAdaptersAreStores ../stores/sealed/TestSealedStoresAreStores ../test/postgres/TestPostgres ../test/redis/TestEngines",
	"store outage":                "TestStoreOutages TestASlowStore TestDamagedRows TestLogoutEverywhereWhileTheStoreFails TestWhatFailsLeavesNoRows",
	"session ID at login":         "TestTheIDChanges TestAWrongPasswordChangesNothing TestIDsThatAreNotOurs TestADoubleClickOnLogin",
	"refresh race":                "TestTwoTabsRenewOnce ../internal/acceptance/TestCounts_OnlyOneReplicaRefreshes",
	"refresh ordering: login flush, flush on throw": "TestCookieAndHeaders TestTheAnswerHasBegun TestTheCookieIsInTheAnswerHoweverItBegins TestWebSockets TestTheBrowserGoesAwayDuringALogin",
	"saas_token over a refresh":                     "../internal/acceptance/TestLife_L02_AnActiveCustomerFor60Days",
	"revoke all sessions of a customer":             "TestLogoutEverywhere TestLogoutEverywhereDuringAChange TestLogoutEverywhereFromAReplicaWhoseClockIsBehind TestSessionsOfACustomerAreBounded",
	"guest to login keeps the session ID":           "TestTheIDChanges TestHooks ../internal/acceptance/TestLife_L09_LoginKeepsTheSession",
	"cart onboarding after login":                   "TestHooks TestTheBrowserGoesAwayDuringAHook",
	"CSRF helper":                                   "TestCrossSite TestSocialLogin TestSocialLoginProvesWhoBeganIt FuzzReturnTo TestAStrictCookieIsNotOverwritten",
	"site and language, prefetch trap":              "TestSite TestPrefetch TestPrefetchesByScripts TestAPrefetchRenewsNothing TestAPrefetchBeginsNoSession TestAPrefetchEndsNoSession",
	"public read proxy":                             "TestTheTokenProxy TestTheTokenProxyRefuses TestTheTokenProxyPassesNoCredentialsOn TestTheTokenProxyTamesAnswers TestTheTokenProxyRedirectsNobody",
	"webhook verification":                          "../webhook/TestSignatures ../webhook/TestForgedEvents ../webhook/TestAFixedSignature",
	"request budget":                                "TestASlowStore ../internal/acceptance/TestAHungServer ../internal/transport/TestAnAttemptEndsInTime",
	"retry":                                         "../internal/acceptance/TestReadsAreTriedAgain ../internal/acceptance/TestAWriteIsNeverDoubled ../internal/acceptance/TestUnsentRequestsAreSentAgain",
	"error classes":                                 "TestStatuses TestErrorPage ../TestErrorTable",
	"redaction in errors and logs":                  "TestNothingLeaks ../TestErrorsInALog ../internal/transport/TestS06_MessagesAreScrubbed",
	"Emporix-Tenant header":                         "TestTheTokenProxy ../TestHeadersThatOptionsSet",
	"log level":                                     "../TestTheEnvironmentTurnsLoggingOn ../TestErrorsInALog",
	"end to end":                                    "Example ../test/browser/TestTwoVisitorsAtOnceNeverSeeEachOther ../test/browser/TestASessionSurvivesTheRestartOfAReplica",
}

func TestEveryRowHasItsTests(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)
	tests := map[string]bool{}
	for _, names := range rows {
		for name := range strings.FieldsSeq(names) {
			dir := path.Dir(name)
			if tests[dir] {
				continue
			}
			tests[dir] = true
			files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
			require.NoError(t, err)
			for _, f := range files {
				source, err := os.ReadFile(f)
				require.NoError(t, err)
				for _, found := range declared.FindAllSubmatch(source, -1) {
					tests[path.Join(dir, string(found[1]))] = true
				}
			}
		}
	}
	for row, names := range rows {
		for name := range strings.FieldsSeq(names) {
			assert.True(t, tests[name], "%s: there is no %s", row, name)
		}
	}
}
