"""Clients in the manner of the programs of the grids, with stomp.py. Says "ok", or "failed" and why.
Usage: grid.py SCENE SECONDS HOST:PORT..., with the nodes behind an alias and how long anything may take."""
import hashlib
import json
import os
import queue
import random
import socket
import sys
import time
import traceback
import uuid

import stomp

SCENE, SOON = sys.argv[1], float(sys.argv[2])
PROBE = "does anybody hear this?"
BROKERS = [(host, int(port)) for host, port in (where.rsplit(":", 1) for where in sys.argv[3:])]


class Inbox(stomp.ConnectionListener):
    """Puts what arrives on a connection into queues, which several may share."""

    def __init__(self, conn, messages=None):
        self.conn = conn
        self.messages = messages or queue.Queue()
        self.receipts, self.errors, self.gone = queue.Queue(), queue.Queue(), queue.Queue()

    def on_message(self, frame):
        self.messages.put((self.conn, frame))

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)
        if "receipt-id" in frame.headers:
            self.receipts.put("ERROR: " + frame.headers["message"])

    def on_disconnected(self):
        self.gone.put(True)


def listen(conn, messages=None):
    inbox = Inbox(conn, messages)
    conn.set_listener("inbox", inbox)
    return inbox


def settled(inbox, verb, *args, **options):
    """Does something with a receipt and waits for that. What programs of grids do not wait for, the scenes have to know."""
    name = str(uuid.uuid4())
    headers = dict(options.pop("headers", None) or {}, receipt=name)
    verb(*args, headers=headers, **options)
    got = inbox.receipts.get(timeout=SOON)
    assert got == name, (got, name)


def gather(messages, number, of=lambda frame: frame.body):
    """How often each of so many different things came. More may have come already."""
    seen = {}
    until = time.monotonic() + SOON
    while len(seen) < number:
        try:
            _, frame = messages.get(timeout=max(0.01, until - time.monotonic()))
        except queue.Empty:
            raise AssertionError("only %d of %d came" % (len(seen), number)) from None
        if frame.body != PROBE:
            seen[of(frame)] = seen.get(of(frame), 0) + 1
    return seen


def rest(messages, seen, of=lambda frame: frame.body):
    """Counts what else is there when nothing more can come."""
    while not messages.empty():
        frame = messages.get()[1]
        if frame.body != PROBE:
            seen[of(frame)] = seen.get(of(frame), 0) + 1
    return seen


def known(messages, topic):
    """Waits until what is sent to a topic is heard, on whichever node: nodes tell one another who listens."""
    for broker in BROKERS:
        conn = stomp.Connection([broker])
        conn.connect("guest", "guest", wait=True)
        until, heard = time.monotonic() + SOON, False
        while not heard:
            assert time.monotonic() < until, "nobody hears what is sent at %s:%d" % broker
            conn.send(topic, PROBE)
            try:
                heard = messages.get(timeout=0.2)[1].body == PROBE
            except queue.Empty:
                pass
        conn.disconnect()


def drained(destination):
    """What is on a queue, up to two last messages of each delivery mode that this sends."""
    conn = stomp.Connection12([random.choice(BROKERS)])
    inbox = listen(conn)
    conn.connect("guest", "guest", wait=True)
    for headers in ({}, {"persistent": "true"}):
        settled(inbox, conn.send, destination, "the last one", headers=headers)
    conn.subscribe(destination, id="rest", ack="auto")
    frames, last = [], 0
    while last < 2:
        _, frame = inbox.messages.get(timeout=SOON)
        if frame.body == "the last one":
            last += 1
        else:
            frames.append(frame)
    conn.disconnect()
    return frames


# DIRAC's Simple/StompInterface: a connection for each IPv4 address, the address in the subscription's id.

