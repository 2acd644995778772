"""Drives a broker with stomp.py and says after each scene "ok NAME", or "failed
NAME" and why. Usage: scenes.py HOST PORT VERSION"""
import queue
import sys
import time
import traceback

import stomp

HOST, PORT, VERSION = sys.argv[1], int(sys.argv[2]), sys.argv[3]
CLASSES = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}
SOON = 30


class Inbox(stomp.ConnectionListener):
    """Keeps what arrives, kind by kind."""

    def __init__(self):
        self.messages, self.receipts, self.errors = queue.Queue(), queue.Queue(), queue.Queue()
        self.beats, self.gone = queue.Queue(), queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_heartbeat(self):
        self.beats.put(True)

    def on_heartbeat_timeout(self):
        self.gone.put("the broker's heart-beats did not come in time")

    def on_disconnected(self):
        self.gone.put("disconnected")


class Client:
    """A connection with an inbox and the manners of its version."""

    number = 0

    def __init__(self, headers=None, **options):
        self.inbox = Inbox()
        self.conn = CLASSES[VERSION]([(HOST, PORT)], reconnect_attempts_max=1, **options)
        self.conn.set_listener("inbox", self.inbox)
        self.conn.connect("guest", "guest", wait=True, headers=headers)

    def receipt(self):
        """A receipt-id and a function that waits for its RECEIPT."""
        Client.number += 1
        name = "receipt-%d" % Client.number

        def wait():
            got = self.inbox.receipts.get(timeout=SOON)
            assert got == name, (got, name)

        return name, wait

    def send(self, destination, body, **options):
        name, wait = self.receipt()
        self.conn.send(destination, body, receipt=name, **options)
        wait()

    def subscribe(self, destination, ack="auto", id="1", headers=None):
        name, wait = self.receipt()
        self.conn.subscribe(destination, id=id, ack=ack, headers=dict(headers or {}, receipt=name))
        wait()

    def unsubscribe(self, id="1"):
        name, wait = self.receipt()
        self.conn.unsubscribe(id=id, headers={"receipt": name})
        wait()

    def settle(self, verb, frame, transaction=None):
        name, wait = self.receipt()
        options = {"transaction": transaction, "receipt": name}
        if VERSION == "1.2":
            verb(frame.headers["ack"], **options)
        elif VERSION == "1.1":
            verb(frame.headers["message-id"], frame.headers["subscription"], **options)
        else:
            verb(frame.headers["message-id"], **options)
        wait()

    def ack(self, frame, transaction=None):
        self.settle(self.conn.ack, frame, transaction)

    def nack(self, frame):
        self.settle(self.conn.nack, frame)

    def next(self):
        return self.inbox.messages.get(timeout=SOON)

    def bodies(self, n):
        return [self.next().body for _ in range(n)]

    def drop(self):
        """Ends the connection as a crash of the client would."""
        self.conn.transport.disconnect_socket()

    def close(self):
        self.conn.disconnect()
        self.inbox.gone.get(timeout=SOON)


def successor(client_id):
    """A connection with the client-id of one that was dropped, as soon as the broker has noticed."""
    until = time.monotonic() + SOON
    while True:
        try:
            return Client(headers={"client-id": client_id})
        except stomp.exception.ConnectFailedException:
            assert time.monotonic() < until, "the broker never noticed"


def consume_rest(destination):
    """What is on a queue besides two last messages that this sends itself: messages of
    one delivery mode may overtake those of the other."""
    c = Client()
    c.send(destination, "the last one")
    c.send(destination, "the last one", persistent="true")
    c.subscribe(destination)
    rest, last = [], 0
    while last < 2:
        m = c.next()
        if m.body == "the last one":
            last += 1
        else:
            rest.append(m)
    c.close()
    return rest


def fill(destination, bodies, **options):
    c = Client()
    for b in bodies:
        c.send(destination, b, **options)
    c.close()


def send_and_receive():
    c = Client()
    c.subscribe("/queue/plain")
    c.conn.send("/queue/plain", "one", content_type="text/plain", headers={"color": "blue"}, correlation_id="7")
    m = c.next()
    assert m.body == "one", m.body
    for name, value in {"destination": "/queue/plain", "subscription": "1", "content-type": "text/plain",
                        "color": "blue", "content-length": "3", "priority": "4", "expires": "0"}.items():
        assert m.headers.get(name) == value, (name, m.headers)
    assert m.headers["message-id"] and int(m.headers["timestamp"]) > 0, m.headers
    for name in ("receipt", "persistent", "redelivered"):
        assert name not in m.headers, m.headers
    c.subscribe("/topic/plain", id="2")
    c.send("/topic/plain", "two", persistent="true")
    m = c.next()
    assert (m.body, m.headers["persistent"], m.headers["subscription"]) == ("two", "true", "2"), m.headers
    c.close()


