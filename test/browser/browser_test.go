package browser_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	browserOnce sync.Once
	browser     context.Context
	stopBrowser []context.CancelFunc
)

// theBrowser starts Chromium once for all tests. Each person has a profile of
// their own in it, with own cookies.
func theBrowser(t *testing.T) context.Context {
	t.Helper()
	needChromium(t)
	browserOnce.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(chromium()), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
			chromedp.Flag("disable-sync", true), chromedp.Flag("disable-background-networking", true),
			chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
		)
		allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, stopContext := chromedp.NewContext(allocator)
		stopBrowser = []context.CancelFunc{stopContext, stop}
		if chromedp.Do(ctx) == nil {
			browser = ctx //nolint:fatcontext // one browser for all tests
		}
	})
	require.NotNil(t, browser, "Chromium did not start")
	return browser
}

func closeBrowser() {
	for _, stop := range stopBrowser {
		stop()
	}
}

// person is somebody in front of a browser of their own.
type person struct {
	t    *testing.T
	shop *shop
	tab  context.Context

	shown string // by the last glance
}

// One call: between two, the page could change.
var bodyText = chromedp.Evaluate[string]("document.body.innerText")

const patience = 30 * time.Second

func newPerson(t *testing.T, s *shop) *person {
	t.Helper()
	tab, done := chromedp.NewContext(theBrowser(t), chromedp.WithNewBrowserContext())
	t.Cleanup(done)
	require.NoError(t, chromedp.Do(tab)) // the first call owns the window: no deadline
	p := &person{t: t, shop: s, tab: tab}
	p.do("open a window", chromedp.EmulateViewport(1280, 900))
	return p
}

func (p *person) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	read(p, what, chromedp.Steps(actions...))
}

// read does something that answers a value.
func read[T any](p *person, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.fail(what, err)
	}
	return value
}

// follow does something that loads another page.
func (p *person) follow(what string, action chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, action); err != nil {
		p.fail(what, err)
	}
}

func (p *person) fail(what string, err error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, 3*time.Second)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Location())
	shown, _ := chromedp.Run(ctx, bodyText)
	p.t.Fatalf("%s: %v\nat %s the page says:\n%s", what, err, where, shown)
}

func (p *person) open(path string) {
	p.t.Helper()
	p.do("open "+path, chromedp.Navigate(p.shop.url+path))
}

// press clicks the button with that text.
func (p *person) press(text string) {
	p.t.Helper()
	p.follow("press "+text, chromedp.Click(`//button[normalize-space()=`+quoted(text)+`]`))
}

// link clicks the first link with that text.
func (p *person) link(text string) {
	p.t.Helper()
	p.follow("follow the link "+text, chromedp.Click(`//a[normalize-space()=`+quoted(text)+`]`))
}

func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, "") + `"` }

// fill types into the field with that label.
func (p *person) fill(label, text string) {
	p.t.Helper()
	field := `//input[@id=//label[starts-with(normalize-space(),` + quoted(label) + `)]/@for]`
	p.do("fill "+label, chromedp.Clear(field), chromedp.SendKeys(field, text))
}

func (p *person) choose(label, value string) {
	p.t.Helper()
	p.do("choose "+label, chromedp.SetValue(`//select[@id=//label[starts-with(normalize-space(),`+quoted(label)+`)]/@for]`, value))
}

// typed is what stands in the field with that label.
func (p *person) typed(label string) string {
	p.t.Helper()
	return read(p, "read "+label, chromedp.Value(`//input[@id=//label[starts-with(normalize-space(),`+quoted(label)+`)]/@for]`))
}

func (p *person) text() string {
	p.t.Helper()
	return read(p, "read the page", bodyText)
}

func (p *person) sees(texts ...string) {
	p.t.Helper()
	shown := p.text()
	for _, text := range texts {
		require.Contains(p.t, shown, text)
	}
}

func (p *person) seesNot(texts ...string) {
	p.t.Helper()
	shown := p.text()
	for _, text := range texts {
		require.NotContains(p.t, shown, text)
	}
}

// path is where the person is.
func (p *person) path() string {
	p.t.Helper()
	return strings.TrimPrefix(read(p, "look at the address", chromedp.Location()), p.shop.url)
}

func (p *person) logIn(email, password string) {
	p.t.Helper()
	p.open("/login")
	p.fill("E-mail address", email)
	p.fill("Password", password)
	p.press("Log in")
}

const pictures = "artifacts" //nolint:misspell // the folder that git ignores

// look takes a picture of the page as a phone and as a desk shows it, and finds
// fault with it as somebody would who can't see, or can't see well.
func (p *person) look(name string) {
	p.t.Helper()
	for _, screen := range []struct {
		name   string
		width  int64
		height int64
	}{{"desk", 1280, 900}, {"phone", 390, 844}} {
		var options []chromedp.EmulateViewportOption
		if screen.name == "phone" {
			options = append(options, chromedp.EmulateMobile)
		}
		p.do("look at "+name, chromedp.EmulateViewport(screen.width, screen.height, options...))
		faults := read(p, "judge "+name, chromedp.Evaluate[[]string](auditScript))
		picture := read(p, "take a picture of "+name, chromedp.FullScreenshot(100))
		assert.Empty(p.t, faults, "%s on a %s", name, screen.name)
		require.NoError(p.t, os.MkdirAll(pictures, 0o755))
		require.NoError(p.t, os.WriteFile(filepath.Join(pictures, fileName(name)+"-"+screen.name+".png"), picture, 0o644))
	}
	p.do("look at "+name+" closely", chromedp.EmulateViewport(320, 640, chromedp.EmulateMobile)) // 1280 px at 400 %
	assert.Empty(p.t, read(p, "judge "+name, chromedp.Evaluate[[]string](auditScript)), "%s on the narrowest screen", name)
	p.do("sit down at the desk", chromedp.EmulateViewport(1280, 900))
}

// linesOf counts the lines that a word of the heading takes on a phone.
func (p *person) linesOf(word string) int {
	p.t.Helper()
	p.do("take the phone", chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	lines := read(p, "measure "+word, chromedp.Evaluate[int](`(word => {
		const text = document.evaluate("//h1//text()[contains(., '" + word + "')]", document, null, XPathResult.FIRST_ORDERED_NODE_TYPE).singleNodeValue
		const range = document.createRange(), at = text.data.indexOf(word)
		range.setStart(text, at)
		range.setEnd(text, at + word.length)
		return range.getClientRects().length
	})(`+quoted(word)+`)`))
	p.do("sit down at the desk", chromedp.EmulateViewport(1280, 900))
	return lines
}

func clickLabel(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(`//label[normalize-space()=` + quoted(text) + `]`)
}

// glance opens a page in a goroutine that is not the test's own.
func (p *person) glance(path string) error {
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(p.shop.url+path)); err != nil {
		return err
	}
	var err error
	p.shown, err = chromedp.Run(ctx, bodyText)
	return err
}

// pressAt opens a page and presses a button of it.
func (p *person) pressAt(path, button string) {
	p.t.Helper()
	p.open(path)
	p.press(button)
}
