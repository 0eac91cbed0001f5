package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// Report is what a run found. Costs are CPU time of the process that is measured, medians of the rounds.
type Report struct {
	At        time.Time `json:"at"`
	Engine    string    `json:"engine"`
	Processor string    `json:"processor"`
	Cores     int       `json:"cores"`
	Go        string    `json:"go"`
	Rounds    int       `json:"rounds"`
	Size      int       `json:"size"`      // operations of each kind in a round
	Callers   int       `json:"callers"`   // connections
	Payments  int64     `json:"payments"`  // that the database had before
	Ratios    []Ratio   `json:"ratios"`    // an operation beside the sum of its parts
	Limits    []Limit   `json:"limits"`    // what must not be more
	Parts     []Cost    `json:"parts"`     // bare
	Steps     []Step    `json:"latencies"` // of the plot: notices at rates up to the peak
	Unsafe    bool      `json:"unsafe"`    // the database may lose what it confirmed
}

// Cost is CPU µs for one operation, and how many there were a second.
type Cost struct {
	Name string  `json:"name"`
	CPU  float64 `json:"cpu_us"`
	Rate float64 `json:"per_second"`
}

// Ratio is an operation beside its parts: Got is what they cost divided by what it costs, and is to be Bar at least.
// Speed is the same by operations a second, callers and all on the same machine.
type Ratio struct {
	Cost
	Parts []Cost  `json:"parts"`
	Got   float64 `json:"got"`
	Speed float64 `json:"got_by_speed"`
	Bar   float64 `json:"bar"`
}

// OK reports whether the bar is reached.
func (r Ratio) OK() bool { return r.Got >= r.Bar }

// Limit is a figure that is to be Bar at most.
type Limit struct {
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	Got  float64 `json:"got"`
	Bar  float64 `json:"bar"`
}

// OK reports whether the limit is kept.
func (l Limit) OK() bool { return l.Got <= l.Bar }