def text_without_length():
    c = Client(auto_content_length=False)
    c.subscribe("/queue/text")
    c.conn.send("/queue/text", "words")
    m = c.next()
    assert m.body == "words" and "content-length" not in m.headers, m.headers
    c.close()


def unicode_and_binary():
    words = "Gr\u00fc\u00dfe \u4e16\u754c \U0001f600"
    raw = bytes(range(256)) * 3 + b"\x00\x00"
    c = Client()
    c.subscribe("/queue/unicode", id="1")
    c.conn.send("/queue/unicode", words, headers={"wort": words})
    m = c.next()
    assert m.body == words and m.headers["wort"] == words, m
    c.close()
    c = Client(auto_decode=False)
    c.subscribe("/queue/binary")
    c.conn.send("/queue/binary", raw)
    m = c.next()
    assert m.body == raw and m.headers["content-length"] == str(len(raw)), m
    c.close()


def header_escapes():
    c = Client()
    c.subscribe("/queue/escapes")
    values = {"colons": "a:b::c"}
    if VERSION != "1.0":
        values.update({"lines": "a\nb", "slash": "C:\\n\\c\\\\", "n\u00e4me": "x"})
    if VERSION == "1.2":
        values["return"] = "a\r\nb"
    c.conn.send("/queue/escapes", "x", headers=dict(values))
    m = c.next()
    for name, value in values.items():
        assert m.headers.get(name) == value, (name, value, m.headers)
    c.close()


def blanks_in_values():
    c = Client()
    c.subscribe("/queue/blanks")
    c.conn.send("/queue/blanks", "x", headers={"padded": "  x  "})
    kept = c.next().headers["padded"]
    assert kept == ("x" if VERSION == "1.0" else "  x  "), repr(kept)
    c.close()


def ack_auto():
    fill("/queue/auto", ["1", "2", "3"])
    c = Client()
    c.subscribe("/queue/auto")
    assert c.bodies(3) == ["1", "2", "3"]
    c.close()
    assert consume_rest("/queue/auto") == []


def ack_client():
    fill("/queue/client", ["1", "2", "3", "4"])
    c = Client()
    c.subscribe("/queue/client", ack="client")
    got = [c.next() for _ in range(4)]
    c.ack(got[1])  # covers the first
    c.drop()
    rest = consume_rest("/queue/client")
    assert [m.body for m in rest] == ["3", "4"], rest
    assert all(m.headers.get("redelivered") == "true" for m in rest), rest


def ack_individual():
    fill("/queue/individual", ["1", "2", "3", "4"])
    c = Client()
    c.subscribe("/queue/individual", ack="client-individual")
    got = [c.next() for _ in range(4)]
    c.ack(got[2])
    c.ack(got[0])
    c.drop()
    assert [m.body for m in consume_rest("/queue/individual")] == ["2", "4"]


def dropped_connection():
    bodies = [str(i) for i in range(100)]
    fill("/queue/dropped", bodies)
    c = Client(headers={"client-id": "dropped"})
    c.subscribe("/queue/dropped", ack="client", headers={"activemq.prefetchSize": "10"})
    ids = [c.next().headers["message-id"] for _ in range(10)]
    c.drop()
    d = successor("dropped")  # before the broker knows, the others would come first
    d.subscribe("/queue/dropped", ack="client")
    back = [d.next() for _ in range(100)]
    assert [m.body for m in back] == bodies, [m.body for m in back]
    assert [m.headers["message-id"] for m in back[:10]] == ids, "message-ids changed"
    marked = [m.headers.get("redelivered") == "true" for m in back]
    assert marked == [True] * 10 + [False] * 90, marked
    d.ack(back[-1])
    d.close()
    assert consume_rest("/queue/dropped") == []


def nack_to_dlq():
    fill("/queue/poison", ["good", "bad"], persistent="true")
    c = Client()
    c.subscribe("/queue/poison", ack="client-individual")
    good, bad = c.next(), c.next()
    c.ack(good)
    c.nack(bad)
    c.close()
    assert consume_rest("/queue/poison") == []
    d = Client()
    d.subscribe("/queue/ActiveMQ.DLQ")
    m = d.next()
    assert m.body == "bad" and m.headers["message-id"] == bad.headers["message-id"], m.headers
    assert m.headers["original-destination"] == "/queue/poison", m.headers
    d.close()


