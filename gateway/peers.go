package gateway

// Peers are the other nodes of a cluster. Between each two nodes there is a link, which brings frames in
// the order in which they were sent, or ends: then both sides are told, and nothing that was sent before
// and not seen yet will come. Implemented by jetstream.
type Peers interface {
	// Send hands a frame to the link to a node and does not wait; the frame belongs to the link from here
	// on. Without a link it does nothing. Calls may be concurrent; the order of a caller's frames is kept.
	Send(node string, f *Frame)
	// Current reports whether this node was in touch with a majority of the nodes a moment ago: if not, what it
	// owns may have another owner, and it must not deliver. It is cheap.
	Current() bool
}

// Cluster is what a store offers that shares its journals with other nodes. Implemented by jetstream.
type Cluster interface {
	Peers
	// Serve begins to tell a member about journals and nodes. It is called once.
	Serve(Member)
}

// Member is a node's part in a cluster. Implemented by core.
type Member interface {
	Tenant
	Peer
}

// Peer hears from Peers. Implemented by core. None of its methods may block, or call back into Peers but for Send.
type Peer interface {
	// Up says that there is a link to a node, a new one.
	Up(node string)
	// Down says that it ended.
	Down(node string)
	// Receive takes a frame of the link to a node. Frames of one node come one after another.
	Receive(node string, f *Frame)
	// Owner says which node owns a shard and since which epoch. It may be this one, and it may be said again.
	Owner(shard int, node string, epoch uint64)
}

// FrameKind tells frames apart. The values are spoken between builds of different versions.
type FrameKind uint8