def dirac_consumer(destinations, ack="auto"):
    messages, inboxes = queue.Queue(), []
    for host, port in BROKERS:
        conn = stomp.Connection([(host, port)], heartbeats=(2000, 2000))
        inbox = listen(conn, messages)
        conn.connect(username="guest", passcode="guest", wait=True)
        for destination in destinations:
            conn.subscribe(destination, dirac_id(host, port, destination), ack=ack)
        inbox.destinations = {d: dirac_id(host, port, d) for d in destinations}
        inboxes.append(inbox)
    return messages, inboxes


def dirac_id(host, port, destination):
    return hashlib.md5(("%s_%s_%s" % (host, port, destination)).encode()).hexdigest()


def dirac_produce(destination, bodies):
    brokers = random.sample(BROKERS, len(BROKERS))
    conn = stomp.Connection(brokers)
    inbox = listen(conn)
    conn.connect("guest", "guest", True)
    for body in bodies:
        conn.send(destination, body)
    settled(inbox, conn.send, "/queue/dirac.said", "that was all")
    conn.disconnect()


def dirac_simple_queue():
    destinations = ["/queue/lhcb.dirac.positive", "/queue/lhcb.dirac.dead"]
    messages, inboxes = dirac_consumer(destinations)
    bodies = [json.dumps({"destination": d, "number": i}) for d in destinations for i in range(60)]
    for destination, mine in zip(destinations, (bodies[:60], bodies[60:])):
        for some in (mine[:20], mine[20:40], mine[40:]):
            dirac_produce(destination, some)
    # The listener in its documentation acknowledges what needs none. The broker complains, and nothing else.
    seen = {}
    while len(seen) < len(bodies):
        conn, frame = messages.get(timeout=SOON)
        conn.ack(frame.headers["message-id"], frame.headers["subscription"])
        seen[frame.body] = seen.get(frame.body, 0) + 1
    complaints = 0
    for inbox in inboxes:
        for destination, id in inbox.destinations.items():
            settled(inbox, inbox.conn.unsubscribe, id=id)
        complaints += inbox.errors.qsize()
        assert inbox.gone.empty(), "an ACK too many ended a connection"
        inbox.conn.disconnect()
    assert rest(messages, seen) == {body: 1 for body in bodies}, seen
    assert complaints == len(bodies), complaints
    assert all(not drained(d) for d in destinations)


def dirac_simple_topic():
    topic = "/topic/lhcb.dirac.logging"
    messages, inboxes = dirac_consumer([topic])
    known(messages, topic)
    bodies = [json.dumps({"levelname": "WARNING", "number": i}) for i in range(150)]
    for some in (bodies[:50], bodies[50:100], bodies[100:]):
        dirac_produce(topic, some)
    seen = gather(messages, len(bodies))
    for inbox in inboxes:
        settled(inbox, inbox.conn.unsubscribe, id=inbox.destinations[topic])
        inbox.conn.disconnect()
    assert rest(messages, seen) == {body: 1 for body in bodies}, seen



# Rucio's hermes: Connection12, no receipts, no heart-beats; a row is deleted as soon as its message was sent.

def hermes():
    destination = "/queue/rucio.events"
    conns = [stomp.Connection12(host_and_ports=[broker], vhost="/", keepalive=True, timeout=3) for broker in BROKERS]
    for number in range(900):
        conn = random.sample(conns, 1)[0]
        if not conn.is_connected():
            conn.connect("guest", "guest", wait=True)
        body = json.dumps({"event_type": "transfer-done", "payload": {"number": number}, "created_at": "2026-11-20 10:00:00"})
        conn.send(body=body, destination=destination, headers={"persistent": "true", "event_type": "transfer-done"})
    print("ok", flush=True)
    os._exit(0)  # it never says goodbye


# Rucio's kronos: a window of ten that is acknowledged when it is full.

