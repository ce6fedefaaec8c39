package browser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// focus tells where the keyboard is: the element's text or ID, and whether a
// person can see that it is there.
const focusScript = `(() => {
	const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
	const seen = style.outlineStyle !== 'none' && box.bottom > 0 && box.top < innerHeight;
	return (e.id || e.textContent.trim()) + (seen ? ', seen' : '');
})()`

func (p *person) focus() string {
	p.t.Helper()
	return read(p, "look for the focus", chromedp.Evaluate[string](focusScript))
}

func (p *person) key(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.do("press a key", chromedp.KeyEvent(key))
	}
}

// jump follows the link within the page that has the focus. Enter would do it
// too, but the protocol sends it in parts, and the last could meet the field.
func (p *person) jump(to string) {
	p.t.Helper()
	p.do("follow a link within the page", chromedp.Evaluate[chromedp.Void]("document.activeElement.click()"))
	p.focusComes(to)
}

// focusComes waits for what moves the focus with the next picture of the page.
func (p *person) focusComes(to string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.HasPrefix(p.focus(), to) }, patience, 10*time.Millisecond, "the focus does not come to "+to)
}

// enter presses Enter where that loads another page.
func (p *person) enter() {
	p.t.Helper()
	p.follow("press Enter", chromedp.KeyEvent(kb.Enter))
}

func TestSomebodyUsesTheKeyboardOnly(t *testing.T) {
	p := newPerson(t, openShop(t))
	p.open("/signup")
	p.key(kb.Tab)
	require.Equal(t, "Skip to the content, seen", p.focus())
	p.jump("main")
	p.key(kb.Tab)
	require.Equal(t, "firstName, seen", p.focus())
	p.key("Mira", kb.Tab)
	require.Equal(t, "lastName, seen", p.focus())

	// What is wrong has the focus, and leads to the fields.
	p.enter()
	p.focusComes("Please look at this again")
	p.look("keyboard summary")
	p.key(kb.Tab)
	require.Equal(t, "Last name, seen", p.focus())
	p.jump("lastName, seen")
	require.Equal(t, "Mira", p.typed("First name"))

	// What was done has it too.
	p.open("/login")
	p.key(kb.Tab)
	p.jump("main")
	p.key(kb.Tab)
	require.Equal(t, "email, seen", p.focus())
	p.key("jo@example.com", kb.Tab, password)
	p.enter()
	p.sees("Hello, Jo")
	p.focusComes("You are logged in. Welcome!")
	p.key(kb.Tab)
	require.Equal(t, "Overview, seen", p.focus())
}
