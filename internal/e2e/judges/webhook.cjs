// node webhook.cjs SECRET < {"headers","body"}: standardwebhooks verifies a webhook that we sent.
"use strict";
const { Webhook } = require("standardwebhooks");
const { say, judge } = require("./judge.cjs");

judge(async () => {
  const { headers, body } = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const verify = (secret, text, more) => {
    try { return new Webhook(secret).verify(text, { ...headers, ...more }); } catch (cause) { return cause; }
  };
  const secret = process.argv[2];
  const event = verify(secret, body);
  say("verifies", event.type === "payment.paid" && event.data.amount === 12800, event);
  const refuses = (check, got) => say(check, got instanceof Error, got);
  refuses("another amount is refused", verify(secret, body.replace("12800", "12801")));
  refuses("another id is refused", verify(secret, body, { "webhook-id": "evt_other" }));
  refuses("another time is refused", verify(secret, body, { "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) }));
  refuses("a foreign secret refuses", verify("whsec_" + Buffer.alloc(32, 7).toString("base64"), body));
});
