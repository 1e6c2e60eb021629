/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The verdict, whatever the hook: ends, protocol and port in; pass or drop and the reason out. It is
 * policy_core::node_program::packet in C. */
#ifndef PORTOLAN_VERDICT_H
#define PORTOLAN_VERDICT_H

#include "maps.h"

enum side { SIDE_NEITHER = 0, SIDE_SOURCE = 1, SIDE_DESTINATION = 2 };

enum outcome { PASSED = 0, DROPPED = 1, AUDITED = 2 };

struct question {
	/* In network order; an IPv4 address is in the first word. */
	struct v6_address source;
	struct v6_address destination;
	/* The destination's port, in host order. */
	__u16 port;
	/* The position of the protocol in the pages of ports; a protocol without ports has none. */
	__u8 protocol_index;
	__u8 has_port;
	/* Which end is a process of this node. */
	__u8 host;
	__u8 v6;
	/* Why the packet could not be read beyond its addresses; or 0. */
	__u8 problem;
};

struct answer {
	__u32 slot;
	__u32 reason;
	__u32 source_identity;
	__u32 destination_identity;
	__u8 outcome;
	__u8 ingress;
	__u8 cause;
};

struct whom {
	struct identity *identity;
	__u32 id;
	__u32 local;
};

/* Keeps the compiler from making one look-up of two in different tables: of such a one the verifier does not know the
 * table, and the kernel finds its way by two more calls. `name` is what tells the places apart. */
#define APART(name, found) asm volatile("# " name : "+r"(found))

static __always_inline void *table(void *outer, __u32 slot)
{
	return bpf_map_lookup_elem(outer, &slot);
}

static __always_inline int same_address(const struct v6_address *a, const struct v6_address *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] && a->words[2] == b->words[2] &&
	       a->words[3] == b->words[3];
}

/* Whom an address stands for; `identity` is null when the tables do not hold together. */
static __always_inline struct whom whom(const struct v6_address *address, int v6, int on_this_node, __u32 slot,
					const struct shape *shape)
{
	struct whom found = {};
	struct endpoint *end = 0;
	void *ends;

	if (v6) {
		ends = table(&ends6, slot);
		if (ends)
			end = bpf_map_lookup_elem(ends, address);
		APART("v6", end);
	} else {
		ends = table(&ends4, slot);
		if (ends)
			end = bpf_map_lookup_elem(ends, &address->words[0]);
		APART("v4", end);
	}
	if (end) {
		found.id = end->identity;
		found.local = end->local;
	} else if (on_this_node) {
		found.id = v6 ? shape->own_node_v6 : shape->own_node_v4;
	} else {
		__u32 *block = 0;

		if (v6) {
			struct v6_prefix key = { .length = 128, .address = *address };
			void *blocks = table(&blocks6, slot);

			if (blocks)
				block = bpf_map_lookup_elem(blocks, &key);
			APART("v6", block);
		} else {
			struct v4_prefix key = { .length = 32, .address = address->words[0] };
			void *blocks = table(&blocks4, slot);

			if (blocks)
				block = bpf_map_lookup_elem(blocks, &key);
			APART("v4", block);
		}
		if (!block)
			return found;
		found.id = *block;
	}
	__u32 at = shape->identities + found.id;

	found.identity = bpf_map_lookup_elem(&identities, &at);
	return found;
}

static __always_inline int port_class(const struct question *q, __u32 slot, __u32 *class)
{
	*class = 0;
	if (!q->has_port)
		return 1;
	__u32 page = slot * PORT_PAGES + q->protocol_index * PAGES_PER_PROTOCOL + q->port / PORTS_PER_PAGE;
	struct port_page *found = bpf_map_lookup_elem(&ports, &page);

	if (!found)
		return 0;
	*class = found->classes[q->port % PORTS_PER_PAGE];
	return 1;
}

/* What a subject says to a column about a class of ports; null when the tables do not hold together. */
static __always_inline __u32 *cell(const struct shape *shape, __u32 subject, __u32 column, __u32 class)
{
	__u32 key = shape->rows + subject * shape->columns + column;
	__u32 *row = bpf_map_lookup_elem(&rows, &key);

	if (!row)
		return 0;
	key = shape->cells + *row * shape->classes + class;
	return bpf_map_lookup_elem(&cells, &key);
}