def transactions():
    c = Client()
    c.subscribe("/queue/tx")
    c.send("/queue/tx", "before")
    tx = c.conn.begin()
    c.conn.send("/queue/tx", "t1", transaction=tx)
    c.conn.send("/queue/tx", "t2", transaction=tx)
    c.send("/queue/tx", "between")
    assert c.bodies(2) == ["before", "between"]
    name, wait = c.receipt()
    c.conn.commit(tx, receipt=name)
    wait()
    assert c.bodies(2) == ["t1", "t2"]
    tx = c.conn.begin()
    c.conn.send("/queue/tx", "never", transaction=tx)
    c.conn.abort(tx)
    c.send("/queue/tx", "after")
    assert c.bodies(1) == ["after"]
    c.close()


def acks_in_transactions():
    fill("/queue/txack", ["1", "2", "3"])
    c = Client()
    c.subscribe("/queue/txack", ack="client", headers={"activemq.prefetchSize": "1"})
    one = c.next()
    tx = c.conn.begin()
    c.ack(one, transaction=tx)  # opens the window
    two = c.next()
    c.conn.abort(tx)
    tx = c.conn.begin()
    c.ack(two, transaction=tx)
    name, wait = c.receipt()
    c.conn.commit(tx, receipt=name)
    wait()
    assert c.next().body == "3"
    c.drop()
    assert [m.body for m in consume_rest("/queue/txack")] == ["3"]


def errors_leave_it_open():
    c = Client()
    name, _ = c.receipt()
    c.conn.send_frame("ACK", {"message-id": "nobody", "subscription": "nobody", "id": "nobody", "receipt": name})
    e = c.inbox.errors.get(timeout=SOON)
    assert e.headers["receipt-id"] == name and e.headers["message"], e.headers
    c.send("/queue/open", "still there")
    c.subscribe("/queue/open")
    assert c.bodies(1) == ["still there"]
    c.close()


def unsubscribe():
    c = Client()
    c.subscribe("/queue/unsubscribed")
    c.unsubscribe()
    c.send("/queue/unsubscribed", "waits")
    c.subscribe("/queue/unsubscribed", id="2")
    m = c.next()
    assert (m.body, m.headers["subscription"]) == ("waits", "2"), m.headers
    c.close()


def heart_beats():
    c = Client(heartbeats=(400, 400))
    c.subscribe("/queue/beats")
    began = time.monotonic()
    for _ in range(6):  # without them it would have been cut after 1.8 s
        c.inbox.beats.get(timeout=SOON)
    while time.monotonic() - began < 3:
        c.inbox.beats.get(timeout=SOON)
    assert c.inbox.gone.empty(), c.inbox.gone.get()
    c.send("/queue/beats", "alive")
    assert c.bodies(1) == ["alive"]
    c.close()


def silent_client():
    c = Client(headers={"heart-beat": "300,0"})  # a promise that stomp.py does not know of
    began = time.monotonic()
    assert "eart-beat" in c.inbox.errors.get(timeout=SOON).headers["message"]
    assert c.inbox.gone.get(timeout=SOON) == "disconnected"
    took = time.monotonic() - began
    assert 0.3 <= took < 15, took


def idle_without_promises():
    c = Client()
    try:
        c.inbox.gone.get(timeout=3)
        raise AssertionError("cut, though it promised nothing")
    except queue.Empty:
        pass
    c.close()


def burst():
    c = Client()
    c.subscribe("/queue/burst")
    for i in range(2000):
        c.conn.send("/queue/burst", str(i))
    assert c.bodies(2000) == [str(i) for i in range(2000)]
    c.close()


SCENES = [send_and_receive, text_without_length, unicode_and_binary, header_escapes, blanks_in_values, ack_auto,
          ack_client, dropped_connection, transactions, acks_in_transactions, errors_leave_it_open, unsubscribe,
          burst, idle_without_promises]
if VERSION != "1.0":
    SCENES += [ack_individual, nack_to_dlq, heart_beats, silent_client]

for scene in SCENES:
    try:
        scene()
        print("ok", scene.__name__, flush=True)
    except Exception:
        print("failed", scene.__name__, traceback.format_exc().replace("\n", " | "), flush=True)
