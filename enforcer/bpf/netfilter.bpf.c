// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Policies at two hooks of netfilter: POSTROUTING just before source translation, where everything that leaves the node
 * or enters a pod passes with the addresses of the real ends (NP-23, NP-24), and LOCAL_IN, where pods reach their own
 * node (NP-19). */
#include "kernel.h"
#include "parse.h"
#include "record.h"
#include "verdict.h"

#define DROP 0
#define ACCEPT 1

static __always_inline int settle(const struct question *q, struct answer *a, const struct parsed *p,
				  const struct control *control, __u32 flags)
{
	__u32 cause = a->cause;

	if (a->outcome == DROPPED && control->flags & CONTROL_AUDIT)
		a->outcome = AUDITED;
	count(bpf_map_lookup_elem(&causes, &cause), a->outcome);
	if (a->outcome != PASSED || (control->flags & CONTROL_LOG_ALLOWED && a->cause == CAUSE_POLICY)) {
		flags |= a->outcome == DROPPED ? RECORD_DROPPED : 0;
		flags |= a->outcome == AUDITED ? RECORD_AUDITED : 0;
		flags |= a->ingress ? RECORD_INGRESS : 0;
		flags |= q->v6 ? RECORD_V6 : 0;
		record(q, a, p->protocol, flags);
	}
	return a->outcome == DROPPED ? DROP : ACCEPT;
}

SEC("socket")
int portolan(struct bpf_nf_ctx *ctx)
{
	struct sk_buff *skb = ctx->skb;
	__u8 hook = ctx->state->hook;
	__u8 family = ctx->state->pf;
	__u32 zero = 0;
	struct question q = {};
	struct answer a = {};
	struct parsed p = {};
	struct bpf_dynptr packet;
	struct control *held = bpf_map_lookup_elem(&control, &zero);
	int problem, reply;

	if (!held)
		return DROP;
	/* Read at once: both halves belong to one generation. */
	union {
		__u64 both;
		struct control control;
	} read = { .both = *(volatile __u64 *)held };
	struct control now = read.control;

	if (hook != HOOK_POSTROUTING && hook != HOOK_LOCAL_IN && hook != HOOK_LOCAL_OUT)
		return ACCEPT;
	if (family != FAMILY_V4 && family != FAMILY_V6)
		return ACCEPT;
	q.v6 = family == FAMILY_V6;
	__u32 there = skb->len - skb->data_len;

	if (q.v6 ? plain_v6(skb->data, there, &p) : plain_v4(skb->data, there, &p))
		problem = 0;
	else if (dynptr_from_skb(skb, 0, &packet))
		return DROP;
	else
		problem = q.v6 ? parse_v6(&packet, &p) : parse_v4(&packet, &p);
	q.problem = problem;
	unsigned long conntrack = skb->_nfct & CT_INFO;

	/* Without a connection, whatever the reason: as the first packet of one. */
	if (!(skb->_nfct & ~(unsigned long)CT_INFO))
		conntrack = CT_UNTRACKED;
	reply = conntrack >= CT_REPLY && conntrack != CT_UNTRACKED;
	q.source = reply ? p.destination : p.source;
	q.destination = reply ? p.source : p.destination;
	q.port = reply ? p.source_port : p.destination_port;
	q.has_port = p.has_ports;
	q.protocol_index = p.protocol == PROTOCOL_SCTP ? INDEX_SCTP : p.protocol == PROTOCOL_TCP ? INDEX_TCP : INDEX_UDP;
	if (hook == HOOK_LOCAL_IN)
		q.host = reply ? SIDE_SOURCE : SIDE_DESTINATION;
	/* Nothing sits at LOCAL_OUT, where all packets are a socket's: it is how tests say so. */
	else if (skb->sk || hook == HOOK_LOCAL_OUT)
		q.host = reply ? SIDE_DESTINATION : SIDE_SOURCE;
	if (problem && !p.has_ends)
		refuse(&a, problem, 0);
	else if (!problem && p.icmp_error && (conntrack == CT_RELATED || conntrack == CT_RELATED_REPLY))
		a.cause = CAUSE_RELATED;
	else if (!problem && p.neighbour)
		a.cause = CAUSE_NEIGHBOUR;
	else
		judge(&q, &now, &a);
	return settle(&q, &a, &p, &now, reply ? RECORD_REPLY : 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
