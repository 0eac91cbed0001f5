package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

const (
	tabWithin = 120 * time.Second // a whole flow; a good one takes a tenth
	firstLook = 200 * time.Millisecond
	longLook  = 4 * time.Second
	lookEvery = 50 * time.Millisecond
)

// theBrowser is one Chromium for all tests; each test has a context of its own in it, with its own cookies and cache.
var (
	theBrowser  = sync.OnceValues(startBrowser)
	stopBrowser = func() {}
)

func startBrowser() (context.Context, error) {
	ctx, stop, err := browserWith()
	stopBrowser = stop
	return ctx, err
}

// shell is Chromium without the windows around its pages, which cost two thirds of the time. Without it chromedp looks for
// any Chromium or Chrome.
const shell = "chromium-headless-shell"

// browserWith starts a Chromium with more flags than the usual ones.
func browserWith(more ...chromedp.ExecAllocatorOption) (ctx context.Context, stop func(), err error) {
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "zh-CN"), chromedp.Flag("no-proxy-server", true))
	if _, err := exec.LookPath(shell); err == nil {
		flags = append(flags, chromedp.ExecPath(shell))
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), append(flags, more...)...)
	ctx, stopContext := chromedp.NewContext(allocator)
	return ctx, func() { stopContext(); stopAllocator() }, chromedp.Do(ctx)
}

// device is what a payer holds.
type device struct {
	width, height int64
	phone         bool
	dark          bool
	agent         string // "" = the browser's own
	language      string // "" = zh-CN
	noScript      bool
}

var (
	desktop = device{width: 1280, height: 800}
	phone   = device{
		width: 375, height: 812, phone: true,
		agent: "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36",
	}
)

func (d device) inDark() device        { d.dark = true; return d }
func (d device) withoutScript() device { d.noScript = true; return d }

// tab is one page of the browser, which keeps what went wrong in it.
type tab struct {
	t      *testing.T
	ctx    context.Context
	device device

	mu     sync.Mutex
	errors []string      // console, exceptions, violations of a policy
	hosts  []string      // asked over the network
	paths  []string      // likewise, of every request
	heard  chan struct{} // closed at the next event
	want   []string      // console errors that belong to the test: a substring each
	known  []string      // hosts that are ours or a platform's, besides this machine
}

// places are the tests that may use the browser at once: on two cores more of them starve each other, while the tests that
// wait for leases and killed processes need little.
var (
	places = make(chan struct{}, 2)
	placed sync.Map // *testing.T
)

// takePlace waits for a place, which t has until its end.
func takePlace(t *testing.T) {
	if _, has := placed.LoadOrStore(t, true); has {
		return
	}
	places <- struct{}{}
	t.Cleanup(func() { <-places })
}

// open makes a tab that a test closes; at its end it must have logged no error and asked nobody but us.
func open(t *testing.T, d device) *tab {
	t.Helper()
	takePlace(t)
	browser, err := theBrowser()
	if err != nil {
		t.Fatalf("chromium (make deps installs it): %v", err)
	}
	return newTab(t, browser, d, chromedp.WithNewBrowserContext())
}

