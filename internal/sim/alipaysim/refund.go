package alipaysim

import (
	"slices"
	"strconv"
	"time"

	"piaohao/internal/sim/simkit"
)

// The methods of refunds.
const (
	methodRefund      = "alipay.trade.refund"
	methodRefundQuery = "alipay.trade.fastpay.refund.query"
)

// Rules about the refunds of one trade (docs of trade.refund). What a refund within 3 s of another is answered is not
// documented; here it is the code whose documented cure is to repeat the same request.
const (
	refundGap    = 3 * time.Second
	refundWindow = 365 * 24 * time.Hour
	maxRefunds   = 1000 // of one trade; the docs name no limit

	maxRequestNo = 64
	maxReason    = 256
	maxOperator  = 30
	maxOption    = 64 // characters of one of query_options, and how many there may be
)

// refund is one of a trade's refunds. Times are business time.
type refund struct {
	RequestNo string    `json:"out_request_no"` // the trade's own number where the request gave none
	Fen       int64     `json:"fen"`
	Reason    string    `json:"reason,omitempty"`
	By        string    `json:"by"` // simkit.ByAPI, simkit.ByConsole
	Created   time.Time `json:"created"`
	Done      time.Time `json:"done"` // later than Created only by the fault of late refunds
}

// refunded are the fen that have gone back by now, and those that have been asked for and not gone yet.
func (t trade) refunded(now time.Time) (done, under int64) {
	for _, r := range t.Refunds {
		if now.Before(r.Done) {
			under += r.Fen
		} else {
			done += r.Fen
		}
	}
	return done, under
}

// left is what can still be refunded, in fen.
func (t trade) left() int64 {
	left := t.Order.Fen
	for _, r := range t.Refunds {
		left -= r.Fen
	}
	return left
}

func (t trade) refund(requestNo string) (refund, bool) {
	i := slices.IndexFunc(t.Refunds, func(r refund) bool { return r.RequestNo == requestNo })
	if i < 0 {
		return refund{}, false
	}
	return t.Refunds[i], true
}

// refundAsk is a checked request.
type refundAsk struct {
	ref
	fen       int64  // 0 = all that is left; the console only
	requestNo string // "" = not said
	reason    string
	by        string
	options   []string
}

// refundNames are the documented members of trade.refund. The docs warn that others can make it fail or pay twice, so
// that here they are refused.
var refundNames = []string{
	"refund_amount", "out_trade_no", "trade_no", "out_request_no", "refund_reason", "refund_goods_detail",
	"refund_royalty_parameters", "query_options", "operator_id", "store_id", "terminal_id",
}

func parseRefund(biz fields) (refundAsk, *failure) {
	ask := refundAsk{by: simkit.ByAPI}
	for name := range biz {
		if !slices.Contains(refundNames, name) {
			return ask, badField(name, "不是接口文档中定义的参数")
		}
	}
	var refused *failure
	if ask.ref, refused = parseRef(biz); refused != nil {
		return ask, refused
	}
	amount, refused := biz.text("refund_amount")
	if refused != nil {
		return ask, refused
	}
	fen, good := parseYuan(amount)
	if !good {
		return ask, badField("refund_amount", "应为0.01-100000000.00，最多两位小数")
	}
	ask.fen = fen
	for _, each := range []struct {
		name string
		max  int
		into *string
	}{
		{"out_request_no", maxRequestNo, &ask.requestNo},
		{"refund_reason", maxReason, &ask.reason},
		{"operator_id", maxOperator, new(string)},
		{"store_id", maxOperator, new(string)},
		{"terminal_id", maxOperator, new(string)},
	} {
		if *each.into, refused = biz.short(each.name, each.max); refused != nil {
			return ask, refused
		}
	}
	ask.options, refused = biz.texts("query_options")
	return ask, refused
}

// short is a text of at most max characters.
func (f fields) short(name string, most int) (string, *failure) {
	text, refused := f.text(name)
	if refused == nil && len([]rune(text)) > most {
		refused = badField(name, "最多"+strconv.Itoa(most)+"个字符")
	}
	return text, refused
}

// texts is a list of short texts; absent = none.
func (f fields) texts(name string) ([]string, *failure) {
	list, ok := f[name].([]any)
	if f[name] != nil && !ok || len(list) > maxOption {
		return nil, badField(name, "应为字符串数组")
	}
	out := make([]string, len(list))
	for i, each := range list {
		if out[i], ok = each.(string); !ok || len(out[i]) > maxOption {
			return nil, badField(name, "应为字符串数组")
		}
	}
	return out, nil
}