def kronos_connections(destination, messages):
    inboxes = []
    for broker in BROKERS:
        conn = stomp.Connection(host_and_ports=[broker], vhost="/", timeout=3, heartbeats=(0, 5000), reconnect_attempts_max=3)
        inboxes.append(listen(conn, messages))
        conn.connect("guest", "guest", wait=True)
        settled(inboxes[-1], conn.subscribe, destination=destination, ack="client-individual", id="rucio-tracer-listener",
                headers={"activemq.prefetchSize": 10})
    return inboxes


def kronos_work(messages, number):
    """Takes reports in chunks of ten until so many were seen, and returns how often each."""
    chunks, seen = {}, {}
    until = time.monotonic() + SOON
    while len(seen) < number:
        try:
            conn, frame = messages.get(timeout=max(0.01, until - time.monotonic()))
        except queue.Empty:
            raise AssertionError("only %d of %d reports came" % (len(seen), number)) from None
        if frame.headers.get("appversion", "dq2") == "dq2":
            conn.ack(frame.headers["message-id"], "rucio-tracer-listener")
            continue
        seen[frame.body] = seen.get(frame.body, 0) + 1
        chunk = chunks.setdefault(conn, [])
        chunk.append(frame.headers["message-id"])
        assert len(chunk) <= 10, "more than the prefetch"
        if len(chunk) >= 10:
            for id in chunk:
                conn.ack(id, "rucio-tracer-listener")
            chunk.clear()
    for conn, chunk in chunks.items():
        for id in chunk:
            conn.ack(id, "rucio-tracer-listener")
    return seen


def trace(destination, numbers, old=()):
    """The tracer's part: reports by all ways."""
    conns = [stomp.Connection(host_and_ports=[broker], vhost="/", timeout=3, reconnect_attempts_max=3) for broker in BROKERS]
    inboxes = [listen(conn) for conn in conns]
    for conn in conns:
        conn.connect("guest", "guest", wait=True)
    for number in numbers:
        headers = {"persistent": "true"} if number in old else {"persistent": "true", "appversion": "rucio"}
        random.choice(conns).send(body=json.dumps({"eventType": "get", "number": number}), destination=destination, headers=headers)
    for inbox in inboxes:
        settled(inbox, inbox.conn.send, "/queue/rucio.said", "that was all")
        inbox.conn.disconnect()


def kronos_chunks():
    destination = "/queue/rucio.traces"
    trace(destination, range(307), old=range(0, 307, 100))
    messages = queue.Queue()
    inboxes = kronos_connections(destination, messages)
    seen = kronos_work(messages, 303)
    assert set(seen.values()) == {1}, seen
    for inbox in inboxes:
        settled(inbox, inbox.conn.unsubscribe, id="rucio-tracer-listener")
        assert inbox.errors.empty(), inbox.errors.get()
        inbox.conn.disconnect()
    assert not drained(destination)


def kronos_virtual_topic():
    destination = "/queue/Consumer.kronos.rucio.tracer"
    messages = queue.Queue()
    inboxes = kronos_connections(destination, messages)
    trace("/topic/rucio.tracer", range(100))
    seen = kronos_work(messages, 100)
    for inbox in inboxes:
        settled(inbox, inbox.conn.unsubscribe, id="rucio-tracer-listener")
        inbox.conn.disconnect()
    assert set(seen.values()) == {1}, seen
    trace("/topic/rucio.tracer", range(100, 150))  # nobody is there: the queue keeps them
    messages = queue.Queue()
    inboxes = kronos_connections(destination, messages)
    conn, frame = messages.get(timeout=SOON)
    messages.put((conn, frame))
    assert frame.headers["destination"] == destination, frame.headers
    assert frame.headers["original-destination"] == "/topic/rucio.tracer", frame.headers
    seen = kronos_work(messages, 50)
    assert set(seen.values()) == {1}, seen
    for inbox in inboxes:
        inbox.conn.disconnect()


# Rucio's conveyor-receiver: threads with a connection to each node, the same subscription id everywhere.

