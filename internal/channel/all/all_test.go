package all_test

import (
	"testing"

	"piaohao/internal/channel/all"
)

// What gateway and web build on: names and paths are complete and collide nowhere.
func TestDrivers(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, driver := range all.Drivers {
		info := driver.Info
		for _, value := range []string{info.Channel, info.NotifyPath, info.BrowserMark} {
			if value == "" || seen[value] != "" {
				t.Errorf("%s: %q is empty or also of %q", info.Channel, value, seen[value])
			}
			seen[value] = info.Channel
		}
		if driver.New == nil || info.Method == "" || len(info.Products) == 0 {
			t.Errorf("%s: no New, method or product", info.Channel)
		}
		for _, product := range info.Products {
			if product.Name == "" || product.Shape == "" || product.Lifetime <= 0 {
				t.Errorf("%s: incomplete product %+v", info.Channel, product)
			}
		}
	}
}
