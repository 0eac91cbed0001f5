// node wechat2.cjs ORIGIN MD5|HMAC-SHA256: wechatpay-axios-plugin, told another host and nothing else, pays and refunds at the
// simulator by APIv2.
"use strict";
const https = require("https");
const { Wechatpay, Hash, Transformer, Aes } = require("wechatpay-axios-plugin");
const { say, call, inbox, judge } = require("./judge.cjs");

const [, , origin, kind] = process.argv;

async function refused(check, want, request) {
  try {
    const response = await request();
    say(check, false, "accepted: " + JSON.stringify(response.data));
  } catch (cause) {
    const data = (cause.response && cause.response.data) || {};
    const got = typeof data === "object" ? `${data.err_code || data.return_msg || ""} ${cause.code}` : `${cause.code}`;
    say(check, got.includes(want), got + " " + cause.message.slice(0, 120));
  }
}

// httpsPost returns the status of an empty call.
const httpsPost = (address, options) => new Promise((done, failed) => {
  https.request(address, { method: "POST", ...options }, (response) => { response.resume(); done(response.statusCode); }).on("error", failed).end();
});

judge(async () => {
  const k = (await call("GET", origin + "/sim/credentials")).body.wechat;
  const settings = (more) => ({
    baseURL: origin + "/", mchid: k.mchid, secret: k.mch_key, serial: k.serial_no, privateKey: k.private_key,
    certs: { [k.public_key_id]: k.public_key }, ...more,
  });
  const wechat = new Wechatpay(settings());
  const pay = (sdk) => sdk.v2.pay;
  const box = await inbox("<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>");
  const common = { appid: k.appid, mch_id: k.mchid, sign_type: kind };
  const order = (out_trade_no, more) => ({
    ...common, out_trade_no, body: "Image形象店-深圳腾大-QQ公仔 & <b>", total_fee: 9900, spbill_create_ip: "127.0.0.1",
    notify_url: box.url, trade_type: "NATIVE", product_id: out_trade_no, attach: "a&b", ...more,
  });
  const place = (sdk, out_trade_no, more) => pay(sdk).unifiedorder.post(order(out_trade_no, more));
  const query = (sdk, out_trade_no) => pay(sdk).orderquery.post({ ...common, out_trade_no });
  const close = (out_trade_no) => pay(wechat).closeorder.post({ ...common, out_trade_no });
  const payAt = (code) => call("POST", origin + "/sim/wallet/pay", { code });
  const verifies = (fields) => Hash.equals(Hash.sign(kind, fields, k.mch_key), fields.sign);

  const first = (await place(wechat, "judge-1")).data;
  say("order", /^weixin:\/\/wxpay\/bizpayurl\?pr=\w{9}$/.test(first.code_url) && first.sign.length === (kind === "MD5" ? 32 : 64), JSON.stringify(first));
  say("query unpaid", (await query(wechat, "judge-1")).data.trade_state === "NOTPAY");
  const paid = await payAt(first.code_url);
  say("pay", paid.status === 200 && paid.body.transaction_id);
  const notice = Transformer.toObject((await box.next(1)).body);
  say("notice verifies", verifies(notice), JSON.stringify(notice));
  say("notice with another amount is refused", !verifies({ ...notice, total_fee: "1" }));
  say("notice says", notice.out_trade_no === "judge-1" && notice.total_fee === "9900" && notice.attach === "a&b" && notice.transaction_id === paid.body.transaction_id);
  const found = (await query(wechat, "judge-1")).data;
  say("query paid", found.trade_state === "SUCCESS" && found.total_fee === "9900" && found.transaction_id === paid.body.transaction_id, JSON.stringify(found));
  await refused("order of a paid number", "ORDERPAID", () => place(wechat, "judge-1"));
  await refused("close of a paid order", "ORDERPAID", () => close("judge-1"));

  await place(wechat, "judge-2");
  await refused("order of a used number", "OUT_TRADE_NO_USED", () => place(wechat, "judge-2", { total_fee: 1 }));
  say("close", (await close("judge-2")).data.result_code === "SUCCESS");
  say("query closed", (await query(wechat, "judge-2")).data.trade_state === "CLOSED");
  await refused("query of nothing", "ORDERNOTEXIST", () => query(wechat, "nothing"));

  const certified = new Wechatpay(settings({ baseURL: k.secure_url + "/", merchant: { ca: k.secure_ca, cert: k.mch_cert, key: k.private_key } }));
  const refund = (sdk, out_refund_no, total_fee, refund_fee) => sdk.v2.secapi.pay.refund.post({
    ...common, out_trade_no: "judge-1", out_refund_no, total_fee, refund_fee, refund_desc: "少了一两", notify_url: box.url,
  }, { security: true }); // with the client certificate
  const refundQuery = (out_refund_no) => pay(wechat).refundquery.post({ ...common, out_refund_no });
  await refused("refund of another total", "ERROR", () => refund(certified, "judge-r0", 9901, 100));
  await refused("refund of more than was paid", "ERROR", () => refund(certified, "judge-r0", 9900, 9901));
  const plain = await fetch(origin + "/secapi/pay/refund", { method: "POST", body: "<xml/>" });
  say("refund without TLS", plain.status === 400, plain.status);
  const bare = await httpsPost(k.secure_url + "/secapi/pay/refund", { ca: k.secure_ca });
  say("refund without certificate", bare === 400, bare);
  const back = (await refund(certified, "judge-r1", 9900, 100)).data;
  say("refund", back.result_code === "SUCCESS" && back.refund_fee === "100" && back.total_fee === "9900" && back.out_trade_no === "judge-1", JSON.stringify(back));
  say("refund again", (await refund(certified, "judge-r1", 9900, 100)).data.refund_id === back.refund_id);
  await refused("refund again of another amount", "ERROR", () => refund(certified, "judge-r1", 9900, 101));
  const told = Transformer.toObject((await box.next(2)).body);
  const inner = Transformer.toObject(Aes.AesEcb.decrypt(told.req_info, Hash.md5(k.mch_key)));
  say("refund notice opens", inner.refund_status === "SUCCESS" && inner.refund_id === back.refund_id && inner.refund_fee === "100" && inner.out_refund_no === "judge-r1", JSON.stringify(inner));
  const known = (await refundQuery("judge-r1")).data;
  say("query refund", known.refund_status_0 === "SUCCESS" && known.refund_fee_0 === "100" && known.refund_count === "1", JSON.stringify(known));
  await refused("query refund of nothing", "REFUNDNOTEXIST", () => refundQuery("nothing"));
  say("query refunded", (await query(wechat, "judge-1")).data.trade_state === "REFUND");

  const forger = new Wechatpay(settings({ secret: "0".repeat(32) }));
  await refused("request under a foreign key", "签名错误", () => place(forger, "forged"));
  const sent = { ...order("forged"), nonce_str: "n" };
  sent.sign = Hash.sign(kind, sent, k.mch_key);
  const cheat = await fetch(origin + "/pay/unifiedorder", { method: "POST", body: Transformer.toXml({ ...sent, total_fee: 1 }) });
  say("request with another amount than signed", Transformer.toObject(await cheat.text()).return_msg === "签名错误");
  await call("POST", origin + "/sim/faults", { probe_answer_percent: 100 });
  await refused("answer with a wrong signature", "EV2_RES_SIGNATURE_NOT_EQUAL", () => query(wechat, "judge-1"));
  await call("POST", origin + "/sim/faults", { probe_notice_percent: 100 });
  await place(wechat, "judge-3");
  await payAt("judge-3");
  say("notice with a wrong signature is refused", !verifies(Transformer.toObject((await box.next(3)).body)));
});