// Step is a rate of the plot, and how long notices took, in ms from the moment at which each was meant to be sent.
type Step struct {
	Offered float64 `json:"offered_per_second"`
	Got     float64 `json:"got_per_second"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	P999    float64 `json:"p999_ms"`
	Max     float64 `json:"max_ms"`
}

// ratios are the operations, the samples of their parts, and their bars.
var ratios = []struct {
	name, sample string
	parts        []string
	bar          float64
}{
	{"Notice, WeChat Pay APIv3", "notice " + v3, []string{"bare notice " + v3, "verify", "commit notice"}, 0.80},
	{"Notice, Alipay", "notice " + alipay, []string{"bare notice " + alipay, "verify", "commit notice"}, 0.80},
	{"Notice, WeChat Pay APIv2", "notice " + v2, []string{"bare notice " + v2, "commit notice"}, 0.80},
	{"Create with a WeChat code", "create wechat", []string{"sign"}, 0.75},
	{"First visit of an Alipay link", "visit", []string{"sign"}, 0.85},
	{"Create for Alipay", "create", []string{"bare create", "commit create"}, 0.75},
	{"Status", "status", []string{"bare status"}, 0.40},
	{"Cashier page", "page", []string{"bare page"}, 0.60},
}

// manyRatio is asked for apart: with many payments a notice costs what it costs with few.
const (
	manyName = "Notice, WeChat Pay APIv3, with %d payments"
	manyBar  = 0.85
)

// partNames are the parts by their samples.
var partNames = []struct{ sample, name string }{
	{"bare status", "ServeMux GET, same bytes as status"},
	{"bare page", "html/template page of the same size"},
	{"bare create", "ServeMux POST, same bytes as a create"},
	{"bare notice " + v3, "ServeMux POST, same bytes as a notice of APIv3"},
	{"bare notice " + alipay, "ServeMux POST, same bytes as a notice of Alipay"},
	{"bare notice " + v2, "ServeMux POST, same bytes as a notice of APIv2"},
	{"commit create", "commit of a create's rows"},
	{"commit notice", "commit of a notice's rows"},
	{"commit alone", "commit of a notice's rows, one caller"},
	{"sign", "RSA-2048 sign"},
	{"verify", "RSA-2048 verify"},
}

// limits are what must not be more.
var limits = []struct {
	name, sample, unit string
	bar                float64
}{
	{"99 % of notices at 70 % of the peak", "p99", "ms", 25},
	{"A notice that is alone, half of them, beside a bare commit", "notice to commit", "times", 4},
	{"99 % of webhooks begin after the commit within", "webhook", "ms", 10},
	{"1,000 watching pages add to a notice", "watchers", "%", 10},
	{"Memory at 64 connections, at most", "memory", "MB", 64},
	{"Nothing to do", "idle", "% of a core", 0.5},
	{"Start until the first answer", "start", "ms", 300},
}

func (b *bench) cost(name, sample string) Cost {
	return Cost{Name: name, CPU: b.median(sample), Rate: b.median(sample + " rate")}
}

func (b *bench) report() Report {
	r := Report{
		At: time.Now().UTC().Truncate(time.Second), Engine: b.databases.engine(), Processor: processor(), Cores: runtime.NumCPU(),
		Go: runtime.Version(), Rounds: b.Rounds, Size: b.Size, Callers: callers, Payments: b.earlier + int64(len(b.fixture)*b.Size),
		Steps: b.steps, Unsafe: b.Unsafe,
	}
	for _, p := range partNames {
		r.Parts = append(r.Parts, b.cost(p.name, p.sample))
	}
	for _, x := range ratios {
		r.Ratios = append(r.Ratios, b.ratio(x.name, x.sample, x.parts, x.bar))
	}
	if b.Rows > 0 {
		r.Ratios = append(r.Ratios, b.ratio(fmt.Sprintf(manyName, b.Rows), "notice of many", []string{"notice " + v3}, manyBar))
	}
	for _, l := range limits {
		r.Limits = append(r.Limits, Limit{l.name, l.unit, b.median(l.sample), l.bar})
	}
	return r
}

// ratio compares an operation with its parts round by round: what disturbs a round disturbs both.
func (b *bench) ratio(name, sample string, parts []string, bar float64) Ratio {
	r := Ratio{Cost: b.cost(name, sample), Bar: bar}
	var got, speed []float64
	for round, whole := range b.samples[sample] {
		var cpu, seconds float64
		for _, p := range parts {
			cpu += b.samples[p][round]
			seconds += 1 / b.samples[p+" rate"][round]
		}
		got = append(got, cpu/whole)
		speed = append(speed, b.samples[sample+" rate"][round]*seconds)
	}
	r.Got, r.Speed = median(got), median(speed)
	for _, p := range parts {
		r.Parts = append(r.Parts, b.cost(partName(p), p))
	}
	return r
}

func partName(sample string) string {
	switch {
	case strings.HasPrefix(sample, "bare page"):
		return "template"
	case strings.HasPrefix(sample, "bare status"):
		return "GET"
	case strings.HasPrefix(sample, "bare "):
		return "POST"
	case strings.HasPrefix(sample, "commit"):
		return "commit"
	case strings.HasPrefix(sample, "notice"):
		return "with few"
	}
	return sample
}

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", r.sentence())
	fmt.Fprintf(w, "%-44s %9s %9s  %-34s %5s %5s %7s\n", "", "CPU µs", "a second", "its parts, bare", "got", "bar", "")
	for _, x := range r.Ratios {
		fmt.Fprintf(w, "%-44s %9.0f %9.0f  %-34s %5.2f %5.2f %7s\n", x.Name, x.CPU, x.Rate, x.sum(), x.Got, x.Bar, verdict(x.OK()))
	}
	fmt.Fprintln(w)
	for _, l := range r.Limits {
		fmt.Fprintf(w, "%-60s %9.2f %-12s at most %4g %9s\n", l.Name, l.Got, l.Unit, l.Bar, verdict(l.OK()))
	}
	fmt.Fprintf(w, "\n%-60s %9s %9s\n", "bare", "CPU µs", "a second")
	for _, p := range r.Parts {
		fmt.Fprintf(w, "%-60s %9.1f %9.0f\n", p.Name, p.CPU, p.Rate)
	}
}

func verdict(ok bool) string {
	if ok {
		return "reached"
	}
	return "short"
}

func (r Report) sentence() string {
	text := fmt.Sprintf("%s, %s, %d cores of %s. Medians of %d rounds of %d operations each, %d connections, %d payments in the database. "+
		"Every rule over the databases that the run made holds.", r.Engine, r.Go, r.Cores, r.Processor, r.Rounds, r.Size, r.Callers, r.Payments)
	if r.Unsafe {
		text += " The database may lose what it confirmed: these figures say nothing about one that may not."
	}
	return text
}

// sum is the parts with their costs.
func (r Ratio) sum() string {
	var names []string
	total := 0.0
	for _, p := range r.Parts {
		names = append(names, fmt.Sprintf("%s %.0f", p.Name, p.CPU))
		total += p.CPU
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names, " + ") + fmt.Sprintf(" = %.0f", total)
}
