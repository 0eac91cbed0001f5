// node wechat.cjs ORIGIN: wechatpay-axios-plugin, told another host and nothing else, pays and refunds at the simulator by APIv3, with
// the public key, the platform certificates or both, as the merchant has them.
"use strict";
const crypto = require("crypto");
const { Wechatpay, Rsa, Formatter, Aes } = require("wechatpay-axios-plugin");
const { say, call, inbox, judge } = require("./judge.cjs");

const origin = process.argv[2];
const freshness = 300; // seconds, WeChat's document on verifying notices

async function refused(check, want, request) {
  try {
    const response = await request();
    say(check, false, "accepted with " + response.status);
  } catch (cause) {
    const got = cause.response ? `${cause.response.status} ${cause.response.data && cause.response.data.code}` : cause.message;
    say(check, got.includes(want) || cause.message.includes(want), got);
  }
}

judge(async () => {
  const k = (await call("GET", origin + "/sim/credentials")).body.wechat;
  const serialOf = (pem) => new crypto.X509Certificate(pem).serialNumber;
  const published = (pems) => Object.fromEntries((pems || "").split(/(?<=-----END CERTIFICATE-----\n)/).filter(Boolean).map((pem) => [serialOf(pem), pem]));
  const certs = { ...(k.public_key_id && { [k.public_key_id]: k.public_key }), ...published(k.platform_certs) };
  const settings = (more) => ({
    baseURL: origin + "/", mchid: k.mchid, serial: k.serial_no, privateKey: k.private_key, certs: { ...certs },
    headers: k.public_key_id ? { "Wechatpay-Serial": k.public_key_id } : {}, ...more,
  });
  const wechat = new Wechatpay(settings());
  const orders = (sdk) => sdk.v3.pay.transactions;
  const box = await inbox("");
  const order = (out_trade_no, more) => ({
    mchid: k.mchid, appid: k.appid, out_trade_no, description: "Image形象店-深圳腾大-QQ公仔 & <b>",
    notify_url: box.url, amount: { total: 9900, currency: "CNY" }, ...more,
  });
  const query = (sdk, out_trade_no) => orders(sdk).outTradeNo._out_trade_no_.get({ params: { mchid: k.mchid }, out_trade_no });
  const close = (out_trade_no) => orders(wechat).outTradeNo._out_trade_no_.close.post({ mchid: k.mchid }, { out_trade_no });
  const payAt = (code) => call("POST", origin + "/sim/wallet/pay", { code });
  const verifies = ({ headers, body }) => certs[headers["wechatpay-serial"]] && Math.abs(Formatter.timestamp() - headers["wechatpay-timestamp"]) < freshness
    && Rsa.verify(Formatter.response(headers["wechatpay-timestamp"], headers["wechatpay-nonce"], body),
      headers["wechatpay-signature"], Rsa.from(certs[headers["wechatpay-serial"]], Rsa.KEY_TYPE_PUBLIC));

  const first = (await orders(wechat).native.post(order("judge-1"))).data.code_url;
  say("order", /^weixin:\/\/wxpay\/bizpayurl\?pr=\w{9}$/.test(first), first);
  say("query unpaid", (await query(wechat, "judge-1")).data.trade_state === "NOTPAY");
  const paid = await payAt(first);
  say("pay", paid.status === 200 && paid.body.transaction_id);
  const notice = await box.next(1);
  say("notice verifies", verifies(notice));
  say("notice with one byte changed is refused", !verifies({ ...notice, body: notice.body.replace("SUCCESS", "SUCCESs") }));
  const open = ({ ciphertext, nonce, associated_data }) => JSON.parse(Aes.AesGcm.decrypt(ciphertext, k.api_v3_key, nonce, associated_data));
  const sealed = JSON.parse(notice.body).resource;
  const plain = open(sealed);
  say("notice opens", plain.out_trade_no === "judge-1" && plain.amount.total === 9900 && plain.transaction_id === paid.body.transaction_id);
  const bytes = Buffer.from(sealed.ciphertext, "base64"); // a bit of the sealed amount
  bytes[Buffer.from(JSON.stringify(plain)).indexOf("9900")] ^= 1;
  let opened = true;
  try { open({ ...sealed, ciphertext: bytes.toString("base64") }); } catch { opened = false; }
  say("notice with another amount does not open", !opened);
  const found = (await query(wechat, "judge-1")).data;
  say("query paid", found.trade_state === "SUCCESS" && found.amount.total === 9900 && found.transaction_id === paid.body.transaction_id);
  await refused("order of a paid number", "400 ORDER_PAID", () => orders(wechat).native.post(order("judge-1")));
  await refused("close of a paid order", "400 ORDER_PAID", () => close("judge-1"));

  await orders(wechat).native.post(order("judge-2"));
  const closed = await close("judge-2");
  say("close", closed.status === 204 && closed.data === "");
  say("query closed", (await query(wechat, "judge-2")).data.trade_state === "CLOSED");
  await refused("query of nothing", "404 ORDER_NOT_EXIST", () => query(wechat, "nothing"));

  const refunds = wechat.v3.refund.domestic.refunds;
  const refund = (out_refund_no, total, amount) => refunds.post({
    out_trade_no: "judge-1", out_refund_no, reason: "少了一两", notify_url: box.url, amount: { refund: amount, total, currency: "CNY" },
  });
  await refused("refund of another total", "400 INVALID_REQUEST", () => refund("judge-r0", 9901, 100));
  await refused("refund of more than was paid", "400 INVALID_REQUEST", () => refund("judge-r0", 9900, 9901));
  const back = (await refund("judge-r1", 9900, 100)).data;
  say("refund", back.status === "PROCESSING" && back.amount.refund === 100 && back.out_trade_no === "judge-1" && back.transaction_id === paid.body.transaction_id, JSON.stringify(back));
  const again = (await refund("judge-r1", 9900, 100)).data;
  say("refund again", again.refund_id === back.refund_id, JSON.stringify(again));
  await refused("refund again of another amount", "400 INVALID_REQUEST", () => refund("judge-r1", 9900, 101));
  const told = await box.next(2);
  say("refund notice verifies", verifies(told));
  const refunded = open(JSON.parse(told.body).resource);
  say("refund notice opens", JSON.parse(told.body).event_type === "REFUND.SUCCESS" && refunded.refund_status === "SUCCESS" && refunded.refund_id === back.refund_id
    && refunded.amount.refund === 100 && refunded.amount.total === 9900, JSON.stringify(refunded));
  const known = (await refunds._out_refund_no_.get({ out_refund_no: "judge-r1" })).data;
  say("query refund", known.status === "SUCCESS" && known.refund_id === back.refund_id && known.amount.refund === 100, JSON.stringify(known));
  await refused("query refund of nothing", "404 RESOURCE_NOT_EXISTS", () => refunds._out_refund_no_.get({ out_refund_no: "nothing" }));
  say("query refunded", (await query(wechat, "judge-1")).data.trade_state === "REFUND");

  const foreign = crypto.generateKeyPairSync("rsa", {
    modulusLength: 2048, publicKeyEncoding: { type: "spki", format: "pem" }, privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const forger = new Wechatpay(settings({ privateKey: foreign.privateKey }));
  await refused("request under a foreign key", "401 SIGN_ERROR", () => orders(forger).native.post(order("forged")));
  const cheat = new Wechatpay(settings({ transformRequest: [() => JSON.stringify(order("forged", { amount: { total: 1, currency: "CNY" } }))] }));
  await refused("request with another amount than signed", "401 SIGN_ERROR", () => orders(cheat).native.post(order("forged")));
  const distrustful = new Wechatpay(settings({ certs: Object.fromEntries(Object.keys(certs).map((serial) => [serial, foreign.publicKey])) }));
  await refused("answer under a foreign key", "Verify the response", () => query(distrustful, "judge-1"));
  if (k.platform_certs) {
    const fetched = async (sdk) => (await sdk.v3.certificates.get()).data.data.map(({ serial_no, encrypt_certificate: e }) => {
      const pem = Aes.AesGcm.decrypt(e.ciphertext, k.api_v3_key, e.nonce, e.associated_data);
      return serialOf(pem) === serial_no ? pem : "another serial";
    });
    say("certificates", (await fetched(wechat)).join("") === k.platform_certs);
    const next = (await call("POST", origin + "/sim/wechat/rotate", { overlap: "24h" })).body.serial_no;
    const both = await fetched(wechat);
    say("certificates while they change", both.length === 2 && both[0] === k.platform_certs && serialOf(both[1]) === next);
    await call("POST", origin + "/sim/clock", { advance: "24h" });
    const certified = new Wechatpay(settings({ headers: {} }));
    await refused("answer under a certificate that was not fetched", next, () => query(certified, "judge-1"));
    const renewed = new Wechatpay(settings({ headers: {}, certs: published(both.join("")) }));
    say("answer under the new certificate", (await query(renewed, "judge-1")).data.trade_state === "REFUND");
    await call("POST", origin + "/sim/faults", { probe_answer_percent: 100 });
    await refused("answer with a wrong signature", "Verify the response", () => query(renewed, "judge-1"));
    return;
  }
  await refused("certificates of a merchant without", "404 RESOURCE_NOT_EXISTS", () => wechat.v3.certificates.get());
  await call("POST", origin + "/sim/faults", { probe_answer_percent: 100 });
  await refused("answer with a wrong signature", "Verify the response", () => query(wechat, "judge-1"));
  await call("POST", origin + "/sim/faults", { probe_notice_percent: 100 });
  await orders(wechat).native.post(order("judge-3"));
  box.status = 401;
  await payAt("judge-3");
  say("notice with a wrong signature is refused", !verifies(await box.next(3)));
});