func newTab(t *testing.T, parent context.Context, d device, options ...chromedp.ContextOption) *tab {
	t.Helper()
	x := &tab{t: t, device: d, heard: make(chan struct{})}
	ctx, stop := chromedp.NewContext(parent, append(options, chromedp.WithListener(x.hear))...)
	ctx, cancel := context.WithTimeout(ctx, tabWithin)
	x.ctx = ctx
	t.Cleanup(func() {
		x.judge()
		cancel()
		stop()
	})
	x.do(chromedp.EmulateViewport(d.width, d.height, x.mobile))
	scheme := "light"
	if d.dark {
		scheme = "dark"
	}
	send(x, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	if d.agent == "" {
		d.agent = strings.ReplaceAll(evaluate[string](x, "navigator.userAgent"), "Headless", "")
	}
	if d.language == "" {
		d.language = "zh-CN"
	}
	send(x, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: d.agent, AcceptLanguage: d.language})
	if d.noScript {
		send(x, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	return x
}

func send[P, R any](x *tab, command cdp.Command[P, R], params P) R {
	x.t.Helper()
	r, err := chromedp.Call(x.ctx, command, params)
	if err != nil {
		x.t.Fatalf("%s: %v", command.Method, err)
	}
	return r
}

func evaluate[T any](x *tab, script string) T {
	x.t.Helper()
	v, err := chromedp.Run(x.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		x.t.Fatalf("%s: %v", script, err)
	}
	return v
}

func (x *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	if err := chromedp.Do(x.ctx, steps...); err != nil {
		x.t.Fatal(err)
	}
}

// hear runs in the loop that reads the browser's events.
func (x *tab) hear(event any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	close(x.heard)
	x.heard = make(chan struct{})
	switch e := event.(type) {
	case *browserlog.EventEntryAdded:
		if e.Entry.Level == browserlog.EntryLevelError || e.Entry.Level == browserlog.EntryLevelWarning {
			x.errors = append(x.errors, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		x.errors = append(x.errors, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		x.errors = append(x.errors, "console."+string(e.Type))
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != "" {
			x.hosts, x.paths = append(x.hosts, u.Host), append(x.paths, u.Path)
		}
	}
}

// judge holds the tab to what every page of ours promises.
func (x *tab) judge() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, text := range x.errors {
		if !slices.ContainsFunc(x.want, func(w string) bool { return strings.Contains(text, w) }) {
			x.t.Errorf("the browser logged: %s", text)
		}
	}
	for _, host := range x.hosts {
		name, _, _ := strings.Cut(host, ":")
		if name != "127.0.0.1" && name != "localhost" && !strings.HasSuffix(name, ".localhost") && !slices.Contains(x.known, name) {
			x.t.Errorf("a third party was asked: %s", host)
		}
	}
}

func (x *tab) visit(address string) {
	x.t.Helper()
	x.do(chromedp.Navigate(address))
}

// click presses what a payer sees: a button or a link with this text, the first one on the page.
func (x *tab) click(text string) {
	x.t.Helper()
	x.clickOn(fmt.Sprintf(`//*[self::a or self::button][contains(normalize-space(.), %q)]`, text))
}

func (x *tab) clickOn(xpath string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, tabWithin/3)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.Search(xpath))); err != nil {
		x.t.Fatalf("click %s: %v\n%s", xpath, err, x.html())
	}
}

// sees waits until the page's visible text has all of texts.
func (x *tab) sees(texts ...string) {
	x.t.Helper()
	for _, text := range texts {
		x.until(fmt.Sprintf(`document.body && document.body.innerText.includes(%q)`, text))
	}
}

// arrives waits until the tab is at an address with this part.
func (x *tab) arrives(part string) {
	x.t.Helper()
	x.until(fmt.Sprintf(`location.href.includes(%q) && document.readyState === "complete"`, part))
}

// until waits for a condition, beyond navigations: those end the wait of one document, and it begins in the next. By
// interval, for a tab behind another paints no frames.
func (x *tab) until(condition string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, tabWithin/3)
	defer cancel()
	for look := firstLook; ; look = min(2*look, longLook) { // a starved browser needs longer ones
		one, done := context.WithTimeout(ctx, look) // an answer that a navigation swallowed is asked for again
		_, err := chromedp.Run(one, chromedp.Poll[bool](condition, chromedp.WithPollingInterval(lookEvery), chromedp.WithPollingTimeout(0)))
		done()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			x.t.Fatalf("waited for %s: %v\n%s", condition, err, x.html())
		}
	}
}

// html is the document without the help of scripts.
func (x *tab) html() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx), 5*time.Second)
	defer cancel()
	root, err := chromedp.Call(ctx, dom.GetDocument, dom.GetDocumentParams{})
	if err != nil {
		return err.Error()
	}
	text, err := chromedp.Call(ctx, dom.GetOuterHTML, dom.GetOuterHTMLParams{NodeID: root.Root.NodeID})
	if err != nil {
		return err.Error()
	}
	return text.OuterHTML
}

// opened clicks and returns the tab that the click opened.
func (x *tab) opened(text string) *tab {
	x.t.Helper()
	own := chromedp.FromContext(x.ctx).Target.TargetID
	fresh := chromedp.WaitNewTarget(x.ctx, func(i *target.Info) bool { // it hears of all tests' tabs
		return i.OpenerID == own && i.URL != "" && i.URL != "about:blank"
	})
	x.click(text)
	select {
	case id := <-fresh:
		return newTab(x.t, x.ctx, x.device, chromedp.WithTargetID(id))
	case <-x.ctx.Done():
		x.t.Fatalf("%q opened no tab", text)
		return nil
	}
}

// asked reports whether a path that begins so was requested.
func (x *tab) asked(prefix string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.paths, func(p string) bool { return strings.HasPrefix(p, prefix) })
}

// logged waits for a line of the console.
func (x *tab) logged(text string) {
	x.t.Helper()
	x.signal(func() bool {
		return slices.ContainsFunc(x.errors, func(e string) bool { return strings.Contains(e, text) })
	}, text)
}

// signal waits until a condition over what was heard holds.
func (x *tab) signal(holds func() bool, what string) {
	x.t.Helper()
	for {
		x.mu.Lock()
		ok, next := holds(), x.heard
		x.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-next:
		case <-x.ctx.Done():
			x.t.Fatalf("waited for %s", what)
		}
	}
}
