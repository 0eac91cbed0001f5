package all_test

import (
	"testing"

	"piaohao/internal/channel/all"
)

// What gateway and web build on: names are complete and no channel's name is another's. Drivers of one method share its
// notice path and browser mark, because the platform's settings know one of each; those of two methods share neither.
func TestDrivers(t *testing.T) {
	t.Parallel()
	channels := map[string]bool{}
	method := map[string]string{}   // by path, mark and prefix
	ofMethod := map[string]string{} // path, mark and prefix by method
	for _, driver := range all.Drivers {
		info := driver.Info
		if info.Channel == "" || info.Method == "" || channels[info.Channel] {
			t.Errorf("%q of method %q: a name is empty or taken", info.Channel, info.Method)
		}
		channels[info.Channel] = true
		for _, value := range []string{info.NotifyPath, info.BrowserMark, info.Prefix} {
			if of := method[value]; value == "" || of != "" && of != info.Method {
				t.Errorf("%s: %q is empty or also of %s", info.Channel, value, of)
			}
			method[value] = info.Method
		}
		shared := info.NotifyPath + " " + info.BrowserMark + " " + info.Prefix
		if other := ofMethod[info.Method]; other != "" && other != shared {
			t.Errorf("%s: %s, but another driver of %s has %s", info.Channel, shared, info.Method, other)
		}
		ofMethod[info.Method] = shared
		if driver.New == nil || driver.Settings == nil || len(info.Products) == 0 {
			t.Errorf("%s: no New, settings or product", info.Channel)
		}
		for _, product := range info.Products {
			if product.Name == "" || product.Shape == "" || product.Lifetime <= 0 {
				t.Errorf("%s: incomplete product %+v", info.Channel, product)
			}
		}
	}
}
