package gateway

import (
	"context"
	"sync"

	"piaohao/internal/pay"
)

// merchants caches what each account without a configured merchant number is bound to. It is written once in the
// database, so what is cached stays true.
type merchants struct {
	mu    sync.Mutex
	bound map[string]string // by account id
}

func (m *merchants) get(account string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bound[account]
}

func (m *merchants) set(account, merchantID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bound == nil {
		m.bound = map[string]string{}
	}
	m.bound[account] = merchantID
}

// noMerchant stands for a notice that names no merchant where one is bound: it fits nothing.
const noMerchant = "none"

// bindMerchant is for accounts whose merchant number was not configured: their attempts ask for none. The first verified
// notice of money that fits in everything else binds its account to the merchant it names; from then on a notice must
// name that one, and what names another is left as it is, to be quarantined.
func (g *Gateway) bindMerchant(ctx context.Context, p pay.Payment, o pay.Observation) (pay.Observation, error) {
	a := p.AttemptByNumber(o.OutTradeNo)
	if a == nil || a.MerchantID != "" || a.Account != o.Account {
		return o, nil
	}
	told := o.MerchantID
	o.MerchantID = "" // as the attempt asked
	bound := g.merchants.get(a.Account)
	if bound == "" {
		var err error
		if bound, err = g.DB.Merchant(ctx, a.Account); err != nil {
			return o, err
		}
	}
	if bound == "" {
		_, verdict := pay.Decide(p, o, g.Now(), g.NewID)
		if o.State != pay.Paid || told == "" || verdict == pay.Quarantine {
			return o, nil // nothing to bind to: it is decided by what it says of the order
		}
		var err error
		if bound, err = g.DB.BindMerchant(ctx, a.Account, told); err != nil {
			return o, err
		}
		g.Log.Info("account bound to the merchant of its first paid notice", "account", a.Account, "merchant", bound)
	}
	g.merchants.set(a.Account, bound)
	switch told {
	case bound:
	case "":
		o.MerchantID = noMerchant
	default:
		o.MerchantID = told
	}
	return o, nil
}
