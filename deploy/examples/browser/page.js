"use strict";

// What a page needs to speak with Sluice: a stompjs client, a list of nodes to go round when one is
// away, receipts for what must not be lost, and an acknowledgement for each piece of work.

const at = (id) => document.getElementById(id);

let client = null;
let turn = 0;

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

function connect() {
  if (client) client.deactivate();
  const urls = at("urls").value.split(",").map((url) => url.trim()).filter(Boolean);
  client = new StompJs.Client({
    connectHeaders: { login: at("login").value, passcode: at("passcode").value },
    heartbeatIncoming: 4000,
    heartbeatOutgoing: 4000,
    connectionTimeout: 5000,
    reconnectDelay: 500,
    // Each attempt goes to the next node.
    beforeConnect: (c) => { c.brokerURL = urls[turn++ % urls.length]; },
    onConnect: arrived,
    onStompError: (frame) => show("away", frame.headers.message),
    onWebSocketClose: () => { if (client.active) show("away", "away, trying the next node"); },
  });
  show("away", "connecting");
  client.activate();
}

// arrived subscribes, after every connect: subscriptions live as long as a connection. What the last connection has not
// acknowledged comes again.
function arrived() {
  at("work").replaceChildren();
  client.subscribe("/topic/chat", (message) => line("chat", message.body), { receipt: "chat" });
  client.subscribe("/queue/work", take, { ack: "client-individual", "activemq.prefetchSize": "10" });
  // What is said from here on is heard: the receipt of the subscription is there.
  client.watchForReceipt("chat", () => show("connected", "connected to " + client.brokerURL));
}

// take shows a piece of work with its buttons.
function take(message) {
  const entry = line("work", message.body + (message.headers.redelivered === "true" ? " (again) " : " "));
  entry.dataset.body = message.body;
  const button = (text, action) => {
    const b = document.createElement("button");
    b.textContent = text;
    b.onclick = () => { action(); entry.remove(); };
    entry.append(b);
  };
  button("Done", () => message.ack());
  button("Refuse", () => message.nack());
}

// send resolves when the message is stored.
function send(destination, body) {
  return new Promise((stored) => {
    const receipt = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
    client.watchForReceipt(receipt, stored);
    client.publish({ destination, body, headers: { persistent: "true", receipt } });
  });
}

at("connect").onclick = connect;
at("disconnect").onclick = () => { if (client) { client.deactivate(); show("off", "not connected"); } };
at("say").onsubmit = (event) => {
  event.preventDefault();
  send("/topic/chat", at("text").value);
  at("text").value = "";
};
at("give").onsubmit = (event) => {
  event.preventDefault();
  send("/queue/work", at("piece").value);
  at("piece").value = "";
};