def receiver():
    topic, threads = "/topic/transfer.fts_monitoring_complete", 2
    messages, inboxes = queue.Queue(), []
    for _ in range(threads):
        for broker in BROKERS:
            conn = stomp.Connection12(host_and_ports=[broker], vhost="/", reconnect_attempts_max=999)
            inboxes.append(listen(conn, messages))
            conn.connect(wait=True, username="guest", passcode="guest")
            conn.subscribe(destination=topic, id="rucio-messaging-fts3", ack="auto")
    known(messages, topic)
    sender = [stomp.Connection10([broker]) for broker in BROKERS]
    said = [listen(conn) for conn in sender]
    for conn in sender:
        conn.connect("guest", "guest", wait=True)
    bodies = [json.dumps({"job_state": "FINISHED", "vo": "atlas", "number": i}) + " " for i in range(150)]
    for i, body in enumerate(bodies):
        sender[i % len(sender)].send(topic, body, headers={"persistent": "true", "vo": "atlas"})
    for inbox in said:
        settled(inbox, inbox.conn.send, "/queue/fts.said", "that was all")
    seen = gather(messages, len(bodies))
    for inbox in inboxes:
        settled(inbox, inbox.conn.unsubscribe, id="rucio-messaging-fts3")
        inbox.conn.disconnect()
    # Once for each thread, as one broker would have it; not once for each node.
    assert rest(messages, seen) == {body: threads for body in bodies}, seen


# PanDA: one client-id and one subscription id for all nodes, and acknowledgements by the ack header.

class Panda:
    def __init__(self, destination, prefetch=100):
        name = "%s_%d_r%06d" % (socket.gethostname(), os.getpid(), random.randrange(10**6))
        self.sub_id = "panda-MBListenerProxy_" + name
        self.params = {"username": "guest", "passcode": "guest", "wait": True, "headers": {"client-id": "client_%s_%s" % (self.sub_id, hex(id(self)))}}
        self.destination = destination
        self.headers = {"activemq.prefetchSize": prefetch, "prefetch-count": prefetch}

    def go(self):
        self.messages, self.inboxes = queue.Queue(), []
        for broker in BROKERS:
            conn = stomp.Connection12(host_and_ports=[broker], vhost=None, keepalive=True, heartbeats=(60000, 0))
            self.inboxes.append(listen(conn, self.messages))
            until = time.monotonic() + SOON
            while not conn.is_connected():  # the one before may not have gone yet; its guard comes again
                assert time.monotonic() < until, "the client-id is never free"
                try:
                    conn.connect(**self.params)
                except stomp.exception.ConnectFailedException:
                    time.sleep(0.05)
            conn.subscribe(destination=self.destination, id=self.sub_id, ack="client-individual", headers=self.headers)

    def stop(self):
        for inbox in self.inboxes:
            inbox.conn.disconnect()

    def work(self, number, fails=lambda body: False):
        """Processes so many messages, each in a transaction that its ACK does not belong to."""
        done, failed = {}, []
        until = time.monotonic() + SOON
        while len(done) + len(failed) < number:
            try:
                conn, frame = self.messages.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError("only %d and %d of %d came" % (len(done), len(failed), number)) from None
            transaction = conn.begin()
            if fails(frame.body):
                conn.abort(transaction)
                failed.append(frame)
                continue
            conn.ack(frame.headers["ack"])
            conn.commit(transaction)
            done[frame.body] = done.get(frame.body, 0) + 1
        return done, failed


def fill(destination, bodies, headers=lambda body: {}):
    conn = stomp.Connection12([random.choice(BROKERS)], keepalive=True, heartbeats=(60000, 0))
    inbox = listen(conn)
    conn.connect("guest", "guest", wait=True, headers={"client-id": "client_sender_%s" % uuid.uuid4()})
    for body in bodies:
        conn.send(destination=destination, body=body, headers=dict(headers(body), persistent="true"))
    settled(inbox, conn.send, "/queue/panda.said", "that was all")
    conn.disconnect()


