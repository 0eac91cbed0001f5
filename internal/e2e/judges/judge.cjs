// What the judges share: one JSON line for each check, and a small inbox for notices.
"use strict";
const http = require("http");

const say = (check, ok, detail = "") => console.log(JSON.stringify({ check, ok: Boolean(ok), detail: String(detail) }));

// call sends JSON to the simulator's own controls.
async function call(method, url, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

// inbox keeps what platforms send; next(n) waits for the n-th.
async function inbox(reply) {
  const received = [];
  let wake = () => {};
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(box.status);
      response.end(reply);
      wake();
    });
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const box = {
    status: 200,
    url: `http://127.0.0.1:${server.address().port}/notify`,
    next: (n) => new Promise((done) => {
      wake = () => { if (received.length >= n) { done(received[n - 1]); } };
      wake();
    }),
  };
  return box;
}

// judge runs the checks and ends the process whatever still listens.
function judge(checks) {
  checks().then(() => process.exit(0), (cause) => { console.error(cause); process.exit(1); });
}

module.exports = { say, call, inbox, judge };