static __always_inline void count(struct tally *tally, __u8 outcome)
{
	if (!tally)
		return;
	if (outcome == DROPPED)
		tally->dropped++;
	else if (outcome == AUDITED)
		tally->audited++;
	else
		tally->passed++;
}

static __always_inline void refuse(struct answer *a, __u8 cause, __u8 ingress)
{
	a->outcome = DROPPED;
	a->cause = cause;
	a->ingress = ingress;
}

/* Asks the policies of one end. `spared`: what they refuse passes, and the other end is asked as well. Returns whether the
 * packet may go on. */
static __always_inline int ask(const struct shape *shape, __u32 subject, __u32 column, __u32 class, int ingress, int spared,
			       struct answer *a)
{
	__u32 *found = cell(shape, subject, column, class);

	if (!found) {
		refuse(a, CAUSE_TABLES, ingress);
		return 0;
	}
	__u32 reason = *found & CELL_REASON, key = shape->tallies + reason;
	__u8 outcome = *found & CELL_ALLOW ? PASSED : spared ? AUDITED : DROPPED;

	count(bpf_map_lookup_elem(&tallies, &key), outcome);
	/* One refusal is told: that which is carried out, or else the first. */
	if (a->outcome != AUDITED || outcome == DROPPED) {
		a->outcome = outcome;
		a->cause = CAUSE_POLICY;
		a->reason = reason;
		a->ingress = ingress;
	}
	return outcome != DROPPED;
}

/* What becomes of a packet. Egress is asked before ingress, and only pods of this node have their policies asked. */
static __always_inline void judge(const struct question *q, const struct control *control, struct answer *a)
{
	__u32 class = 0;
	__u32 slot = control->slot & (SLOTS - 1);
	struct shape *shape = bpf_map_lookup_elem(&shapes, &slot);

	a->slot = slot;
	a->cause = CAUSE_NOT_OURS;
	if (!shape)
		return refuse(a, CAUSE_TABLES, 0);
	struct whom source = whom(&q->source, q->v6, q->host == SIDE_SOURCE, slot, shape);
	struct whom destination = whom(&q->destination, q->v6, q->host == SIDE_DESTINATION, slot, shape);

	if (!source.identity || !destination.identity)
		return refuse(a, CAUSE_TABLES, !destination.identity);
	a->source_identity = source.id;
	a->destination_identity = destination.id;
	if (!(control->flags & CONTROL_UNKNOWN_PASS)) {
		if ((source.identity->flags & IDENTITY_UNKNOWN) && q->host != SIDE_SOURCE)
			return refuse(a, CAUSE_UNKNOWN_POD, 0);
		if ((destination.identity->flags & IDENTITY_UNKNOWN) && q->host != SIDE_DESTINATION)
			return refuse(a, CAUSE_UNKNOWN_POD, 1);
	}
	int egress = source.local && q->host != SIDE_SOURCE;
	int ingress = destination.local && q->host != SIDE_DESTINATION;
	__u32 spared_source = (control->flags & CONTROL_AUDIT) | (source.identity->flags & IDENTITY_AUDIT);
	__u32 spared_destination = (control->flags & CONTROL_AUDIT) | (destination.identity->flags & IDENTITY_AUDIT);

	/* Traffic of others is not ours to refuse, whatever is wrong with it. */
	if (!egress && !ingress)
		return;
	if (q->problem) {
		refuse(a, q->problem, !egress);
		/* Each end that is asked refuses what cannot be read. */
		if ((!egress || spared_source) && (!ingress || spared_destination))
			a->outcome = AUDITED;
		return;
	}
	if (!port_class(q, slot, &class))
		return refuse(a, CAUSE_TABLES, 0);
	int itself = same_address(&q->source, &q->destination) && !(shape->flags & SHAPE_ASKS_ITSELF);
	int to_node = q->host == SIDE_DESTINATION && !(shape->flags & SHAPE_ASKS_OWN_NODE);
	int from_node = q->host == SIDE_SOURCE;

	if (egress) {
		__u32 subject = itself || to_node ? source.identity->egress_exempt : source.identity->egress;

		if (!ask(shape, subject, destination.identity->column, class, 0, spared_source, a))
			return;
	}
	if (ingress) {
		__u32 subject = itself || from_node ? destination.identity->ingress_exempt : destination.identity->ingress;

		ask(shape, subject, source.identity->column, class, 1, spared_destination, a);
	}
}

#endif
