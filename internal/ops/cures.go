package ops

// cure says what to do about a refused message or an incident, short, in both languages.
type cure struct{ zh, en string }

func (c cure) String() string { return c.zh + " · " + c.en }

// cures are by outcome and code, "" = every other code of the outcome. Codes that several platforms' drivers use mean the
// same with each.
var cures = map[[2]string]cure{
	{"forged", "signature"}: {
		"签名不符：多半是平台公钥（填成了应用自己的公钥）或商户密钥填错，或已在平台更换；运行 piaohao doctor",
		"the signature does not hold: most often the platform's public key (the application's own in its place) or the merchant key is wrong, or was changed there; run piaohao doctor",
	},
	{"forged", "serial"}: {
		"签名所用的平台证书或公钥编号未知：检查平台公钥 ID 与证书；运行 piaohao doctor",
		"signed with a platform key that is not known here: check the platform's public key id and certificates; run piaohao doctor",
	},
	{"forged", "expired"}: {
		"平台证书已过期、被撤下或尚未生效：运行 piaohao doctor --online 看能否取到新证书",
		"signed with a platform certificate that has expired, was withdrawn or is not valid yet: piaohao doctor --online tells whether new ones come",
	},
	{"forged", "cert_sn"}: {
		"支付宝公钥证书已更换：到平台下载新证书填入设置", "the platform signs with another certificate: download the new one there and set it",
	},
	{"forged", "req_info"}: {
		"退款通知解不开：检查 WECHAT_MCH_KEY 是否与商户平台一致", "the refund notice cannot be opened: compare WECHAT_MCH_KEY with the merchant platform's",
	},
	{"foreign", "identity"}: {
		"属于另一个商户号或应用：检查商户号、应用 ID 与回调地址是否配对",
		"it is for another merchant number or app id: check that both belong to this notify URL",
	},
	{"forged", "timestamp"}: {
		"通知时间相差太多：校准服务器时钟（NTP）", "its time is too far off: set this machine's clock (NTP)",
	},
	{"forged", "resource"}: {
		"通知内容解不开：检查 APIv3 密钥是否与商户平台一致", "its content cannot be opened: compare the APIv3 key with the merchant platform's",
	},
	{"forged", "sign_type"}: {
		"签名类型不符：在平台与设置中使用同一种", "another kind of signature than configured: use the same at the platform and in the settings",
	},
	{"forged", "header_missing"}: {
		"没有平台的签名头：多半是扫描器；若是真通知，检查反向代理是否删去了请求头",
		"the platform's signature headers are missing: most often a scanner; if it is genuine, check that no proxy drops headers",
	},
	{"forged", ""}: {
		"验签或格式未通过，可能是伪造；若是真通知，检查密钥，并确认反向代理未改写正文；运行 piaohao doctor",
		"it failed verification and may be a forgery; if it is genuine, check the keys and that no proxy rewrites bodies; run piaohao doctor",
	},
	{"foreign", "app_id"}: {
		"属于另一个应用：检查应用 ID 与回调地址是否配对", "it is for another application: check that app id and notify URL belong together",
	},
	{"foreign", ""}: {
		"不是发给本账户的消息：检查回调地址填在了哪个平台或账户；扫描器也会发来",
		"not a message for this account: check which platform and account has this notify URL; scanners send such too",
	},
	{"unknown_order", ""}: {
		"真通知，但这里没有这个单号：是否有别的系统或数据库共用该商户号", "genuine, but no attempt here has this number: does another system or database use this merchant number?",
	},
	{"not_stored", ""}: {
		"真通知，但数据库当时写不进去：检查数据库与磁盘；平台会重发", "genuine, but the database took nothing then: check database and disk; the platform sends it again",
	},
	{"quarantine", "order_mismatch"}: {
		"通知所指的单号不属于这笔支付：核对平台账单", "it names a number that this payment has not: compare with the platform's books",
	},
	{"quarantine", "channel_mismatch"}: {
		"从另一个平台的地址到达：检查各平台的回调地址", "it came by another platform's address: check each platform's notify URL",
	},
	{"quarantine", "account_mismatch"}: {
		"由另一个商户号的密钥签名：检查账户与回调地址", "another account's keys verified it: check accounts and notify URLs",
	},
	{"quarantine", "app_id_mismatch"}: {
		"应用 ID 与下单时不同：检查应用 ID", "another app id than the order's: check the app id",
	},
	{"quarantine", "merchant_id_mismatch"}: {
		"收款商户与下单时不同：检查商户号或卖家 ID；在查清前不要发货", "another merchant than the order's: check merchant number or seller id; ship nothing until it is clear",
	},
	{"quarantine", "signature_mismatch"}: {
		"签名方式与下单时不同：旧单沿用旧方式，勿在途中更改", "signed in another way than the order was begun with: keep the old way until old orders have ended",
	},
	{"quarantine", "amount_mismatch"}: {
		"金额与下单时不同：不要发货，到平台核对这一单", "another amount than asked for: ship nothing, look this order up at the platform",
	},
	{"quarantine", "currency_mismatch"}: {
		"币种不是人民币：不要发货，到平台核对", "another currency than CNY: ship nothing, look the order up at the platform",
	},
	{"quarantine", "transaction_id_missing"}: {
		"通知已付款却没有交易号：到平台核对", "paid without a transaction number: look the order up at the platform",
	},
	{"quarantine", "transaction_id_on_two_attempts"}: {
		"同一交易号对应两个单：不要发货，到平台核对", "one transaction for two orders: ship nothing, look both up at the platform",
	},
	{"quarantine", "transaction_id_changed"}: {
		"同一单出现第二个交易号：到平台核对是否付了两次", "a second transaction for one order: look at the platform whether it was paid twice",
	},
	{"quarantine", "surplus_received"}: {
		"付了两次：多出的一笔会自动退给付款人；用 payment show 看结果", "paid twice: the second money goes back by itself; payment show tells how far it is",
	},
	{"quarantine", "late_paid"}: {
		"关单后才到账：按 LATE_PAYMENT 自动退回或算作付款；用 payment show 看结果", "money for a closed payment: it goes back by itself, or pays, as LATE_PAYMENT says; payment show tells",
	},
	{"quarantine", "refund_amount_mismatch"}: {
		"平台所说的退款金额与我们要求的不同：到平台核对这笔退款", "the platform tells of another amount under our refund number: look that refund up at the platform",
	},
	{"quarantine", "refund_waits"}: {
		"退款在等：给商户号充值，或配置商户 API 证书；会自动重试", "a refund waits: top the merchant's balance up, or configure the merchant certificate; it is tried again by itself",
	},
	{"quarantine", "refund_failed"}: {
		"自动退款失败：按代码查平台文档，用别的方式把钱还给付款人", "an automatic refund failed: look its code up in the platform's documents, and return the money in another way",
	},
	{"quarantine", "refund_abnormal"}: {
		"退款异常：付款人的账户收不了，或平台 30 天没有结果；到平台处理", "a refund needs a person: the payer's account cannot take it, or the platform gave no end in 30 days; settle it at the platform",
	},
	{"quarantine", "refund_succeeded_after_failing"}: {
		"退款先报失败、后又成功：核对是否退了两次", "a refund that had failed succeeded after all: look whether the money went back twice",
	},
	{"quarantine", "refund_not_ours"}: {
		"退款不是从这里发起的：已记录，请核对", "a refund that was not made here: it is recorded, compare it",
	},
	{"quarantine", ""}: {
		"真消息，但与订单不符：到平台核对", "genuine, but it does not fit the order: look it up at the platform",
	},
	{"unknown", "timeout"}: {
		"平台未及时应答：会自动重试；检查出网与 DNS", "the platform did not answer in time: it is tried again; check outgoing network and DNS",
	},
	{"unknown", "unreachable"}: {
		"连不上平台：会自动重试；检查出网、DNS 与防火墙", "the platform could not be reached: it is tried again; check outgoing network, DNS and firewall",
	},
	{"unknown", ""}: {
		"结果未知：会自动再问；若一直如此，运行 piaohao doctor --online", "the outcome is not known: it is asked again; if that stays so, run piaohao doctor --online",
	},
	{"declined", ""}: {
		"平台明确拒绝：按其代码查平台文档，检查产品是否开通", "the platform said a final no: look its code up in its documents, and whether the product is enabled",
	},
	{"limited", ""}: {
		"请求太频繁：已自动放慢", "too many calls: slowed down by itself",
	},
}

// cureFor returns the zero cure for what needs none.
func cureFor(outcome, code string) cure {
	if c, ok := cures[[2]string{outcome, code}]; ok {
		return c
	}
	return cures[[2]string{outcome, ""}]
}