def panda():
    destination = "/queue/Consumer.jedi.atlas.idds"
    bodies = [json.dumps({"msg_type": "file_stagein", "number": i}) for i in range(200)]
    fill(destination, bodies)
    bad = set(bodies[::10])
    proxy = Panda(destination)
    proxy.go()
    try:
        other = stomp.Connection12([BROKERS[0]], reconnect_attempts_max=1)
        inbox = listen(other)
        other.connect(**proxy.params)
        raise AssertionError("two of one client-id on one node")
    except stomp.exception.ConnectFailedException:
        assert "already connected" in inbox.errors.get(timeout=SOON).headers["message"]
    done, failed = proxy.work(200, fails=lambda body: body in bad)
    assert done == {body: 1 for body in bodies if body not in bad}, done
    assert {frame.body for frame in failed} == bad and not any("redelivered" in frame.headers for frame in failed), failed
    assert all(inbox.errors.empty() for inbox in proxy.inboxes)
    proxy.stop()
    proxy.go()
    done, failed = proxy.work(len(bad), fails=lambda body: body not in bad)
    assert not failed and done == {body: 1 for body in bad}, (done, failed)
    for inbox in proxy.inboxes:
        settled(inbox, inbox.conn.unsubscribe, id=proxy.sub_id)
    proxy.stop()
    assert not drained(destination)


def panda_removers():
    destination = "/queue/Consumer.panda.rucio.events"
    bodies = [json.dumps({"taskid": i % 3, "number": i}) for i in range(60)]
    sender = stomp.Connection12([BROKERS[0]], keepalive=True, heartbeats=(60000, 0))
    removed = listen(sender)
    sender.connect("guest", "guest", wait=True, headers={"client-id": "client_remover"})
    settled(removed, sender.subscribe, destination=destination, headers={"selector": "taskid='1'"}, id="remover_1", ack="auto")
    fill(destination, bodies, headers=lambda body: {"taskid": json.loads(body)["taskid"]})
    gone = gather(removed.messages, 20)
    settled(removed, sender.unsubscribe, id="remover_1")
    assert rest(removed.messages, gone) == {body: 1 for body in bodies if json.loads(body)["taskid"] == 1}, gone
    sender.disconnect()
    proxy = Panda(destination)
    proxy.go()
    done, _ = proxy.work(40)
    assert done == {body: 1 for body in bodies if body not in gone}, done
    for inbox in proxy.inboxes:
        settled(inbox, inbox.conn.unsubscribe, id=proxy.sub_id)
    proxy.stop()
    assert not drained(destination)


# iDDS: headers that mean something to other brokers or to nobody, and in its prompt part an ACK of 1.2 with the message-id.

def idds_connections(internal_id, destination, selector=None, ack="auto"):
    messages, inboxes = queue.Queue(), []
    for broker in BROKERS:
        conn = stomp.Connection12(host_and_ports=[broker], keepalive=True, try_loopback_connect=False, auto_content_length=False, heartbeats=(50000, 50000))
        inboxes.append(listen(conn, messages))
        conn.connect("guest", "guest", wait=True, heartbeats=(30000, 30000), headers={"client-id": internal_id, "heart-beat": "30000,30000"})
        headers = {"selector": selector} if selector else {}
        settled(inboxes[-1], conn.subscribe, destination=destination, id=internal_id, ack=ack, headers=headers)
    return messages, inboxes


def idds_publish(destination, messages, **more):
    conn = stomp.Connection12(host_and_ports=[random.choice(BROKERS)], keepalive=True, auto_content_length=False, heartbeats=(30000, 30000))
    inbox = listen(conn)
    conn.connect("guest", "guest", wait=True, heartbeats=(30000, 30000), headers={"client-id": str(uuid.uuid4()), "heart-beat": "30000,30000"})
    for message in messages:
        headers = {"persistent": "true", "ttl": 12 * 3600 * 1000, "vo": "atlas", "from_idds": "true", "msg_type": message["msg_type"], "run_id": message["run_id"], "client-id": "sender"}
        headers.update(more)
        headers.update({name: message[name] for name in ("namespace", "internal_id", "request_id") if name in message})
        conn.send(body=json.dumps(message), destination=destination, id="atlas-idds-messaging", ack="auto", headers=headers)
    settled(inbox, conn.send, "/queue/idds.said", "that was all")
    conn.disconnect()


