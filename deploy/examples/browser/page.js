"use strict";

// What a page needs to speak with Sluice: a stompjs client, a list of nodes to go round when one is away, receipts for what
// must not be lost, an outbox for what has none yet, and an acknowledgement for each piece of work.

const at = (id) => document.getElementById(id);

// lost is why there will be no answer.
const lost = new Error("the connection was lost");

let client = null;
const answers = new Map(); // receipts that are waited for
const outbox = new Map(); // what is not known to be stored, in its order

// newId is unique. crypto.randomUUID would be there only for pages that came by https or from localhost.
const newId = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16).padStart(8, "0")).join("");

function show(state, text) {
  at("state").dataset.state = state;
  at("state").textContent = text;
}

// line adds an entry to a list. Text from others is text, never markup.
function line(list, text) {
  const entry = document.createElement("li");
  entry.textContent = text;
  at(list).append(entry);
  return entry;
}

function complain(text) {
  line("errors", text);
  while (at("errors").children.length > 20) at("errors").firstChild.remove();
}

function connect() {
  disconnect();
  const urls = at("urls").value.split(",").map((url) => url.trim()).filter(Boolean);
  const wrong = urls.find((url) => !/^wss?:\/\/[^/]/.test(url));
  if (urls.length === 0 || wrong) {
    show("off", "a node is written as ws://host:port/ or wss://host:port/");
    return;
  }
  const [login, passcode] = [at("login").value, at("passcode").value];
  let turn = 0;
  let reason = "";
  const c = new StompJs.Client({
    heartbeatIncoming: 4000,
    heartbeatOutgoing: 4000,
    heartbeatStrategy: StompJs.TickerStrategy.Worker, // browsers all but stop the timers of pages in the background
    discardWebsocketOnCommFailure: true, // a node that is silent would not take part in an orderly end either
    connectionTimeout: 5000,
    // Soon, then less and less often: all pages come back at once when a node is gone.
    reconnectDelay: 500,
    reconnectTimeMode: StompJs.ReconnectionTimeMode.EXPONENTIAL,
    maxReconnectDelay: 8000,
    beforeConnect: () => {
      c.brokerURL = urls[turn++ % urls.length]; // each attempt goes to the next node
      // Pages of one user on one host are told apart by it. A new one each time is never in use yet. Without a login the
      // gateway looks at the certificate, or takes the page for a guest.
      c.connectHeaders = { "client-id": newId(), ...(login && { login, passcode }) };
    },
    onConnect: () => { reason = ""; arrived(c); },
    onUnhandledReceipt: (frame) => answer(frame.headers["receipt-id"], null),
    onStompError: (frame) => {
      const { message = "error", "receipt-id": receipt } = frame.headers;
      if (answer(receipt, new Error(message))) return;
      complain(message);
      if (c.connected) return;
      reason = message;
      if (c === client && message.includes("password is invalid")) { // it is no better the next time
        disconnect();
        show("refused", message);
      }
    },
    onWebSocketClose: () => {
      if (c !== client) return;
      forget();
      show("away", (reason || "the node is away") + "; trying the next one");
    },
  });
  client = c;
  show("away", "connecting");
  c.activate();
}

function disconnect() {
  if (client) client.deactivate();
  client = null;
  forget();
  show("off", "not connected");
}

// forget drops what belongs to a connection: work that is not acknowledged comes again.
function forget() {
  at("work").replaceChildren();
  for (const receipt of [...answers.keys()]) answer(receipt, lost);
}

// arrived subscribes, after every connect: subscriptions live as long as a connection. Then it sends what was not stored.
async function arrived(c) {
  const subscriptions = [
    ask((receipt) => c.subscribe("/topic/chat", hear, receipt)),
    ask((receipt) => c.subscribe("/queue/work", take, { ack: "client-individual", "activemq.prefetchSize": "10", ...receipt })),
  ];
  for (const post of outbox.values()) submit(post);
  for (const { reason } of await Promise.allSettled(subscriptions)) {
    if (reason && reason !== lost) complain(reason.message);
  }
  // What is said from here on is heard: the subscriptions have their receipts.
  if (c === client && c.connected) show("connected", "connected to " + c.brokerURL);
}

// ask has a frame sent with a receipt. The promise is kept when the gateway has done what was asked, and broken with
// its reason if it does not, or with lost.
function ask(send) {
  return new Promise((done, failed) => {
    if (!client || !client.connected) {
      failed(lost);
      return;
    }
    const receipt = newId();
    answers.set(receipt, { done, failed });
    send({ receipt });
  });
}

// answer reports whether somebody had waited for it.
function answer(receipt, error) {
  const asked = answers.get(receipt);
  if (!asked) return false;
  answers.delete(receipt);
  if (error) asked.failed(error);
  else asked.done();
  return true;
}

// hear shows what was said. What was sent again may come twice, and tells it by its id.
function hear(message) {
  const id = message.headers["post-id"] || newId();
  if ([...at("chat").children].some((entry) => entry.dataset.id === id)) return;
  line("chat", message.body).dataset.id = id;
  while (at("chat").children.length > 500) at("chat").firstChild.remove();
}

// take shows a piece of work with its buttons. It stays until the gateway knows what became of it.
function take(message) {
  const entry = line("work", message.body + (message.headers.redelivered === "true" ? " (again) " : " "));
  entry.dataset.body = message.body;
  const button = (text, settle) => {
    const b = document.createElement("button");
    b.textContent = text;
    b.onclick = async () => {
      for (const other of entry.querySelectorAll("button")) other.disabled = true;
      try {
        await ask(settle);
        entry.remove();
      } catch (error) {
        if (error !== lost) complain(error.message);
      }
    };
    entry.append(b);
  };
  button("Done", (receipt) => message.ack(receipt));
  button("Refuse", (receipt) => message.nack(receipt));
}

// send puts a message into the outbox, where it stays until it is stored.
function send(destination, body) {
  const post = { id: newId(), destination, body, entry: line("outbox", body) };
  outbox.set(post.id, post);
  submit(post);
}

// submit sends what is in the outbox. If the connection is lost before the receipt comes nobody knows whether it was
// stored: it is sent again, and may then be there twice, with the same id.
async function submit(post) {
  const headers = { persistent: "true", "post-id": post.id };
  try {
    await ask((receipt) => client.publish({ destination: post.destination, body: post.body, headers: { ...headers, ...receipt } }));
  } catch (error) {
    if (error === lost) return;
    complain(error.message + ": " + post.body);
  }
  outbox.delete(post.id);
  post.entry.remove();
}

// form sends what is in a field.
function form(id, field, destination) {
  at(id).onsubmit = (event) => {
    event.preventDefault();
    send(destination, at(field).value);
    at(field).value = "";
  };
}

at("connect").onclick = connect;
at("disconnect").onclick = disconnect;
form("say", "text", "/topic/chat");
form("give", "piece", "/queue/work");
