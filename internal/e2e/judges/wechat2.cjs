// node wechat2.cjs ORIGIN MD5|HMAC-SHA256: wechatpay-axios-plugin, told another host and nothing else, pays at the simulator
// by APIv2.
"use strict";
const { Wechatpay, Hash, Transformer } = require("wechatpay-axios-plugin");
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
  say("notice with a wrong signature is refused", !verifies(Transformer.toObject((await box.next(2)).body)));
});