def idds_leave(inboxes, internal_id):
    for inbox in inboxes:
        settled(inbox, inbox.conn.unsubscribe, id=internal_id)
        assert inbox.errors.empty(), inbox.errors.get()
        inbox.conn.disconnect()


def number_of(frame):
    return json.loads(frame.body)["run_id"]


def idds():
    internal_id, topic = "subscriber-7f3a", "/topic/doma.idds"
    messages, inboxes = idds_connections(internal_id, topic)
    known(messages, topic)
    idds_publish(topic, [{"msg_type": "health_heartbeat", "run_id": i} for i in range(50)])
    frames = {}
    while len(frames) < 50:
        frame = messages.get(timeout=SOON)[1]
        if frame.body != PROBE:
            assert number_of(frame) not in frames, frame.headers
            frames[number_of(frame)] = frame
    for frame in frames.values():
        got = {name: frame.headers.get(name) for name in ("ttl", "vo", "from_idds", "msg_type", "id", "ack", "expires", "persistent", "subscription", "client-id")}
        assert got == {"ttl": "43200000", "vo": "atlas", "from_idds": "true", "msg_type": "health_heartbeat", "id": "atlas-idds-messaging", "ack": "auto",
                       "expires": "0", "persistent": "true", "subscription": internal_id, "client-id": "sender"}, frame.headers
        assert "content-length" not in frame.headers, frame.headers
    idds_leave(inboxes, internal_id)


def idds_acks_with_the_message_id():
    internal_id, destination = "transformer-12", "/queue/panda.idds.slices"
    idds_publish(destination, [{"msg_type": "slice", "run_id": i} for i in range(60)])
    messages, inboxes = idds_connections(internal_id, destination, ack="client-individual")
    seen = {}
    while len(seen) < 60:
        conn, frame = messages.get(timeout=SOON)
        assert frame.headers["ack"] != "auto", "the sender's ack header stands where ours belongs"
        seen[number_of(frame)] = seen.get(number_of(frame), 0) + 1
        conn.ack(frame.headers["message-id"])
    idds_leave(inboxes, internal_id)
    assert set(seen.values()) == {1} and not drained(destination), seen


def idds_selectors():
    everything = [{"msg_type": "slice" if i % 2 else "run_end", "run_id": i, "namespace": "dev" if i % 3 else "prod", "internal_id": "w-%d" % (i % 4), "request_id": i % 5} for i in range(60)]
    wishes = {
        "internal_id = 'w-2'": lambda m: m["internal_id"] == "w-2",
        "namespace='dev'": lambda m: m["namespace"] == "dev",
        "namespace='dev' AND (msg_type = 'slice')": lambda m: m["namespace"] == "dev" and m["msg_type"] == "slice",
        "namespace='dev' AND (msg_type = 'slice' OR run_id = '6')": lambda m: m["namespace"] == "dev" and (m["msg_type"] == "slice" or m["run_id"] == 6),
        "request_id = 3": lambda m: m["request_id"] == 3,
        "namespace='nobody' OR request_id > 3": lambda m: m["request_id"] > 3,
    }
    for kind in ("topic", "queue"):
        for number, (selector, matches) in enumerate(wishes.items()):
            destination, internal_id = "/%s/panda.workers.%d" % (kind, number), "idds-workflow_%d" % number
            messages, inboxes = idds_connections(internal_id, destination, selector)
            wanted = {m["run_id"]: 1 for m in everything if matches(m)}
            idds_publish(destination, everything)
            seen = gather(messages, len(wanted), of=number_of)
            idds_leave(inboxes, internal_id)
            assert rest(messages, seen, of=number_of) == wanted, (selector, seen)
            if kind == "queue":
                left = {number_of(frame) for frame in drained(destination)}
                assert left == {m["run_id"] for m in everything} - set(wanted), (selector, left)
    conn = stomp.Connection12([BROKERS[0]])
    inbox = listen(conn)
    conn.connect("guest", "guest", wait=True)
    conn.subscribe("/topic/panda.workers.0", id="bad", headers={"selector": "namespace='dev' AND (", "receipt": "bad"})
    assert inbox.errors.get(timeout=SOON).headers["receipt-id"] == "bad"
    inbox.receipts.get(timeout=SOON)
    settled(inbox, conn.send, "/topic/panda.workers.0", "the connection is still there")
    conn.disconnect()


