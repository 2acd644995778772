package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// reloaded are the keys that reload puts in force; for others the node has to be started again.
var reloaded = []string{"auth", "audit", "limits.total", "limits.per_user", "limits.per_address", "limits.quotas", "policies", "log.level",
	"pubsub.service_token", "pubsub.auth_option", "pubsub.retention", "pubsub.max_message_bytes", "pubsub.push"}

// Reload reads the configuration again and puts in force what may change while the node runs: identities, rules, quotas, policies, the audit, the
// log's level, the files of certificates, and most of HTTP Pub/Sub. It names what else has changed. With an error nothing has changed of what the error is about.
func (d *duty) Reload(_ context.Context, w io.Writer) error {
	if !d.reloading.TryLock() {
		return errBusy
	}
	defer d.reloading.Unlock()
	l, t := d.life, teller{w, d.life.log}
	cfg, warnings, err := l.load()
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if level := cfg.Log.Level.slog(); level != l.level.Level() {
		l.level.Set(level)
		t.tell("what the log has from now on", "level", string(cfg.Log.Level))
	}
	for _, warning := range warnings {
		l.log.Warn(warning)
	}
	if (cfg.Auth == nil) != (l.cfg.Auth == nil) {
		return errors.New("nothing was changed: to add or remove the section auth the node has to be started again")
	}
	if cfg.Auth != nil && cfg.Auth.ACLMode != l.cfg.Auth.ACLMode {
		return errors.New("nothing was changed: to change auth.acl_mode the node has to be started again")
	}
	err = errors.Join(l.guard.renew(cfg), l.node.changePubSub(cfg, l.log))
	d.reloads.Add(1)
	// Also after an error: nobody stays inside because a certificate cannot be read.
	l.node.broker.SetQuotas(quotas(cfg.Limits))
	l.node.rules.configure(cfg.Policies)
	l.node.broker.Reauthorize()
	if l.node.gate != nil {
		l.node.gate.Reauthorize()
	}
	if err != nil {
		return err
	}
	t.tell("identities, rules, quotas, policies, certificates and the terms of HTTP Pub/Sub are those of the files now")
	late := changed(l.cfg, cfg)
	if (cfg.Audit == AuditOff) != (l.cfg.Audit == AuditOff) {
		late = append(late, "audit")
	}
	if len(late) > 0 {
		t.tell("the node has to be started again for what else has changed", "keys", strings.Join(late, ", "))
	}
	return nil
}

// changed lists the keys whose values differ and that reload leaves alone.
func changed(a, b Config) (keys []string) {
	for _, leaf := range leaves(reflect.TypeFor[Config](), "") {
		if slices.ContainsFunc(reloaded, func(k string) bool { return leaf.path == k || strings.HasPrefix(leaf.path, k+".") }) {
			continue
		}
		va, oka := lookup(reflect.ValueOf(a), leaf.path)
		vb, okb := lookup(reflect.ValueOf(b), leaf.path)
		if oka != okb || oka && !reflect.DeepEqual(va.Interface(), vb.Interface()) {
			keys = append(keys, leaf.path)
		}
	}
	return keys
}
