// node alipay.cjs ORIGIN: alipay-sdk, told another gateway and nothing else, pays and refunds at the simulator, in the mode of its app.
"use strict";
const crypto = require("crypto");
const querystring = require("querystring");
const { AlipaySdk } = require("alipay-sdk");
const { say, call, inbox, judge } = require("./judge.cjs");

const origin = process.argv[2];
const bare = (pem) => pem.replace(/-----[^-]+-----|\s/g, "");

judge(async () => {
  const k = (await call("GET", origin + "/sim/credentials")).body.alipay;
  const certified = Boolean(k.app_cert);
  const keys = certified
    ? { appCertContent: k.app_cert, alipayPublicCertContent: k.alipay_cert, alipayRootCertContent: k.alipay_root_cert }
    : { alipayPublicKey: bare(k.alipay_public_key) };
  const settings = (more) => ({
    appId: k.app_id, privateKey: bare(k.app_private_key), keyType: "PKCS8", gateway: k.gateway_url, ...keys, ...more,
  });
  const alipay = new AlipaySdk(settings());
  const exec = (method, bizContent, sdk = alipay) => sdk.exec(method, { bizContent }, { validateSign: true });
  const query = (out_trade_no, sdk) => exec("alipay.trade.query", { out_trade_no }, sdk);
  const box = await inbox("success");
  const order = (out_trade_no) => ({
    out_trade_no, total_amount: "88.80", subject: "测试 商品 +100%", product_code: "FAST_INSTANT_TRADE_PAY", timeout_express: "90m",
  });
  const link = (out_trade_no, sdk = alipay) => sdk.pageExecute("alipay.trade.page.pay", "GET", {
    bizContent: order(out_trade_no), notifyUrl: box.url, returnUrl: box.url,
  });
  const open = async (address) => {
    const response = await fetch(address, { redirect: "manual" });
    return { status: response.status, to: response.headers.get("location"), text: new TextDecoder("gbk").decode(await response.arrayBuffer()) };
  };
  const press = (cashier, button) => fetch(`${cashier}/${button}`, { method: "POST", redirect: "manual" });
  // The cashier has an origin of its own, which only browsers resolve.
  const reachable = (address) => address.replace(/^http:\/\/[^/]+/, origin);

  let r = await query("JUDGE1");
  say("query of nothing", r.subCode === "ACQ.TRADE_NOT_EXIST", JSON.stringify(r));
  const visit = await open(link("JUDGE1"));
  say("order", visit.status === 302, visit.to);
  const cashier = reachable(visit.to);
  await press(cashier, "login");
  r = await query("JUDGE1");
  say("query unpaid", r.tradeStatus === "WAIT_BUYER_PAY" && r.totalAmount === "88.80", JSON.stringify(r));
  await press(cashier, "pay");
  r = await query("JUDGE1");
  say("query paid", r.tradeStatus === "TRADE_SUCCESS" && r.totalAmount === "88.80", JSON.stringify(r));
  const form = querystring.parse((await box.next(1)).body);
  say("pay", form.trade_status === "TRADE_SUCCESS" && form.trade_no === r.tradeNo && form.total_amount === "88.80");
  say("notice verifies", alipay.checkNotifySignV2({ ...form }));
  say("notice with another amount is refused", !alipay.checkNotifySignV2({ ...form, total_amount: "0.01" }));
  say("notice with another signature is refused", !alipay.checkNotifySignV2({ ...form, sign: form.sign.replace(/^./, (c) => (c === "A" ? "B" : "A")) }));
  const page = await (await fetch(cashier)).text();
  const way = page.match(/href="([^"]+)"/)[1].replace(/&#43;/g, "+").replace(/&amp;/g, "&");
  say("way back verifies", alipay.checkNotifySignV2(Object.fromEntries(new URL(way).searchParams)));
  r = await exec("alipay.trade.close", { out_trade_no: "JUDGE1" });
  say("close of a paid trade", r.subCode === "ACQ.TRADE_STATUS_ERROR" || r.subCode === "ACQ.REASON_TRADE_STATUS_INVALID", JSON.stringify(r));

  await press(reachable((await open(link("JUDGE2"))).to), "login");
  r = await exec("alipay.trade.close", { out_trade_no: "JUDGE2" });
  say("close", r.code === "10000", JSON.stringify(r));
  r = await query("JUDGE2");
  say("query closed", r.tradeStatus === "TRADE_CLOSED", JSON.stringify(r));

  const refund = (out_request_no, refund_amount) => exec("alipay.trade.refund", { out_trade_no: "JUDGE1", out_request_no, refund_amount, refund_reason: "少了一册" });
  const refundQuery = (out_request_no) => exec("alipay.trade.fastpay.refund.query", { out_trade_no: "JUDGE1", out_request_no, query_options: ["gmt_refund_pay"] });
  r = await refund("R1", "88.81");
  say("refund of more than was paid", r.subCode === "ACQ.REASON_TRADE_REFUND_FEE_ERR", JSON.stringify(r));
  r = await refund("R1", "8.80");
  say("refund", r.code === "10000" && r.fundChange === "Y" && r.refundFee === "8.80", JSON.stringify(r));
  const told = querystring.parse((await box.next(2)).body);
  say("refund notice", alipay.checkNotifySignV2({ ...told }) && told.trade_status === "TRADE_SUCCESS" && told.refund_fee === "8.80" && told.out_biz_no === "R1", JSON.stringify(told));
  r = await refund("R1", "8.80");
  say("refund again", r.code === "10000" && r.fundChange === "N" && r.refundFee === "8.80", JSON.stringify(r));
  r = await refund("R1", "8.81");
  say("refund again of another amount", r.subCode === "ACQ.DISCORDANT_REPEAT_REQUEST", JSON.stringify(r));
  r = await refundQuery("R1");
  say("query refund", r.refundStatus === "REFUND_SUCCESS" && r.refundAmount === "8.80" && r.totalAmount === "88.80" && Boolean(r.gmtRefundPay), JSON.stringify(r));
  r = await refundQuery("R2");
  say("query refund of nothing", r.code === "10000" && r.refundStatus === undefined, JSON.stringify(r));
  await call("POST", origin + "/sim/clock", { advance: "3s" });
  r = await refund("R2", "80.00");
  say("refund of the rest", r.code === "10000" && r.fundChange === "Y" && r.refundFee === "88.80", JSON.stringify(r));
  r = await query("JUDGE1");
  say("query refunded", r.tradeStatus === "TRADE_CLOSED" && Boolean(r.sendPayDate), JSON.stringify(r));

  const foreign = crypto.generateKeyPairSync("rsa", {
    modulusLength: 2048, publicKeyEncoding: { type: "spki", format: "pem" }, privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const forger = new AlipaySdk(settings({ privateKey: bare(foreign.privateKey) }));
  r = await query("JUDGE1", forger);
  say("request under a foreign key", r.subCode === "isv.invalid-signature", JSON.stringify(r));
  const forged = await open(link("JUDGE3", forger));
  say("order under a foreign key", forged.status === 200 && /invalid-signature/.test(forged.text), forged.text.slice(0, 200));
  const cheat = await open(link("JUDGE3").replace("88.80", "00.01"));
  say("order with another amount than signed", cheat.status === 200 && /invalid-signature/.test(cheat.text), cheat.text.slice(0, 200));
  const distrustful = new AlipaySdk(settings(certified ? { alipayPublicCertContent: k.app_cert } : { alipayPublicKey: bare(foreign.publicKey) }));
  const refuses = async (check, request) => {
    try { say(check, false, JSON.stringify(await request())); } catch (cause) { say(check, /验签失败|sign/i.test(cause.message), cause.message.slice(0, 80)); }
  };
  await refuses("answer under a foreign key", () => query("JUDGE1", distrustful));
  if (certified) {
    r = await query("JUDGE1", new AlipaySdk(settings({ appCertContent: k.alipay_cert })));
    say("request under a foreign certificate", r.subCode === "isv.app-cert-not-exist", JSON.stringify(r));
    r = await query("JUDGE1", new AlipaySdk(settings({ alipayRootCertContent: k.alipay_cert })));
    say("request under foreign roots", r.subCode === "isv.invalid-alipay-root-cert-sn", JSON.stringify(r));
    r = await exec("alipay.open.app.alipaycert.download", { alipay_cert_sn: alipay.config.alipayCertSn });
    say("certificate", Buffer.from(r.alipayCertContent, "base64").toString() === k.alipay_cert, JSON.stringify(r));
  }
  await call("POST", origin + "/sim/faults", { probe_answer_percent: 100 });
  await refuses("answer with a wrong signature", () => query("JUDGE1"));
});
