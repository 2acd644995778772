package app

import "github.com/sluice-mq/sluice/gateway/quota"

// quotas are the limits as core takes them.
func quotas(l Limits) quota.Quotas {
	q := quota.Quotas{Total: l.Total.core(), PerUser: l.PerUser.core(), PerAddress: l.PerAddress.core()}
	for _, n := range l.Quotas {
		q.Overrides = append(q.Overrides, quota.For{Users: n.Users, Groups: n.Groups, Quota: n.Quota.core()})
	}
	return q
}

func (q Quota) core() quota.Quota {
	return quota.Quota{
		Connections: q.Connections, Subscriptions: q.Subscriptions, Destinations: q.Destinations, InFlight: q.InFlight,
		PublishMessages: q.PublishMessages, PublishBytes: int(q.PublishBytes),
	}
}