// mayRefund says why the trade cannot be refunded by this, or nil.
func (t trade) mayRefund(ask refundAsk, now time.Time) *failure {
	count := len(t.Refunds)
	switch {
	case t.Paid.IsZero() && t.Status == tradeClosed:
		return business("TRADE_HAS_CLOSE", "")
	case t.Paid.IsZero():
		return business("TRADE_STATUS_ERROR", "")
	case t.left() == 0:
		return business("TRADE_HAS_CLOSE", "")
	case ask.requestNo == "" && ask.by == simkit.ByAPI && ask.fen != t.Order.Fen:
		return business("REFUND_AMT_NOT_EQUAL_TOTAL", "")
	case ask.fen > t.left():
		return business("REASON_TRADE_REFUND_FEE_ERR", "")
	case now.After(t.Paid.Add(refundWindow)):
		return business("TRADE_HAS_FINISHED", "")
	case count >= maxRefunds:
		return business("TRADE_NOT_ALLOW_REFUND", "")
	case ask.by == simkit.ByAPI && count > 0 && now.Before(t.Refunds[count-1].Created.Add(refundGap)):
		return business("SYSTEM_ERROR", "同一笔交易的两次退款至少间隔3秒")
	}
	return nil
}

// refundTrade returns money, once for each out_request_no: changed is false for what was returned before.
func (s *Sim) refundTrade(ask refundAsk) (t trade, r refund, changed bool, refused *failure) {
	now, late := s.kit.Clock.Now(), time.Duration(0)
	if s.faults.Load().LateRefunds {
		late = s.kit.Faults.Refund().After
	}
	err := s.kit.Books.Do(func(tx *simkit.Tx) (err error) {
		exists := false
		if t, exists, err = s.lookup(tx, ask.ref, now); err != nil {
			return err
		}
		if !exists {
			refused = business("TRADE_NOT_EXIST", "")
			return nil
		}
		number := ask.requestNo
		if number == "" {
			number = t.Order.OutTradeNo
		}
		known, isKnown := t.refund(number)
		switch {
		case isKnown && ask.fen != known.Fen:
			refused = business("DISCORDANT_REPEAT_REQUEST", "")
			return nil
		case isKnown:
			r = known
			return nil
		}
		if refused = t.mayRefund(ask, now); refused != nil {
			return nil //nolint:nilerr // the refusal is the answer
		}
		r = refund{RequestNo: number, Fen: ask.fen, Reason: ask.reason, By: ask.by, Created: now, Done: now.Add(late)}
		if r.Fen == 0 {
			r.Fen = t.left()
		}
		enough, err := s.kit.Spend(tx, s.Name(), r.Fen, now, time.Time{})
		if err != nil {
			return err
		}
		if !enough {
			refused = business("SELLER_BALANCE_NOT_ENOUGH", "")
			return nil
		}
		t.Refunds = append(slices.Clone(t.Refunds), r)
		changed = true
		if err := tx.Put(kindTrade, t.Order.OutTradeNo, t); err != nil {
			return err
		}
		return s.notifyRefund(tx, t, r)
	})
	if err != nil {
		return t, r, false, s.broken(err)
	}
	return t.at(now), r, changed, refused
}

// refund is the reply of trade.refund. refund_fee is what has gone back of the whole trade.
func (s *Sim) refund(biz fields) (node, *failure) {
	ask, refused := parseRefund(biz)
	if refused != nil {
		return nil, refused
	}
	t, r, changed, refused := s.refundTrade(ask)
	if refused != nil {
		return ask.echo(), refused
	}
	now, faults := s.kit.Clock.Now(), s.faults.Load()
	done, _ := t.refunded(now)
	n := success()
	n["trade_no"], n["out_trade_no"] = t.TradeNo, t.Order.OutTradeNo
	n["buyer_logon_id"], n["buyer_user_id"] = buyerLogonID, buyerID
	n["refund_fee"], n["fund_change"] = simkit.Yuan(done), "N"
	if changed && !now.Before(r.Done) && !faults.FundChangeN {
		n["fund_change"] = "Y"
	}
	if faults.FundChangeAbsent {
		delete(n, "fund_change")
	}
	if !now.Before(r.Done) {
		n["gmt_refund_pay"] = formatTime(r.Done)
		r.detail(n, ask.options)
	}
	return n, nil
}