# CMS's StompAMQ7: each batch connects to all nodes, uses one of them, and disconnects from all.

def cms():
    topic, rounds, batch = "/topic/cms.jobmon.condor", 6, 50
    reader = stomp.Connection12([BROKERS[-1]])
    inbox = listen(reader)
    reader.connect("guest", "guest", wait=True)
    settled(inbox, reader.subscribe, topic, id="monit", ack="auto")
    known(inbox.messages, topic)
    conns = [stomp.Connection(host_and_ports=[broker], heartbeats=(4000, 4000)) for broker in BROKERS]
    inboxes = [listen(conn) for conn in conns]
    for number in range(rounds):
        for conn in conns:
            if not conn.is_connected():
                conn.connect(username="guest", passcode="guest", wait=True)
        conn = conns[number % len(conns)]
        for i in range(batch):
            notification = {"type": "condor", "version": "0.7", "producer": "cms"}
            conn.send(destination=topic, headers=notification, body=json.dumps({"data": {"number": number * batch + i}}), ack="auto")
        for conn in conns:
            if conn.is_connected():
                conn.disconnect()
        for left in inboxes:
            left.gone.get(timeout=SOON)  # there are minutes between two batches
    seen = {}
    while len(seen) < rounds * batch:
        try:
            frame = inbox.messages.get(timeout=SOON)[1]
        except queue.Empty:
            raise AssertionError("only %d of %d came" % (len(seen), rounds * batch)) from None
        if frame.body == PROBE:
            continue
        seen[frame.body] = seen.get(frame.body, 0) + 1
        got = {name: frame.headers.get(name) for name in ("type", "version", "producer", "ack", "persistent")}
        assert got == {"type": "condor", "version": "0.7", "producer": "cms", "ack": "auto", "persistent": None}, frame.headers
    settled(inbox, reader.unsubscribe, id="monit")
    reader.disconnect()
    assert set(rest(inbox.messages, seen).values()) == {1}, seen


def cms_transaction():
    topic = "/topic/cms.training"
    conn = stomp.Connection(host_and_ports=[BROKERS[-1]], heartbeats=(4000, 4000))
    inbox = listen(conn)
    conn.connect(username="guest", passcode="guest", wait=True)
    conn.subscribe(destination=topic, id=str(uuid.uuid4()))
    transaction = conn.begin()
    for i in range(100):
        conn.send(destination=topic, headers={"type": "training"}, body=json.dumps({"number": i}), transaction=transaction, ack="auto")
    settled(inbox, conn.send, "/queue/cms.said", "before the commit")
    assert inbox.messages.empty(), inbox.messages.get()
    conn.commit(transaction=transaction)
    assert [json.loads(inbox.messages.get(timeout=SOON)[1].body)["number"] for _ in range(100)] == list(range(100))
    conn.disconnect()


try:
    globals()[SCENE]()
    print("ok", flush=True)
except Exception:
    print("failed", traceback.format_exc(), flush=True)
os._exit(0)  # connections of a scene that failed may be stuck
