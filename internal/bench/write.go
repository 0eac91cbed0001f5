package bench

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// Write leaves table and plot in a folder: figures.md and figures.svg, and for PostgreSQL figures-postgresql.md and .svg.
func (r Report) Write(dir string) error {
	name := "figures"
	if r.Engine != "SQLite" {
		name += "-" + strings.ToLower(r.Engine)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // to be read by others
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, name+".md"), []byte(r.page(name+".svg")), 0o644),      //nolint:gosec // as above
		os.WriteFile(filepath.Join(dir, name+".svg"), []byte(plot(r.Engine, r.Steps)), 0o644)) //nolint:gosec // as above
}

// page is the table as Markdown.
func (r Report) page(picture string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Figures on %s, each beside what its parts cost bare in the same run

%s %s

Cost is CPU time of the gateway's process for each operation; of the parts it is that of another process which does nothing
else. The callers are a third, and cost neither. %[1]s and everything else ran on one machine, so that a figure by the second
says as much about the callers. The ratio that a bar asks for is what the parts cost divided by what the operation costs, round
by round; in brackets, the same by operations a second.

| Operation | CPU µs | a second | Its parts, bare, CPU µs | Parts ÷ operation | Bar |
|---|---|---|---|---|---|
`, r.Engine, r.At.Format("2006-01-02."), r.sentence())
	for _, x := range r.Ratios {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %s | %.2f (%.2f) | ≥ %.2f %s |\n", x.Name, x.CPU, x.Rate, x.sum(), x.Got, x.Speed, x.Bar, verdict(x.OK()))
	}
	b.WriteString("\n| | Got | Bar |\n|---|---|---|\n")
	for _, l := range r.Limits {
		fmt.Fprintf(&b, "| %s | %.2f %s | ≤ %g %s |\n", l.Name, l.Got, l.Unit, l.Bar, verdict(l.OK()))
	}
	b.WriteString("\n| Bare part | CPU µs | a second |\n|---|---|---|\n")
	for _, p := range r.Parts {
		fmt.Fprintf(&b, "| %s | %.1f | %.0f |\n", p.Name, p.CPU, p.Rate)
	}
	fmt.Fprintf(&b, "\nHow long notices take at rates up to the peak, from the moment at which each was meant to be sent (one run of %d s for each\n"+
		"rate):\n\n![Latency by rate](%s)\n\n| notices a second | 50 %% | 99 %% | 99.9 %% | longest, ms |\n|---|---|---|---|---|\n", rungSeconds, picture)
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "| %.0f | %.2f | %.2f | %.2f | %.2f |\n", s.Offered, s.P50, s.P99, s.P999, s.Max)
	}
	return b.String()
}

// The plot's frame, in its own units.
const (
	plotWide, plotHigh              = 720, 400
	plotLeft, plotRight             = 70, 20
	plotTop, plotBottom             = 40, 50
	plotTicks                       = 5
	plotStyle, plotAxis             = "font-family:sans-serif;font-size:13px", "#888"
	plotLabel, plotLabelAt, plotGap = 18, 6, 6
)

var plotLines = []struct {
	name, colour string
	of           func(Step) float64
}{
	{"50 %", "#2a7", func(s Step) float64 { return s.P50 }},
	{"99 %", "#c60", func(s Step) float64 { return s.P99 }},
	{"99.9 %", "#b22", func(s Step) float64 { return s.P999 }},
}

// plot draws latency, on a logarithmic scale, over the rate at which notices were sent.
func plot(engine string, steps []Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" style="%s"><title>Latency of notices by rate, %s</title>`+
		`<rect width="100%%" height="100%%" fill="#fff"/>`, plotWide, plotHigh, plotStyle, engine)
	fmt.Fprintf(&b, `<text x="%d" y="%d">ms (%s)</text>`, plotGap, plotLabel, engine)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">notices a second</text>`, plotWide-plotRight, plotHigh-plotGap)
	most, low, high := 1.0, math.Inf(1), 1.0
	for _, s := range steps {
		most = max(most, s.Offered)
		for _, l := range plotLines {
			low, high = min(low, l.of(s)), max(high, l.of(s))
		}
	}
	from, to := math.Floor(math.Log10(max(min(low, 1), 0.01))), math.Ceil(math.Log10(high)+0.01)
	x := func(rate float64) float64 { return plotLeft + rate/most*(plotWide-plotLeft-plotRight) }
	y := func(ms float64) float64 {
		return plotHigh - plotBottom - (math.Log10(max(ms, 0.01))-from)/(to-from)*(plotHigh-plotTop-plotBottom)
	}
	for p := from; p <= to; p++ {
		at := y(math.Pow(10, p))
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="%s" stroke-opacity=".4"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`,
			plotLeft, at, plotWide-plotRight, plotAxis, plotLeft-plotGap, at+plotLabelAt-1, math.Pow(10, p))
	}
	for i := range plotTicks + 1 {
		rate := most * float64(i) / plotTicks
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f</text>`, x(rate), plotHigh-plotBottom+plotLabel, rate)
	}
	for i, l := range plotLines {
		var points []string
		for _, s := range steps {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(s.Offered), y(l.of(s))))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s</text>`,
			strings.Join(points, " "), l.colour, plotLeft+120*(i+1), plotLabel, l.colour, l.name)
	}
	return b.String() + "</svg>\n"
}