// detail adds where the money went, for those who ask for it.
func (r refund) detail(n node, options []string) {
	if !slices.Contains(options, "refund_detail_item_list") {
		return
	}
	n["send_back_fee"] = simkit.Yuan(r.Fen)
	n["refund_detail_item_list"] = []map[string]string{{"amount": simkit.Yuan(r.Fen), "fund_channel": "ALIPAYACCOUNT"}}
}

// refundQuery is the reply of trade.fastpay.refund.query. A refund that is not there, or not done, is a success without
// any field of a refund.
func (s *Sim) refundQuery(biz fields) (node, *failure) {
	ref, refused := parseRef(biz)
	if refused != nil {
		return nil, refused
	}
	number, refused := biz.short("out_request_no", maxRequestNo)
	if refused != nil {
		return nil, refused
	}
	if number == "" {
		return nil, badField("out_request_no", "不能为空")
	}
	options, refused := biz.texts("query_options")
	if refused != nil {
		return nil, refused
	}
	now := s.kit.Clock.Now()
	var t trade
	var exists bool
	err := s.kit.Books.Do(func(tx *simkit.Tx) (err error) {
		t, exists, err = s.lookup(tx, ref, now)
		return err
	})
	if err != nil {
		return nil, s.broken(err)
	}
	if !exists {
		return ref.echo(), business("TRADE_NOT_EXIST", "")
	}
	n := success()
	r, found := t.refund(number)
	if !found || now.Before(r.Done) {
		return n, nil
	}
	n["trade_no"], n["out_trade_no"], n["out_request_no"] = t.TradeNo, t.Order.OutTradeNo, r.RequestNo
	n["total_amount"], n["refund_amount"] = simkit.Yuan(t.Order.Fen), simkit.Yuan(r.Fen)
	n["refund_status"] = "REFUND_SUCCESS"
	if r.Reason != "" {
		n["refund_reason"] = r.Reason
	}
	if slices.Contains(options, "gmt_refund_pay") {
		n["gmt_refund_pay"] = formatTime(r.Done)
	}
	if slices.Contains(options, "deposit_back_info") {
		n["deposit_back_info"] = map[string]string{"has_deposit_back": "false"}
	}
	r.detail(n, options)
	return n, nil
}

// Refund is the merchant's own console: fen of the trade, 0 = all that is left.
func (s *Sim) Refund(code string, fen int64) (simkit.Refund, error) {
	f, err := s.locate(code)
	if err != nil {
		return simkit.Refund{}, err
	}
	if !f.exists {
		return simkit.Refund{}, &simkit.Refusal{Reason: simkit.ReasonUnpaid}
	}
	number, err := s.kit.Text(simkit.Digits, 12)
	if err != nil {
		return simkit.Refund{}, err
	}
	_, r, _, refused := s.refundTrade(refundAsk{
		ref: ref{outTradeNo: f.trade.Order.OutTradeNo}, fen: fen, requestNo: "console" + number, by: simkit.ByConsole,
	})
	if refused == nil {
		return r.shown(s.kit.Clock.Now()), nil
	}
	if reason, known := refundReasons[refused.subCode]; known {
		return simkit.Refund{}, &simkit.Refusal{Reason: reason}
	}
	return simkit.Refund{}, refused
}

var refundReasons = map[string]simkit.Reason{
	"ACQ.TRADE_STATUS_ERROR": simkit.ReasonUnpaid, "ACQ.TRADE_HAS_CLOSE": simkit.ReasonTooMuch,
	"ACQ.REASON_TRADE_REFUND_FEE_ERR": simkit.ReasonTooMuch, "ACQ.TRADE_HAS_FINISHED": simkit.ReasonLimit,
	"ACQ.TRADE_NOT_ALLOW_REFUND": simkit.ReasonLimit, "ACQ.SELLER_BALANCE_NOT_ENOUGH": simkit.ReasonBalance,
}

// shown is the refund as pages and checkers see it, in the words of refund.query.
func (r refund) shown(now time.Time) simkit.Refund {
	out := simkit.Refund{Number: r.RequestNo, Amount: r.Fen, By: r.By, Created: r.Created}
	if !now.Before(r.Done) {
		out.State, out.Done = "REFUND_SUCCESS", r.Done
	}
	return out
}
