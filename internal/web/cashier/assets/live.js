// Keeps a payer's page true: listens for a new version, fetches this page again and swaps its <main>; when the
// server answers with another page (paid), goes there. Works beside the <noscript> refresh, never needs it.
"use strict";
(function () {
  var POLL = 3000, SILENT = 25000, TICK = 1000;
  var stream = null, heard = now(), renewing = false, polling = false, ended = false, fails = 0;
  var left = null, due = 0;

  function now() { return performance.now(); }
  function main() { return document.getElementById("main"); }
  function live() { return main().dataset.events !== undefined; }

  function reached(ok) {
    fails = ok ? 0 : fails + 1;
    document.getElementById("offline").hidden = fails < 2;
  }

  function take(pulse) {
    heard = now();
    reached(true);
    if (pulse.ended) { ended = true; stop(); }
    if (pulse.ended || String(pulse.version) !== main().dataset.version) { renew(); }
  }

  function listen() {
    if (stream || ended || !window.EventSource) { return; }
    stream = new EventSource(main().dataset.events);
    stream.onmessage = function (e) { take(JSON.parse(e.data)); };
    stream.onerror = function () {
      if (stream && stream.readyState === EventSource.CLOSED) { stop(); }
    };
  }

  function stop() {
    if (stream) { stream.close(); stream = null; }
  }

  function poll() {
    if (polling || ended) { return; }
    polling = true;
    fetch(main().dataset.status, { cache: "no-store" })
      .then(function (r) { if (!r.ok) { throw r.status; } return r.json(); })
      .then(take, function () { reached(false); })
      .then(function () { polling = false; });
  }

  function renew() {
    if (renewing || !live()) { return; }
    renewing = true;
    fetch(location.href, { cache: "no-store", redirect: "manual" })
      .then(function (r) {
        if (r.type === "opaqueredirect") { location.reload(); return null; }
        if (!r.ok) { throw r.status; }
        return r.text();
      })
      .then(function (text) { if (text !== null) { swap(text); } reached(true); }, function () { reached(false); })
      .then(function () { renewing = false; });
  }

  // backs is what a page says of money that goes back.
  function backs(page) {
    return Array.prototype.map.call(page.querySelectorAll(".back"), function (b) { return b.textContent; }).join(" ");
  }

  // swap keeps the focus where it was and says aloud only what is new.
  function swap(text) {
    var next = new DOMParser().parseFromString(text, "text/html"), fresh = next.getElementById("main");
    if (!fresh) { location.reload(); return; }
    var href = document.activeElement && document.activeElement.getAttribute("href");
    var news = next.title !== document.title ? next.title : backs(next) !== backs(document) ? backs(next) : "";
    if (news) { document.getElementById("say").textContent = news; }
    document.title = next.title;
    main().replaceWith(document.adoptNode(fresh));
    if (href) {
      Array.prototype.some.call(main().querySelectorAll("a"), function (a) {
        if (a.getAttribute("href") === href) { a.focus(); return true; }
        return false;
      });
    }
    count();
    if (!live()) { ended = true; stop(); }
  }

  // count starts the countdown from what the server said; this machine's clock may be wrong.
  function count() {
    left = main().querySelector("[data-left]");
    due = left ? now() + Number(left.dataset.left) : 0;
  }

  function two(n) { return n < 10 ? "0" + n : String(n); }

  function tick() {
    if (!left) { return; }
    var s = Math.max(0, Math.floor((due - now()) / 1000)), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
    left.textContent = (h ? h + ":" + two(m) : m) + ":" + two(s % 60);
    if (s === 0) { left = null; renew(); }
  }

  function check() {
    if (ended) { if (live()) { renew(); } return; }
    if (!stream || now() - heard > SILENT) { poll(); }
  }

  count();
  listen();
  setInterval(tick, TICK);
  setInterval(check, POLL);
  document.addEventListener("visibilitychange", function () { if (!document.hidden) { poll(); listen(); } });
  window.addEventListener("pageshow", function (e) { if (e.persisted) { poll(); renew(); } });
})();