const (
	// FrameSend brings Message to its queue's owner; FrameDone with Number answers. Tag says how it comes to a queue with limits, 0 as from a client
	// that asked for it. It is not handed out for Delay. If Seq is not 0, only the memory of an owner before this one had the message, and Seq is the last
	// record of that one's tenure.
	FrameSend FrameKind = 1
	// FrameDone answers with Err, nil if all is well.
	FrameDone FrameKind = 2
	// FrameStale answers a frame of any kind for a shard that the node does not own in the frame's epoch.
	FrameStale FrameKind = 3
	// FrameSubscribe opens Subscription on Queue with Count outstanding deliveries. If Tag is 1 it is one of a pattern, and does not keep the queue alive.
	FrameSubscribe FrameKind = 4
	// FrameDeliver brings Message, with its Tag, Seq and Redeliveries, to Subscription.
	FrameDeliver FrameKind = 5
	// FrameTaken says that Count bytes of deliveries left the node of Subscription for their client.
	FrameTaken FrameKind = 6
	// FrameAck and FrameNack settle Tags of Subscription; with a Number, FrameDone answers. FrameAck without Tags settles nothing: FrameDone comes behind
	// all deliveries that were on their way to the node, and what waited to be is back in the queue.
	FrameAck  FrameKind = 7
	FrameNack FrameKind = 8
	// FrameExtend changes how many deliveries may be outstanding by Count.
	FrameExtend FrameKind = 9
	// FrameUnsubscribe ends Subscription. Tags never reached its client.
	FrameUnsubscribe FrameKind = 10
	// FrameSettle settles the sequences Tags of Queue, or of any if that is empty, which an owner before this one handed
	// out, wherever they are by now. FrameDone answers.
	FrameSettle FrameKind = 11
	// FrameCommit brings the Messages of Transaction to the owner of the first one's queue. FrameDone answers.
	FrameCommit FrameKind = 12
	// FrameRelease says that Transaction, a part's name, was carried out for good.
	FrameRelease FrameKind = 13
	// FrameGiveBack gives Tags of Subscription back to their queue, not to be handed out for Delay; they count as handed out if Count is 1.
	// If it is 0, and without Delay, what waits at the owner to be sent goes back with them.
	FrameGiveBack FrameKind = 14
	// FrameInterest says that the node has subscribers on Queue, here a topic or a pattern, of the client Group
	// or, if that is empty, of nobody in particular. Subscription names the interest; names grow from frame to frame.
	FrameInterest FrameKind = 15
	// FrameDisinterest says that the interest Subscription is over.
	FrameDisinterest FrameKind = 16
	// FramePublish brings Message to all subscribers of its topic on the node, but for those of the interests
	// Tags, which grow, and of clients whose interest has a name above Seq: others have it for them.
	FramePublish FrameKind = 17
	// FrameHeard says that Count messages of FramePublish, of Seq bytes in all, were handed out.
	FrameHeard FrameKind = 18
	// FrameKnown answers FrameInterest: this one, by its number in Subscription, and all before it are known.
	FrameKnown FrameKind = 19
	// FrameOffered says that the owner has heard of all that the node wanted of owners before it, and of all that its
	// clients had.
	FrameOffered FrameKind = 20
	// FrameAdopt names the deliveries Seqs, with Counts, that the client of Subscription has had since before the owner knew
	// of it. FrameSubscribe and FrameExtend, which come next, open the subscription with them. The credit is without
	// what the client has: who takes a delivery for handed out adds one for it.
	FrameAdopt FrameKind = 21
	// FrameAdopted answers: those of them that are Subscription's have Tags now. The others are not.
	FrameAdopted FrameKind = 22
	// FrameSeek says that a subscription of the node, by its name in Subscription, wants to hear of all queues that match the pattern in Queue;
	// Count 0 ends that. FrameFound answers for each that the node owns, and whenever there is a new one; with a Count of -1 for one that nobody else uses and that is
	// to be left.
	FrameSeek  FrameKind = 23
	FrameFound FrameKind = 24
	// FrameDrop has what waits in Queue dropped, because what it was kept for is gone. If Count is 1 and it has consumers, it is refused with Conflict. Nothing is
	// done if the owner knows that the queue is bound since a revision of the registry above Seq. FrameDone answers.
	FrameDrop FrameKind = 25
	// FrameBrowse asks for up to Count messages of Queue behind the place Tag, up to the place Seq if that is not 0, that Consumer selects. FrameBrowsed answers
	// with Messages, their Tags and Counts, in Seq the last place there was when the first page was asked for, and in Tag where to go on, 0 if there is no more.
	// Queue may be a pattern of queues, or the place of what is kept of a pattern of topics: then it is for all of those of the shard, Group is the place before which all
	// were seen, in the order of their names, and the answer's Queue the one to go on in, empty if there is no more.
	// Of SchedulePlace the answer has in Seqs when each comes next, in Unix milliseconds, 0 for what is being sent.
	FrameBrowse  FrameKind = 26
	FrameBrowsed FrameKind = 27
	// FrameInspect asks what is known of the queues that the pattern in Queue matches; FrameInspected, with its Number, answers with a Message whose body says it. With a
	// Group it is about something else, "topics" or "subscriptions", and Queue is nothing that a node could have that does not know of it. If
	// Queue is the place of a temporary destination it asks whether that session of the node lives; the answer has an Err if not.
	FrameInspect   FrameKind = 28
	FrameInspected FrameKind = 29
	// FrameApplied says that the node knows of all facts of the registry up to the revision Seq.
	FrameApplied FrameKind = 30
	// FrameFlush wants to hear FrameFlushed, with its Number, when all that was sent to topics on the node before it is where it is kept.
	FrameFlush   FrameKind = 31
	FrameFlushed FrameKind = 32
	// FrameRoom asks whether Queue has room by its limits for Count messages of Seq bytes in all, which come as Tag says. FrameDone answers: with Limit, or when there is.
	FrameRoom FrameKind = 33
	// FrameOperate has up to Count messages that wait in Queue behind the place Tag, up to the place Seq if that is not 0, and that Consumer selects, taken out: they
	// go to the queue or topic in Message, or as Transaction says. FrameOperated answers with what became of them in Counts: how many were, and how many could not be; in Seq
	// and Tag as FrameBrowsed. Where it only counts, Seq is how many wait for whoever comes first.
	FrameOperate  FrameKind = 34
	FrameOperated FrameKind = 35
)

// Consumer is how a subscription that another node opens wants to be served.
type Consumer struct {
	Selector   string
	Exclusive  bool
	Priority   int8
	Redelivery *Redelivery
}

// Frame is what nodes say to one another about a shard, or about topics. Which fields count depends on the kind.
type Frame struct {
	Kind  FrameKind
	Shard int
	// Epoch of the shard's owner, as the sender knows it.
	Epoch uint64
	// Number names what is to be answered, or is; 0 wants no answer.
	Number       uint64
	Subscription uint64
	Tag, Seq     uint64
	Redeliveries uint32
	Count        int64
	Tags         []uint64
	Queue        string
	Transaction  string
	Message      *Message
	Messages     []*Message
	Err          *Error
	Group        string
	// Seqs are sequences of a journal. Counts are their redelivery counts, one for each, or none if all are 0.
	Seqs   []uint64
	Counts []uint32
	// Consumer is nil for one without wishes.
	Consumer *Consumer
	// Delay in milliseconds, of what is given back.
	Delay int64
}
